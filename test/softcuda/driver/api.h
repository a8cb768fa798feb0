// The prototypes of the CUDA driver API that softcuda exports. cuda.h maps most plain names to `_v2`: here every symbol stands
// under the name that a library really exports.
#pragma once
#include <cstddef>
#include <cstdint>

#include "constants.h"

#define SOFTCUDA_API extern "C" __attribute__((visibility("default")))

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = uint64_t;
using CUcontext = struct CUctx_st*;
using CUmodule = struct CUmod_st*;
using CUfunction = struct CUfunc_st*;
using CUstream = struct CUstream_st*;
using CUevent = struct CUevent_st*;
using CUgraph = struct CUgraph_st*;
using CUgraphNode = struct CUgraphNode_st*;
using CUgraphExec = struct CUgraphExec_st*;
struct CUuuid {
  char bytes[16];
};

SOFTCUDA_API CUresult cuInit(unsigned flags);
SOFTCUDA_API CUresult cuDriverGetVersion(int* version);
SOFTCUDA_API CUresult cuGetErrorName(CUresult error, const char** name);
SOFTCUDA_API CUresult cuGetErrorString(CUresult error, const char** sentence);
SOFTCUDA_API CUresult cuGetProcAddress(const char* symbol, void** address, int version, uint64_t flags);
SOFTCUDA_API CUresult cuGetProcAddress_v2(const char* symbol, void** address, int version, uint64_t flags, int* status);

SOFTCUDA_API CUresult cuDeviceGet(CUdevice* device, int ordinal);
SOFTCUDA_API CUresult cuDeviceGetCount(int* count);
SOFTCUDA_API CUresult cuDeviceGetName(char* name, int length, CUdevice device);
SOFTCUDA_API CUresult cuDeviceGetAttribute(int* value, int attribute, CUdevice device);
SOFTCUDA_API CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device);
SOFTCUDA_API CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice device);
SOFTCUDA_API CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device);

SOFTCUDA_API CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device);
SOFTCUDA_API CUresult cuDevicePrimaryCtxRelease(CUdevice device);
SOFTCUDA_API CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device);
SOFTCUDA_API CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned* flags, int* active);
SOFTCUDA_API CUresult cuCtxSetCurrent(CUcontext context);
SOFTCUDA_API CUresult cuCtxGetCurrent(CUcontext* context);
SOFTCUDA_API CUresult cuCtxPushCurrent(CUcontext context);
SOFTCUDA_API CUresult cuCtxPushCurrent_v2(CUcontext context);
SOFTCUDA_API CUresult cuCtxPopCurrent(CUcontext* context);
SOFTCUDA_API CUresult cuCtxPopCurrent_v2(CUcontext* context);
SOFTCUDA_API CUresult cuCtxSynchronize();
SOFTCUDA_API CUresult cuCtxSynchronize_v2(CUcontext context);

SOFTCUDA_API CUresult cuStreamCreate(CUstream* stream, unsigned flags);
SOFTCUDA_API CUresult cuStreamDestroy(CUstream stream);
SOFTCUDA_API CUresult cuStreamDestroy_v2(CUstream stream);
SOFTCUDA_API CUresult cuStreamSynchronize(CUstream stream);
SOFTCUDA_API CUresult cuStreamQuery(CUstream stream);
SOFTCUDA_API CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags);
SOFTCUDA_API CUresult cuStreamBeginCapture(CUstream stream);
SOFTCUDA_API CUresult cuStreamBeginCapture_v2(CUstream stream, int mode);
SOFTCUDA_API CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph);
SOFTCUDA_API CUresult cuStreamIsCapturing(CUstream stream, int* status);

SOFTCUDA_API CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph, unsigned long long flags);
SOFTCUDA_API CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream);
SOFTCUDA_API CUresult cuGraphExecDestroy(CUgraphExec exec);
SOFTCUDA_API CUresult cuGraphDestroy(CUgraph graph);
SOFTCUDA_API CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode* nodes, size_t* count);

SOFTCUDA_API CUresult cuEventCreate(CUevent* event, unsigned flags);
SOFTCUDA_API CUresult cuEventRecord(CUevent event, CUstream stream);
SOFTCUDA_API CUresult cuEventSynchronize(CUevent event);
SOFTCUDA_API CUresult cuEventQuery(CUevent event);
SOFTCUDA_API CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end);
SOFTCUDA_API CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent start, CUevent end);
SOFTCUDA_API CUresult cuEventDestroy(CUevent event);
SOFTCUDA_API CUresult cuEventDestroy_v2(CUevent event);

SOFTCUDA_API CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t bytes);
SOFTCUDA_API CUresult cuMemFree_v2(CUdeviceptr address);
SOFTCUDA_API CUresult cuMemAllocHost_v2(void** address, size_t bytes);
SOFTCUDA_API CUresult cuMemHostAlloc(void** address, size_t bytes, unsigned flags);
SOFTCUDA_API CUresult cuMemFreeHost(void* address);
SOFTCUDA_API CUresult cuMemGetInfo_v2(size_t* free, size_t* total);
SOFTCUDA_API CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes);
SOFTCUDA_API CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes);
SOFTCUDA_API CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, CUstream stream);
SOFTCUDA_API CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream stream);
SOFTCUDA_API CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream);
SOFTCUDA_API CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream);
SOFTCUDA_API CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream);

SOFTCUDA_API CUresult cuModuleLoadData(CUmodule* module, const void* image);
SOFTCUDA_API CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned count, int* options,
                                         void** values);
SOFTCUDA_API CUresult cuModuleUnload(CUmodule module);
SOFTCUDA_API CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name);
SOFTCUDA_API CUresult cuModuleGetGlobal_v2(CUdeviceptr* address, size_t* bytes, CUmodule module, const char* name);
SOFTCUDA_API CUresult cuFuncGetAttribute(int* value, int attribute, CUfunction function);
SOFTCUDA_API CUresult cuFuncSetAttribute(CUfunction function, int attribute, int value);
SOFTCUDA_API CUresult cuLaunchKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ,
                                     unsigned blockX, unsigned blockY, unsigned blockZ, unsigned sharedBytes,
                                     CUstream stream, void** parameters, void** extra);

// The 32-bit calls of CUDA 3.1, which a library still exports under the plain names.
using CUdeviceptr_v1 = unsigned;
SOFTCUDA_API CUresult cuDeviceTotalMem(unsigned* bytes, CUdevice device);
SOFTCUDA_API CUresult cuMemAlloc(CUdeviceptr_v1* address, unsigned bytes);
SOFTCUDA_API CUresult cuMemFree(CUdeviceptr_v1 address);
SOFTCUDA_API CUresult cuMemAllocHost(void** address, unsigned bytes);
SOFTCUDA_API CUresult cuMemGetInfo(unsigned* free, unsigned* total);
SOFTCUDA_API CUresult cuMemcpyHtoD(CUdeviceptr_v1 to, const void* from, unsigned bytes);
SOFTCUDA_API CUresult cuMemcpyDtoH(void* to, CUdeviceptr_v1 from, unsigned bytes);
SOFTCUDA_API CUresult cuMemcpyHtoDAsync(CUdeviceptr_v1 to, const void* from, unsigned bytes, CUstream stream);
SOFTCUDA_API CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr_v1 from, unsigned bytes, CUstream stream);
SOFTCUDA_API CUresult cuMemcpyDtoDAsync(CUdeviceptr_v1 to, CUdeviceptr_v1 from, unsigned bytes, CUstream stream);
SOFTCUDA_API CUresult cuModuleGetGlobal(CUdeviceptr_v1* address, unsigned* bytes, CUmodule module, const char* name);
