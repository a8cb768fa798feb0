// Faults of kernels, faults made on demand, leaks, and what is written down.
#include <algorithm>
#include <string>

#include "driver_harness.h"

using namespace softcuda;
using namespace softcuda::test;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

CUstream stream() {
  CUstream created = nullptr;
  OK(cuStreamCreate(&created, CU_STREAM_NON_BLOCKING));
  return created;
}

/** A kernel that stores at data + offset; every call after the one that saw the failure returns it too. */
Outcome storeAt(unsigned offset, int code, const char* order) {
  return inProcess({{"SOFTCUDA_ORDER", order}}, [=] {
    const Session session;
    const CUdeviceptr data = words(4, 0);
    CUevent event;
    OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    const CUstream on = stream();
    OK(launchStore(session, data + offset, on));
    EQUAL(cuStreamSynchronize(on), code);
    CUdeviceptr other;
    size_t free, total;
    CUfunction function;
    int value = 0;
    EQUAL(cuMemAlloc_v2(&other, 4), code);
    EQUAL(cuMemGetInfo_v2(&free, &total), code);
    EQUAL(cuCtxSynchronize(), code);
    EQUAL(cuEventRecord(event, on), code);
    EQUAL(cuEventQuery(event), code);
    EQUAL(cuModuleGetFunction(&function, session.module, "add"), code);
    EQUAL(cuMemcpyDtoH_v2(&value, data, 4), code);
    EQUAL(cuMemFree_v2(data), code);
    EQUAL(cuStreamDestroy_v2(on), code);
    EQUAL(cuEventDestroy_v2(event), code);
    EQUAL(cuModuleUnload(session.module), code);
    OK(cuDeviceGetCount(&value));  // needs no context
    OK(cuDevicePrimaryCtxRelease_v2(0));
    CUcontext fresh;
    OK(cuDevicePrimaryCtxRetain(&fresh, 0));
    OK(cuCtxSetCurrent(fresh));
    OK(cuCtxSynchronize());  // a new context has not failed
  });
}

void sticky() {
  for (const char* order : {"late", "random"}) {
    const Outcome outside = storeAt(16, CUDA_ERROR_ILLEGAL_ADDRESS, order);
    GOOD(outside);
    CHECK(!outside.faults.empty() && contains(outside.errors, "softcuda: "));
    EQUAL(std::count(outside.faults.begin(), outside.faults.end(), '\n'), 1);
    CHECK(outside.leaks.empty());
    GOOD(storeAt(2, CUDA_ERROR_MISALIGNED_ADDRESS, order));
  }
}

/** Calls that are let through, then the failing one. */
Outcome injected(const char* fault, const std::function<void()>& body) {
  return inProcess({{"SOFTCUDA_FAULT", fault}}, body);
}

void faultsOnDemand() {
  GOOD(injected("cuMemAlloc:2", [] {
    const Session session;
    CUdeviceptr address;
    OK(cuMemAlloc_v2(&address, 4));
    EQUAL(cuMemAlloc_v2(&address, 4), CUDA_ERROR_OUT_OF_MEMORY);
    OK(cuMemAlloc_v2(&address, 4));
    OK(cuCtxSynchronize());
  }));
  GOOD(injected("cuLaunchKernel:2", [] {
    const Session session;
    const CUdeviceptr data = words(4, 0);
    OK(launchStore(session, data, nullptr));
    EQUAL(launchStore(session, data, nullptr), CUDA_ERROR_LAUNCH_FAILED);
    EQUAL(cuCtxSynchronize(), CUDA_ERROR_LAUNCH_FAILED);
  }));
  GOOD(injected("cuStreamCreate:1:CUDA_ERROR_NOT_PERMITTED,cuEventCreate:1:801,cuInit:2", [] {
    const Session session;
    CUstream stream;
    CUevent event;
    EQUAL(cuStreamCreate(&stream, 0), CUDA_ERROR_NOT_PERMITTED);
    EQUAL(cuEventCreate(&event, 0), CUDA_ERROR_NOT_SUPPORTED);
    EQUAL(cuInit(0), CUDA_ERROR_NO_DEVICE);
  }));
}

