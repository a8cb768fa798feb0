// The plain names of calls that CUDA 3.2 and later gave new prototypes. A library still exports them, so who asks dlsym for
// "cuMemAlloc" gets the 32-bit call: here that is an error with a sentence. Where the prototype did not change, the call works.
#include "api.h"
#include "call.h"
#include "sentences.h"

using namespace softcuda;
using namespace softcuda::driver;

namespace {

CUresult refuse(const char* name) {
  return Call(name, 0).run([&] {
    const std::string sentence = std::string(name) + " is the 32-bit call of CUDA 3.1: ask for " + name + "_v2";
    say(sentence);
    throw Error{CUDA_ERROR_NOT_SUPPORTED, sentence};
  });
}

}  // namespace

CUresult cuDeviceTotalMem(unsigned*, CUdevice) { return refuse(__func__); }
CUresult cuMemAlloc(CUdeviceptr_v1*, unsigned) { return refuse(__func__); }
CUresult cuMemFree(CUdeviceptr_v1) { return refuse(__func__); }
CUresult cuMemAllocHost(void**, unsigned) { return refuse(__func__); }
CUresult cuMemGetInfo(unsigned*, unsigned*) { return refuse(__func__); }
CUresult cuMemcpyHtoD(CUdeviceptr_v1, const void*, unsigned) { return refuse(__func__); }
CUresult cuMemcpyDtoH(void*, CUdeviceptr_v1, unsigned) { return refuse(__func__); }
CUresult cuMemcpyHtoDAsync(CUdeviceptr_v1, const void*, unsigned, CUstream) { return refuse(__func__); }
CUresult cuMemcpyDtoHAsync(void*, CUdeviceptr_v1, unsigned, CUstream) { return refuse(__func__); }
CUresult cuMemcpyDtoDAsync(CUdeviceptr_v1, CUdeviceptr_v1, unsigned, CUstream) { return refuse(__func__); }
CUresult cuModuleGetGlobal(CUdeviceptr_v1*, unsigned*, CUmodule, const char*) { return refuse(__func__); }

CUresult cuDevicePrimaryCtxRelease(CUdevice device) { return cuDevicePrimaryCtxRelease_v2(device); }
CUresult cuCtxPushCurrent(CUcontext context) { return cuCtxPushCurrent_v2(context); }
CUresult cuCtxPopCurrent(CUcontext* context) { return cuCtxPopCurrent_v2(context); }
CUresult cuStreamDestroy(CUstream stream) { return cuStreamDestroy_v2(stream); }
CUresult cuEventDestroy(CUevent event) { return cuEventDestroy_v2(event); }
