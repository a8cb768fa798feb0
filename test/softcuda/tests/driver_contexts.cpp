// Initialisation, devices, contexts, handles, symbols, several threads.
#include <dlfcn.h>

#include <cstring>
#include <string>
#include <thread>

#include "driver_harness.h"

using namespace softcuda;
using namespace softcuda::test;

namespace {

void notInitialised() {
  GOOD(inProcess({}, [] {
    int value = 0;
    CUcontext context;
    OK(cuDriverGetVersion(&value));
    EQUAL(value, 13000);
    EQUAL(cuDeviceGetCount(&value), CUDA_ERROR_NOT_INITIALIZED);
    EQUAL(cuDevicePrimaryCtxRetain(&context, 0), CUDA_ERROR_NOT_INITIALIZED);
    EQUAL(cuCtxSynchronize(), CUDA_ERROR_NOT_INITIALIZED);
    EQUAL(cuInit(1), CUDA_ERROR_INVALID_VALUE);
    OK(cuInit(0));
    OK(cuInit(0));
  }));
}

int attribute(int which) {
  int value = -1;
  OK(cuDeviceGetAttribute(&value, which, 0));
  return value;
}

void devices() {
  GOOD(inProcess({{"SOFTCUDA_DEVICES", "2"}, {"SOFTCUDA_CAPABILITY", "9.0"}, {"SOFTCUDA_MEMORY", "123456789"}}, [] {
    OK(cuInit(0));
    int value;
    char name[4];
    size_t bytes;
    CUuuid first, second;
    OK(cuDeviceGetCount(&value));
    EQUAL(value, 2);
    OK(cuDeviceGet(&value, 1));
    EQUAL(value, 1);
    EQUAL(cuDeviceGet(&value, 2), CUDA_ERROR_INVALID_DEVICE);
    OK(cuDeviceGetName(name, sizeof name, 0));
    EQUAL(std::strcmp(name, "sof"), 0);
    OK(cuDeviceTotalMem_v2(&bytes, 1));
    EQUAL(bytes, 123456789);
    OK(cuDeviceGetUuid(&first, 0));
    OK(cuDeviceGetUuid_v2(&second, 1));
    CHECK(std::memcmp(&first, &second, sizeof first) != 0);
    EQUAL(attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR), 9);
    EQUAL(attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR), 0);
    EQUAL(attribute(CU_DEVICE_ATTRIBUTE_WARP_SIZE), 32);
    EQUAL(attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN), 101376);
    EQUAL(cuDeviceGetAttribute(&value, 12345, 0), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuDeviceGetAttribute(&value, 1, 7), CUDA_ERROR_INVALID_DEVICE);
  }));
  GOOD(inProcess({{"SOFTCUDA_DEVICES", "0"}}, [] { EQUAL(cuInit(0), CUDA_ERROR_NO_DEVICE); }));
  GOOD(inProcess({{"SOFTCUDA_VERSION", "11040"}}, [] {
    int value;
    OK(cuDriverGetVersion(&value));
    EQUAL(value, 11040);
  }));
}

