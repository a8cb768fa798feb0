// Device memory and pinned host memory.
#include "driver_harness.h"

using namespace softcuda;
using namespace softcuda::test;

namespace {

void limit() {
  GOOD(inProcess({{"SOFTCUDA_MEMORY", "1000000"}}, [] {
    const Session session;
    size_t free, total, before;
    CUdeviceptr first, second;
    OK(cuMemGetInfo_v2(&before, &total));
    EQUAL(total, 1000000);
    OK(cuMemAlloc_v2(&first, 600000));
    OK(cuMemGetInfo_v2(&free, &total));
    EQUAL(free, before - 600000);
    EQUAL(cuMemAlloc_v2(&second, 600000), CUDA_ERROR_OUT_OF_MEMORY);
    OK(cuMemFree_v2(first));
    OK(cuMemAlloc_v2(&second, 600000));
    OK(cuMemFree_v2(second));
  }));
}

void freshMemoryIsGarbage() {
  GOOD(inProcess({}, [] {
    const Session session;
    CUdeviceptr address;
    OK(cuMemAlloc_v2(&address, 4096));
    for (const unsigned value : read(address, 1024)) CHECK(value != 0);
    void* host;
    OK(cuMemAllocHost_v2(&host, 64));
    CHECK(static_cast<unsigned char*>(host)[63] != 0);
  }));
}

void badArguments() {
  GOOD(inProcess({}, [] {
    const Session session;
    CUdeviceptr data = words(16, 0), none;
    unsigned value = 0;
    EQUAL(cuMemAlloc_v2(&none, 0), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuMemAlloc_v2(nullptr, 4), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuMemFree_v2(data + 4), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuMemFree_v2(12345), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemFree_v2(0));
    EQUAL(cuMemcpyHtoD_v2(data + 62, &value, 4), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuMemcpyDtoH_v2(&value, data + 61, 4), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuMemcpyHtoDAsync_v2(data, &value, 65, nullptr), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuMemcpyDtoHAsync_v2(&value, data - 1, 4, nullptr), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuMemcpyDtoDAsync_v2(data, data + 32, 33, nullptr), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuMemcpyHtoD_v2(data, nullptr, 4), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuMemsetD32Async(data + 2, 0, 1, nullptr), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuMemsetD32Async(data, 0, 17, nullptr), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuMemsetD32Async(data, 0, SIZE_MAX / 2, nullptr), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuMemsetD8Async(data, 0, 65, nullptr), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemcpyHtoD_v2(data, &value, 0));
    EQUAL(cuMemAllocHost_v2(nullptr, 4), CUDA_ERROR_INVALID_VALUE);
    void* host;
    EQUAL(cuMemHostAlloc(&host, 4, 8), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuMemFreeHost(&value), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuMemFree_v2(data), CUDA_SUCCESS);
    EQUAL(cuMemFree_v2(data), CUDA_ERROR_INVALID_VALUE);
    OK(cuCtxSynchronize());
  }));
}

void copies() {
  GOOD(inProcess({}, [] {
    const Session session;
    const CUdeviceptr first = words(8, 1), second = words(8, 2);
    OK(cuMemcpyDtoDAsync_v2(second + 4, first, 8, nullptr));
    OK(cuMemsetD8Async(second + 13, 0xff, 2, nullptr));
    const auto values = read(second, 5);
    EQUAL(values[0], 2);
    EQUAL(values[1], 1);
    EQUAL(values[2], 1);
    EQUAL(values[3], 0x00ffff02);
    EQUAL(values[4], 2);
    unsigned back[2] = {8, 9};
    OK(cuMemcpyHtoD_v2(first + 24, back, 8));
    EQUAL(read(first, 8)[7], 9);
  }));
}

void useAfterFree() {
  const Outcome outcome = inProcess({}, [] {
    const Session session;
    const CUdeviceptr data = words(8, 1);
    OK(cuMemFree_v2(data));
    CHECK(words(8, 1) != data);
    unsigned value;
    EQUAL(cuMemcpyDtoH_v2(&value, data, 4), CUDA_ERROR_INVALID_VALUE);
    OK(launchStore(session, data, nullptr));
    EQUAL(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
  });
  GOOD(outcome);
  CHECK(outcome.faults.find("store") != std::string::npos);
}

/** Freeing waits for the work that uses the memory. */
void freeWaits() {
  for (const char* order : {"late", "needed", "random", "eager"})
    GOOD(inProcess({{"SOFTCUDA_ORDER", order}}, [] {
      const Session session;
      const CUdeviceptr from = words(8, 1), to = words(8, 0);
      CUstream stream;
      OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
      OK(launchCopy(session, to, from, 8, stream));
      OK(cuMemFree_v2(from));
      EQUAL(read(to, 8)[7], 1);
    }));
}

/** A graph that reads pinned memory after it was freed ends in a fault, not in a crash. */
void freedHostMemory() {
  const Outcome outcome = inProcess({}, [] {
    const Session session;
    const CUdeviceptr data = words(8, 0);
    void* host;
    OK(cuMemAllocHost_v2(&host, 32));
    CUstream stream;
    CUgraph graph;
    CUgraphExec exec;
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuMemcpyHtoDAsync_v2(data, host, 32, stream));
    OK(cuStreamEndCapture(stream, &graph));
    OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    OK(cuMemFreeHost(host));
    OK(cuGraphLaunch(exec, stream));
    EQUAL(cuStreamSynchronize(stream), CUDA_ERROR_ILLEGAL_ADDRESS);
  });
  GOOD(outcome);
  CHECK(outcome.faults.find("host memory had been freed") != std::string::npos);
}

}  // namespace

int main(int count, char** arguments) {
  return runCases({{"memory limit", limit},
                   {"fresh memory is garbage", freshMemoryIsGarbage},
                   {"bad arguments", badArguments},
                   {"copies", copies},
                   {"use after free", useAfterFree},
                   {"free waits", freeWaits},
                   {"freed host memory", freedHostMemory}},
                  count, arguments);
}
