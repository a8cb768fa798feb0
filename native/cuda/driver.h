// The driver's API, opened at run time: nothing of CUDA's is linked, and none of its headers is needed. Prototypes are our own.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace pushforward::cuda {

using Result = int;  // CUresult
using Address = unsigned long long;
using ContextHandle = struct ContextOfDriver*;
using Module = struct ModuleOfDriver*;
using FunctionHandle = struct FunctionOfDriver*;
using Stream = struct StreamOfDriver*;
using Event = struct EventOfDriver*;
using Graph = struct GraphOfDriver*;
using GraphExec = struct GraphExecOfDriver*;

// Name and the suffix under which cuda.h really asks for it: the plain names are those of older, 32-bit prototypes.
#define PUSHFORWARD_CUDA_CALLS(X)                                                                                   \
  X(cuInit, , unsigned)                                                                                             \
  X(cuGetErrorName, , Result, const char**)                                                                         \
  X(cuGetErrorString, , Result, const char**)                                                                       \
  X(cuDeviceGetCount, , int*)                                                                                       \
  X(cuDeviceGet, , int*, int)                                                                                       \
  X(cuDeviceGetName, , char*, int, int)                                                                             \
  X(cuDeviceGetAttribute, , int*, int, int)                                                                         \
  X(cuDeviceTotalMem, _v2, size_t*, int)                                                                            \
  X(cuDevicePrimaryCtxRetain, , ContextHandle*, int)                                                                \
  X(cuDevicePrimaryCtxRelease, _v2, int)                                                                            \
  X(cuCtxPushCurrent, _v2, ContextHandle)                                                                           \
  X(cuCtxPopCurrent, _v2, ContextHandle*)                                                                           \
  X(cuModuleLoadData, , Module*, const void*)                                                                       \
  X(cuModuleUnload, , Module)                                                                                       \
  X(cuModuleGetFunction, , FunctionHandle*, Module, const char*)                                                    \
  X(cuFuncSetAttribute, , FunctionHandle, int, int)                                                                 \
  X(cuMemGetInfo, _v2, size_t*, size_t*)                                                                            \
  X(cuMemAlloc, _v2, Address*, size_t)                                                                              \
  X(cuMemFree, _v2, Address)                                                                                        \
  X(cuMemHostAlloc, , void**, size_t, unsigned)                                                                     \
  X(cuMemFreeHost, , void*)                                                                                         \
  X(cuMemcpyHtoDAsync, _v2, Address, const void*, size_t, Stream)                                                   \
  X(cuMemcpyDtoHAsync, _v2, void*, Address, size_t, Stream)                                                         \
  X(cuMemcpyDtoDAsync, _v2, Address, Address, size_t, Stream)                                                       \
  X(cuMemsetD8Async, , Address, unsigned char, size_t, Stream)                                                      \
  X(cuStreamCreate, , Stream*, unsigned)                                                                            \
  X(cuStreamDestroy, _v2, Stream)                                                                                   \
  X(cuStreamSynchronize, , Stream)                                                                                  \
  X(cuStreamWaitEvent, , Stream, Event, unsigned)                                                                   \
  X(cuStreamBeginCapture, _v2, Stream, int)                                                                         \
  X(cuStreamEndCapture, , Stream, Graph*)                                                                           \
  X(cuEventCreate, , Event*, unsigned)                                                                              \
  X(cuEventDestroy, _v2, Event)                                                                                     \
  X(cuEventRecord, , Event, Stream)                                                                                 \
  X(cuEventSynchronize, , Event)                                                                                    \
  X(cuGraphInstantiateWithFlags, , GraphExec*, Graph, unsigned long long)                                           \
  X(cuGraphLaunch, , GraphExec, Stream)                                                                             \
  X(cuGraphExecDestroy, , GraphExec)                                                                                \
  X(cuGraphDestroy, , Graph)                                                                                        \
  X(cuLaunchKernel, , FunctionHandle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Stream, \
    void**, void**)

template <class... Parameters>
struct Call {
  const char* name;
  Result (*function)(Parameters...);
};

struct Driver {
#define PUSHFORWARD_CUDA_MEMBER(name, suffix, ...) Call<__VA_ARGS__> name{#name, nullptr};
  PUSHFORWARD_CUDA_CALLS(PUSHFORWARD_CUDA_MEMBER)
#undef PUSHFORWARD_CUDA_MEMBER
  int version = 0;  // 1000 · major + 10 · minor

  bool library = false;  // one was found, though perhaps of no use
  std::string absence;   // why there is none to use; else empty
};

/** Opened once: PUSHFORWARD_CUDA_DRIVER, else libcuda.so.1. */
const Driver& driver();

/** NAME: the driver's own words. */
std::string wordsOf(const Driver& driver, Result result);

enum : Result {
  success = 0,
  invalidValue = 1,
  outOfMemory = 2,
  invalidFunction = 98,
  notFound = 500,
  outOfResources = 701,
};

/** After these nothing works any more in this process's context. */
bool isSticky(Result result);

// Of cuda.h.
enum : int { attributeMajor = 75, attributeMinor = 76 };
constexpr int maxDynamicShared = 8;        // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
constexpr unsigned nonBlockingStream = 1;  // CU_STREAM_NON_BLOCKING: does not wait for the default stream
constexpr unsigned waitingEvent = 3;       // CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING: sleeps, does not spin
constexpr int captureOfThread = 1;         // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may allocate meanwhile

}  // namespace pushforward::cuda