void primaryContext() {
  GOOD(inProcess({}, [] {
    OK(cuInit(0));
    CUcontext first, second, current;
    unsigned flags;
    int active;
    EQUAL(cuDevicePrimaryCtxRelease_v2(0), CUDA_ERROR_INVALID_CONTEXT);
    OK(cuDevicePrimaryCtxRetain(&first, 0));
    OK(cuDevicePrimaryCtxRetain(&second, 0));
    CHECK(first == second);
    OK(cuDevicePrimaryCtxRelease_v2(0));
    OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
    EQUAL(active, 1);
    EQUAL(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
    OK(cuCtxPushCurrent_v2(first));
    OK(cuCtxSynchronize());
    OK(cuCtxSynchronize_v2(first));
    OK(cuCtxPopCurrent_v2(&current));
    CHECK(current == first);
    EQUAL(cuCtxPopCurrent_v2(&current), CUDA_ERROR_INVALID_CONTEXT);
    OK(cuCtxSetCurrent(first));
    OK(cuDevicePrimaryCtxRelease_v2(0));
    OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
    EQUAL(active, 0);
    EQUAL(cuCtxSynchronize(), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    EQUAL(cuCtxSetCurrent(first), CUDA_ERROR_INVALID_CONTEXT);
    OK(cuCtxSetCurrent(nullptr));
    OK(cuCtxGetCurrent(&current));
    CHECK(current == nullptr);
  }));
}

void handles() {
  GOOD(inProcess({{"SOFTCUDA_DEVICES", "2"}}, [] {
    const Session session;
    CUstream stream, foreign;
    CUevent event;
    CUcontext other;
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuEventCreate(&event, 0));
    EQUAL(cuStreamCreate(&foreign, 2), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuEventCreate(&event, 64), CUDA_ERROR_INVALID_VALUE);
    OK(cuStreamDestroy_v2(stream));
    EQUAL(cuStreamDestroy_v2(stream), CUDA_ERROR_INVALID_HANDLE);
    EQUAL(cuStreamSynchronize(stream), CUDA_ERROR_INVALID_HANDLE);
    EQUAL(cuEventRecord(event, stream), CUDA_ERROR_INVALID_HANDLE);
    EQUAL(cuEventSynchronize(reinterpret_cast<CUevent>(&event)), CUDA_ERROR_INVALID_HANDLE);
    EQUAL(launchStore(session, words(1, 0), stream), CUDA_ERROR_INVALID_HANDLE);
    EQUAL(cuStreamSynchronize(reinterpret_cast<CUstream>(2)), CUDA_ERROR_NOT_SUPPORTED);
    OK(cuStreamSynchronize(reinterpret_cast<CUstream>(1)));
    OK(cuDevicePrimaryCtxRetain(&other, 1));
    OK(cuCtxPushCurrent_v2(other));
    OK(cuStreamCreate(&foreign, CU_STREAM_NON_BLOCKING));
    EQUAL(cuEventRecord(event, foreign), CUDA_ERROR_INVALID_HANDLE);
    OK(cuCtxPopCurrent_v2(nullptr));
    EQUAL(launchStore(session, words(1, 0), foreign), CUDA_ERROR_INVALID_HANDLE);
  }));
}

void errorTexts() {
  GOOD(inProcess({}, [] {
    const char* text = nullptr;
    OK(cuGetErrorName(2, &text));
    EQUAL(std::strcmp(text, "CUDA_ERROR_OUT_OF_MEMORY"), 0);
    OK(cuGetErrorString(2, &text));
    EQUAL(std::strcmp(text, "out of memory"), 0);
    EQUAL(cuGetErrorName(12345, &text), CUDA_ERROR_INVALID_VALUE);
    CHECK(text == nullptr);
  }));
}

void* symbol(const char* name, int version, int expected) {
  void* address = nullptr;
  int status = -1;
  OK(cuGetProcAddress_v2(name, &address, version, 0, &status));
  EQUAL(status, expected);
  return address;
}

void procAddress() {
  constexpr int found = CU_GET_PROC_ADDRESS_SUCCESS, tooOld = CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
  GOOD(inProcess({}, [] {
    void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    CHECK(library);
    struct {
      const char* name;
      int version;
      const char* exported;
    } constexpr rows[] = {
        {"cuMemAlloc", 12000, "cuMemAlloc_v2"},
        {"cuMemAlloc", 3010, "cuMemAlloc"},
        {"cuCtxSynchronize", 12000, "cuCtxSynchronize"},
        {"cuCtxSynchronize", 13000, "cuCtxSynchronize_v2"},
        {"cuStreamBeginCapture", 10000, "cuStreamBeginCapture"},
        {"cuStreamBeginCapture", 12000, "cuStreamBeginCapture_v2"},
        {"cuEventElapsedTime", 12070, "cuEventElapsedTime"},
        {"cuEventElapsedTime", 13000, "cuEventElapsedTime_v2"},
        {"cuGetProcAddress", 11030, "cuGetProcAddress"},
        {"cuGetProcAddress", 12000, "cuGetProcAddress_v2"},
        {"cuLaunchKernel", 12000, "cuLaunchKernel"},
    };
    for (const auto& row : rows) {
      void* expected = dlsym(library, row.exported);
      CHECK(expected && symbol(row.name, row.version, found) == expected);
    }
    CHECK(!symbol("cuGraphInstantiateWithFlags", 11030, tooOld));
    CHECK(!symbol("cuMemAlloc_v2", 12000, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND));
    CHECK(!symbol("cuNothing", 12000, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND));
    void* address;
    EQUAL(cuGetProcAddress("cuNothing", &address, 12000, 0), CUDA_ERROR_NOT_FOUND);
  }));
  GOOD(inProcess({{"SOFTCUDA_VERSION", "11040"}}, [] {  // an old driver has no new forms, whatever is asked for
    CHECK(symbol("cuCtxSynchronize", 13000, found) == reinterpret_cast<void*>(cuCtxSynchronize));
  }));
}

void oldNames() {
  const Outcome outcome = inProcess({}, [] {
    const Session session;
    unsigned address = 0;
    EQUAL(cuMemAlloc(&address, 4), CUDA_ERROR_NOT_SUPPORTED);
    EQUAL(cuMemFree(address), CUDA_ERROR_NOT_SUPPORTED);
    CUstream stream;
    OK(cuStreamCreate(&stream, 0));
    OK(cuStreamDestroy(stream));
  });
  GOOD(outcome);
  CHECK(outcome.errors.find("ask for cuMemAlloc_v2") != std::string::npos);
}

/** Every thread has its own stack of contexts; calls of several threads do not disturb each other. */
void threads() {
  GOOD(inProcess({}, [] {
    const Session session;
    std::thread([] {
      CUdeviceptr address;
      EQUAL(cuMemAlloc_v2(&address, 4), CUDA_ERROR_INVALID_CONTEXT);
    }).join();
    std::vector<std::thread> all;
    std::vector<unsigned> results(8);
    for (unsigned t = 0; t < 8; ++t)
      all.emplace_back([&, t] {
        OK(cuCtxSetCurrent(session.context));
        CUdeviceptr data;
        CUstream stream;
        OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
        OK(cuMemAlloc_v2(&data, 400));
        OK(cuMemsetD32Async(data, t, 100, stream));
        for (int i = 0; i < 50; ++i) OK(launchAdd(session, data, 1, 100, stream));
        OK(cuMemcpyDtoHAsync_v2(&results[t], data + 396, 4, stream));
        OK(cuStreamSynchronize(stream));
        OK(cuMemFree_v2(data));
        OK(cuStreamDestroy_v2(stream));
      });
    for (std::thread& thread : all) thread.join();
    for (unsigned t = 0; t < 8; ++t) EQUAL(results[t], t + 50);
  }));
}

}  // namespace

int main(int count, char** arguments) {
  return runCases({{"not initialised", notInitialised},
                   {"devices", devices},
                   {"primary context", primaryContext},
                   {"handles", handles},
                   {"error texts", errorTexts},
                   {"symbols by version", procAddress},
                   {"old names", oldNames},
                   {"threads", threads}},
                  count, arguments);
}