void settingsAreChecked() {
  const Environment bad[] = {{{"SOFTCUDA_ORDER", "sometimes"}},
                             {{"SOFTCUDA_SEED", "-1"}},
                             {{"SOFTCUDA_FAULT", "cuInit"}},
                             {{"SOFTCUDA_FAULT", "cuInit:0"}},
                             {{"SOFTCUDA_FAULT", "cuInit:1:CUDA_ERROR_NONE"}},
                             {{"SOFTCUDA_CAPABILITY", "eight"}},
                             {{"SOFTCUDA_MEMORY", "4G"}}};
  for (const Environment& environment : bad) {
    const Outcome outcome = inProcess(environment, [] { cuInit(0); });
    EQUAL(outcome.status, 2);
    CHECK(contains(outcome.errors, "softcuda: [" + environment[0].first + "] expected "));
  }
}

void leaks() {
  const Outcome outcome = inProcess({}, [] {
    CUcontext context;
    CUmodule module;
    CUdeviceptr device;
    CUevent event;
    CUgraph graph;
    CUgraphExec exec;
    void* host;
    OK(cuInit(0));
    OK(cuDevicePrimaryCtxRetain(&context, 0));
    OK(cuCtxSetCurrent(context));
    OK(cuModuleLoadData(&module, kernels));
    OK(cuMemAlloc_v2(&device, 1234));
    OK(cuMemAllocHost_v2(&host, 4321));
    OK(cuEventCreate(&event, 0));
    const CUstream on = stream();
    OK(cuStreamBeginCapture_v2(on, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuMemsetD8Async(device, 0, 4, on));
    OK(cuStreamEndCapture(on, &graph));
    OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  });
  GOOD(outcome);
  for (const char* leak : {"device memory of 1234 bytes", "pinned host memory of 4321 bytes", "event", "stream",
                           "module", "context of device 0", "graph of 1 nodes", "instantiated graph of 1 nodes"}) {
    CHECK(contains(outcome.leaks, leak));
    CHECK(contains(outcome.errors, std::string("softcuda: leak ") + leak));
  }
  EQUAL(std::count(outcome.leaks.begin(), outcome.leaks.end(), '\n'), 8);
}

void noLeaks() {
  const Outcome outcome = inProcess({}, [] {
    const Session session;
    const CUdeviceptr data = words(4, 0);
    const CUstream on = stream();
    CUevent event;
    void* host;
    OK(cuEventCreate(&event, 0));
    OK(cuMemHostAlloc(&host, 16, CU_MEMHOSTALLOC_PORTABLE));
    OK(launchAdd(session, data, 1, 4, on));
    OK(cuMemFreeHost(host));
    OK(cuEventDestroy_v2(event));
    OK(cuStreamDestroy_v2(on));
    OK(cuMemFree_v2(data));
  });
  GOOD(outcome);
  CHECK(outcome.leaks.empty() && outcome.errors.empty());
}

void contextEndsWithLiveMemory() {
  const Outcome outcome = inProcess({}, [] {
    const Session session;
    words(77, 0);
  });
  GOOD(outcome);
  CHECK(contains(outcome.leaks, "device memory of 308 bytes"));
  EQUAL(std::count(outcome.leaks.begin(), outcome.leaks.end(), '\n'), 1);
}

void traceAndReport() {
  const Outcome outcome = inProcess({}, [] {
    const Session session;
    const CUdeviceptr data = words(4, 0);
    OK(launchAdd(session, data, 1, 4, nullptr));
    OK(launchAdd(session, data, 1, 4, nullptr));
    OK(cuMemFree_v2(data));
    EQUAL(cuMemFree_v2(1), CUDA_ERROR_INVALID_VALUE);
  });
  GOOD(outcome);
  CHECK(outcome.trace.rfind("cuInit(0) = CUDA_SUCCESS\n", 0) == 0);
  CHECK(contains(outcome.trace, "cuMemFree_v2(1) = CUDA_ERROR_INVALID_VALUE: "));
  CHECK(contains(outcome.trace, "\ncuLaunchKernel("));
  CHECK(contains(outcome.report, "add"));
}

}  // namespace

int main(int count, char** arguments) {
  return runCases({{"a fault stays", sticky},
                   {"faults on demand", faultsOnDemand},
                   {"settings are checked", settingsAreChecked},
                   {"leaks", leaks},
                   {"no leaks", noLeaks},
                   {"a context ends with live memory", contextEndsWithLiveMemory},
                   {"trace and report", traceAndReport}},
                  count, arguments);
}
