// cuGetProcAddress: the newest form of a call that is no newer than the CUDA version asked for.
#include <cstring>

#include "call.h"

using namespace softcuda;
using namespace softcuda::driver;

namespace {

struct Symbol {
  const char* name;
  int since;  // CUDA version of the prototype
  void* address;
};

template <class Function>
void* pointer(Function* function) {
  return reinterpret_cast<void*>(function);
}

#define PLAIN(name, since) {#name, since, pointer(name)}
#define FORM(name, since, symbol) {#name, since, pointer(symbol)}

/** The forms of one name stand together, the oldest first. */
const Symbol symbols[] = {
    PLAIN(cuInit, 2000),
    PLAIN(cuDriverGetVersion, 2020),
    PLAIN(cuGetErrorName, 6000),
    PLAIN(cuGetErrorString, 6000),
    FORM(cuGetProcAddress, 11030, cuGetProcAddress),
    FORM(cuGetProcAddress, 12000, cuGetProcAddress_v2),
    PLAIN(cuDeviceGet, 2000),
    PLAIN(cuDeviceGetCount, 2000),
    PLAIN(cuDeviceGetName, 2000),
    PLAIN(cuDeviceGetAttribute, 2000),
    FORM(cuDeviceTotalMem, 2000, cuDeviceTotalMem),
    FORM(cuDeviceTotalMem, 3020, cuDeviceTotalMem_v2),
    FORM(cuDeviceGetUuid, 9020, cuDeviceGetUuid),
    FORM(cuDeviceGetUuid, 11040, cuDeviceGetUuid_v2),
    PLAIN(cuDevicePrimaryCtxRetain, 7000),
    FORM(cuDevicePrimaryCtxRelease, 7000, cuDevicePrimaryCtxRelease),
    FORM(cuDevicePrimaryCtxRelease, 11000, cuDevicePrimaryCtxRelease_v2),
    PLAIN(cuDevicePrimaryCtxGetState, 7000),
    PLAIN(cuCtxSetCurrent, 4000),
    PLAIN(cuCtxGetCurrent, 4000),
    FORM(cuCtxPushCurrent, 2000, cuCtxPushCurrent),
    FORM(cuCtxPushCurrent, 4000, cuCtxPushCurrent_v2),
    FORM(cuCtxPopCurrent, 2000, cuCtxPopCurrent),
    FORM(cuCtxPopCurrent, 4000, cuCtxPopCurrent_v2),
    FORM(cuCtxSynchronize, 2000, cuCtxSynchronize),
    FORM(cuCtxSynchronize, 13000, cuCtxSynchronize_v2),
    PLAIN(cuStreamCreate, 2000),
    FORM(cuStreamDestroy, 2000, cuStreamDestroy),
    FORM(cuStreamDestroy, 4000, cuStreamDestroy_v2),
    PLAIN(cuStreamSynchronize, 2000),
    PLAIN(cuStreamQuery, 2000),
    PLAIN(cuStreamWaitEvent, 3020),
    FORM(cuStreamBeginCapture, 10000, cuStreamBeginCapture),
    FORM(cuStreamBeginCapture, 10010, cuStreamBeginCapture_v2),
    PLAIN(cuStreamEndCapture, 10000),
    PLAIN(cuStreamIsCapturing, 10000),
    PLAIN(cuGraphInstantiateWithFlags, 11040),
    PLAIN(cuGraphLaunch, 10000),
    PLAIN(cuGraphExecDestroy, 10000),
    PLAIN(cuGraphDestroy, 10000),
    PLAIN(cuGraphGetNodes, 10000),
    PLAIN(cuEventCreate, 2000),
    PLAIN(cuEventRecord, 2000),
    PLAIN(cuEventSynchronize, 2000),
    PLAIN(cuEventQuery, 2000),
    FORM(cuEventElapsedTime, 2000, cuEventElapsedTime),
    FORM(cuEventElapsedTime, 12080, cuEventElapsedTime_v2),
    FORM(cuEventDestroy, 2000, cuEventDestroy),
    FORM(cuEventDestroy, 4000, cuEventDestroy_v2),
    FORM(cuMemAlloc, 2000, cuMemAlloc),
    FORM(cuMemAlloc, 3020, cuMemAlloc_v2),
    FORM(cuMemFree, 2000, cuMemFree),
    FORM(cuMemFree, 3020, cuMemFree_v2),
    FORM(cuMemAllocHost, 2000, cuMemAllocHost),
    FORM(cuMemAllocHost, 3020, cuMemAllocHost_v2),
    PLAIN(cuMemFreeHost, 2000),
    PLAIN(cuMemHostAlloc, 2020),
    FORM(cuMemGetInfo, 2000, cuMemGetInfo),
    FORM(cuMemGetInfo, 3020, cuMemGetInfo_v2),
    FORM(cuMemcpyHtoD, 2000, cuMemcpyHtoD),
    FORM(cuMemcpyHtoD, 3020, cuMemcpyHtoD_v2),
    FORM(cuMemcpyDtoH, 2000, cuMemcpyDtoH),
    FORM(cuMemcpyDtoH, 3020, cuMemcpyDtoH_v2),
    FORM(cuMemcpyHtoDAsync, 2000, cuMemcpyHtoDAsync),
    FORM(cuMemcpyHtoDAsync, 3020, cuMemcpyHtoDAsync_v2),
    FORM(cuMemcpyDtoHAsync, 2000, cuMemcpyDtoHAsync),
    FORM(cuMemcpyDtoHAsync, 3020, cuMemcpyDtoHAsync_v2),
    FORM(cuMemcpyDtoDAsync, 3000, cuMemcpyDtoDAsync),
    FORM(cuMemcpyDtoDAsync, 3020, cuMemcpyDtoDAsync_v2),
    PLAIN(cuMemsetD8Async, 3020),
    PLAIN(cuMemsetD32Async, 3020),
    PLAIN(cuModuleLoadData, 2000),
    PLAIN(cuModuleLoadDataEx, 2010),
    PLAIN(cuModuleUnload, 2000),
    PLAIN(cuModuleGetFunction, 2000),
    FORM(cuModuleGetGlobal, 2000, cuModuleGetGlobal),
    FORM(cuModuleGetGlobal, 3020, cuModuleGetGlobal_v2),
    PLAIN(cuFuncGetAttribute, 2020),
    PLAIN(cuFuncSetAttribute, 9000),
    PLAIN(cuLaunchKernel, 4000),
};

#undef PLAIN
#undef FORM

/** A form newer than the driver (SOFTCUDA_VERSION) is not there. */
int find(const char* name, void** address, int version, uint64_t flags) {
  constexpr uint64_t perThread = 2;
  if (!name || !address || (flags & ~uint64_t{3}))
    throw Error{CUDA_ERROR_INVALID_VALUE, "a null pointer or unknown flags"};
  if (flags & perThread) throw Error{CUDA_ERROR_NOT_SUPPORTED, "softcuda has no per-thread default stream"};
  *address = nullptr;
  int status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  for (const Symbol& symbol : symbols) {
    if (std::strcmp(symbol.name, name) != 0 || symbol.since > Settings::get().version) continue;
    if (symbol.since <= version) *address = symbol.address;
    status = *address ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
  }
  return status;
}

}  // namespace

CUresult cuGetProcAddress_v2(const char* symbol, void** address, int version, uint64_t flags, int* status) {
  return Call(__func__, 0, std::string(symbol ? symbol : "(null)"), address, version, flags, status).run([&] {
    const int found = find(symbol, address, version, flags);
    if (status) *status = found;
    if (!status && found != CU_GET_PROC_ADDRESS_SUCCESS) throw Error{CUDA_ERROR_NOT_FOUND, "no such symbol"};
  });
}

CUresult cuGetProcAddress(const char* symbol, void** address, int version, uint64_t flags) {
  return cuGetProcAddress_v2(symbol, address, version, flags, nullptr);
}
