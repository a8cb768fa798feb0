// Stream capture and graphs.
#include <thread>

#include "driver_harness.h"

using namespace softcuda;
using namespace softcuda::test;

namespace {

constexpr unsigned kCount = 8;

CUstream stream(unsigned flags = CU_STREAM_NON_BLOCKING) {
  CUstream created = nullptr;
  OK(cuStreamCreate(&created, flags));
  return created;
}

CUevent event() {
  CUevent created = nullptr;
  OK(cuEventCreate(&created, CU_EVENT_DISABLE_TIMING));
  return created;
}

void begin(CUstream on, int mode = CU_STREAM_CAPTURE_MODE_GLOBAL) { OK(cuStreamBeginCapture_v2(on, mode)); }

CUgraph end(CUstream on) {
  CUgraph graph = nullptr;
  OK(cuStreamEndCapture(on, &graph));
  return graph;
}

CUgraphExec instantiate(CUgraph graph) {
  CUgraphExec exec = nullptr;
  OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  return exec;
}

int status(CUstream on) {
  int value = -1;
  OK(cuStreamIsCapturing(on, &value));
  return value;
}

void inEveryOrder(const std::function<void()>& body) {
  for (const char* order : {"late", "needed", "eager"}) GOOD(inProcess({{"SOFTCUDA_ORDER", order}}, body));
  for (int seed = 0; seed < 8; ++seed)
    GOOD(inProcess({{"SOFTCUDA_ORDER", "random"}, {"SOFTCUDA_SEED", std::to_string(seed)}}, body));
}

void nothingRunsWhileCapturing() {
  inEveryOrder([] {
    const Session session;
    const CUdeviceptr data = words(kCount, 1);
    const CUstream on = stream();
    EQUAL(status(on), CU_STREAM_CAPTURE_STATUS_NONE);
    begin(on);
    EQUAL(status(on), CU_STREAM_CAPTURE_STATUS_ACTIVE);
    OK(launchAdd(session, data, 1, kCount, on));
    const CUgraph graph = end(on);
    EQUAL(status(on), CU_STREAM_CAPTURE_STATUS_NONE);
    OK(cuCtxSynchronize());
    EQUAL(read(data, kCount)[7], 1);
    const CUgraphExec exec = instantiate(graph);
    OK(cuGraphDestroy(graph));
    for (int i = 0; i < 5; ++i) OK(cuGraphLaunch(exec, on));
    OK(cuStreamSynchronize(on));
    EQUAL(read(data, kCount)[7], 6);
    OK(cuGraphExecDestroy(exec));
    EQUAL(cuGraphLaunch(exec, on), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuGraphExecDestroy(exec), CUDA_ERROR_INVALID_VALUE);
    EQUAL(cuGraphDestroy(graph), CUDA_ERROR_INVALID_VALUE);
  });
}

/** Parameters are read at the capture, host memory at every replay. */
void whatIsCopiedWhen() {
  inEveryOrder([] {
    const Session session;
    CUdeviceptr data = words(kCount, 0);
    unsigned *in, *out, amount = 10, count = kCount;
    OK(cuMemAllocHost_v2(reinterpret_cast<void**>(&in), 4 * kCount));
    OK(cuMemAllocHost_v2(reinterpret_cast<void**>(&out), 4 * kCount));
    void* parameters[] = {&data, &amount, &count};
    const CUstream on = stream();
    begin(on);
    OK(cuMemcpyHtoDAsync_v2(data, in, 4 * kCount, on));
    OK(cuLaunchKernel(session.kernel("add"), 1, 1, 1, 32, 1, 1, 0, on, parameters, nullptr));
    OK(cuMemcpyDtoHAsync_v2(out, data, 4 * kCount, on));
    OK(cuMemsetD32Async(data, 3, kCount, on));
    const CUgraphExec exec = instantiate(end(on));
    amount = 999;
    for (unsigned round = 0; round < 3; ++round) {
      for (unsigned i = 0; i < kCount; ++i) in[i] = round;
      OK(cuGraphLaunch(exec, on));
      OK(cuStreamSynchronize(on));
      EQUAL(out[kCount - 1], 10 + round);
      EQUAL(read(data, 1)[0], 3);
    }
  });
}

/** first: a, then b and c side by side on two streams, then d. */
CUgraph forked(const Session& session, CUdeviceptr one, CUdeviceptr two, CUstream first, CUstream second, bool join) {
  const CUevent fork = event(), joined = event();
  begin(first);
  OK(launchAdd(session, one, 1, kCount, first));
  OK(cuEventRecord(fork, first));
  OK(cuStreamWaitEvent(second, fork, 0));
  EQUAL(status(second), CU_STREAM_CAPTURE_STATUS_ACTIVE);
  OK(launchCopy(session, two, one, kCount, second));
  OK(launchAdd(session, two, 100, kCount, second));
  OK(cuEventRecord(joined, second));
  if (join) OK(cuStreamWaitEvent(first, joined, 0));
  if (join) OK(launchCopy(session, one, two, kCount, first));
  CUgraph graph = nullptr;
  EQUAL(cuStreamEndCapture(first, &graph), join ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
  EQUAL(status(second), CU_STREAM_CAPTURE_STATUS_NONE);
  return graph;
}

void forkAndJoin() {
  inEveryOrder([] {
    const Session session;
    const CUdeviceptr one = words(kCount, 0), two = words(kCount, 0);
    const CUstream first = stream(), second = stream();
    const CUgraph graph = forked(session, one, two, first, second, true);
    size_t count = 0;
    OK(cuGraphGetNodes(graph, nullptr, &count));
    EQUAL(count, 4);
    CUgraphNode nodes[6];
    count = 6;
    OK(cuGraphGetNodes(graph, nodes, &count));
    EQUAL(count, 4);
    CHECK(nodes[3] != nullptr && nodes[3] != nodes[2] && nodes[5] == nullptr);
    const CUgraphExec exec = instantiate(graph);
    for (int i = 0; i < 3; ++i) OK(cuGraphLaunch(exec, first));
    OK(cuStreamSynchronize(first));
    EQUAL(read(one, kCount)[7], 303);
  });
}

void unjoined() {
  inEveryOrder([] {
    const Session session;
    const CUdeviceptr one = words(kCount, 0), two = words(kCount, 0);
    const CUstream first = stream(), second = stream();
    CHECK(forked(session, one, two, first, second, false) == nullptr);
    OK(cuStreamSynchronize(second));
  });
}

/** Independent nodes run in more than one order. */
void nodesAreShuffled() {
  const auto last = [](int seed) {
    return inProcess({{"SOFTCUDA_SEED", std::to_string(seed)}},
                     [] {
                       const Session session;
                       const CUdeviceptr data = words(1, 0);
                       const CUstream first = stream();
                       const CUevent fork = event();
                       begin(first);
                       OK(cuEventRecord(fork, first));
                       std::vector<CUevent> joins;
                       for (unsigned i = 0; i < 4; ++i) {
                         const CUstream side = stream();
                         OK(cuStreamWaitEvent(side, fork, 0));
                         OK(cuMemsetD32Async(data, i, 1, side));
                         joins.push_back(event());
                         OK(cuEventRecord(joins.back(), side));
                       }
                       for (const CUevent join : joins) OK(cuStreamWaitEvent(first, join, 0));
                       OK(cuGraphLaunch(instantiate(end(first)), first));
                       OK(cuStreamSynchronize(first));
                       std::exit(100 + static_cast<int>(read(data, 1)[0]));
                     })
        .status;
  };
  bool differ = false;
  for (int seed = 0; seed < 8; ++seed) differ = differ || last(seed) != last(0);
  CHECK(differ);
}

/** A launch waits for what stands before it in its stream; what stands behind waits for all of it. */
void launchesAreOrdered() {
  inEveryOrder([] {
    const Session session;
    const CUdeviceptr data = words(kCount, 0);
    const CUstream on = stream(), other = stream();
    begin(on);
    OK(launchAdd(session, data, 1, kCount, on));
    OK(launchAdd(session, data, 1, kCount, on));
    const CUgraphExec exec = instantiate(end(on));
    OK(cuMemsetD32Async(data, 10, kCount, on));
    OK(cuGraphLaunch(exec, on));
    OK(cuGraphLaunch(exec, other));  // behind the first launch, though on another stream
    const CUevent done = event();
    OK(cuEventRecord(done, other));
    OK(cuStreamSynchronize(other));
    OK(cuStreamWaitEvent(on, done, 0));
    OK(cuMemsetD32Async(data + 4, 5, 1, on));
    OK(cuStreamSynchronize(on));
    const auto values = read(data, 2);
    EQUAL(values[0], 14);
    EQUAL(values[1], 5);
  });
}

/** The call is refused with `code`, and the capture is lost. */
void spoils(const std::function<int(CUstream)>& call, int code) {
  const Outcome outcome = inProcess({}, [&] {
    const Session session;
    const CUdeviceptr data = words(kCount, 0);
    const CUstream on = stream();
    begin(on);
    EQUAL(call(on), code);
    EQUAL(status(on), CU_STREAM_CAPTURE_STATUS_INVALIDATED);
    EQUAL(launchAdd(session, data, 1, kCount, on), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    CUgraph graph = nullptr;
    EQUAL(cuStreamEndCapture(on, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    CHECK(graph == nullptr);
    OK(launchAdd(session, data, 1, kCount, on));  // the stream works again
    OK(cuStreamSynchronize(on));
  });
  GOOD(outcome);
}

void forbiddenCalls() {
  constexpr int unsupported = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  CUdeviceptr address;
  void* host;
  unsigned word = 0;
  CUmodule module;
  spoils([&](CUstream) { return cuMemAlloc_v2(&address, 4); }, unsupported);
  spoils([&](CUstream) { return cuMemFree_v2(0); }, unsupported);
  spoils([&](CUstream) { return cuMemAllocHost_v2(&host, 4); }, unsupported);
  spoils([&](CUstream) { return cuMemcpyHtoD_v2(4096, &word, 4); }, unsupported);
  spoils([&](CUstream) { return cuModuleLoadData(&module, kernels); }, unsupported);
  spoils([&](CUstream) { return cuCtxSynchronize(); }, unsupported);
  spoils([&](CUstream on) { return cuStreamSynchronize(on); }, unsupported);
  spoils([&](CUstream on) { return cuStreamQuery(on); }, unsupported);
  spoils(
      [&](CUstream on) {
        const CUevent inside = event();
        OK(cuEventRecord(inside, on));
        return cuEventSynchronize(inside);
      },
      CUDA_ERROR_CAPTURED_EVENT);
  spoils(
      [&](CUstream on) {
        const CUevent outside = event();
        OK(cuEventRecord(outside, stream()));
        return cuStreamWaitEvent(on, outside, 0);
      },
      CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
}

void modes() {
  GOOD(inProcess({}, [] {
    const Session session;
    const CUstream on = stream();
    CUdeviceptr address;
    begin(on, CU_STREAM_CAPTURE_MODE_RELAXED);
    OK(cuMemAlloc_v2(&address, 4));
    end(on);
    const auto allocateElsewhere = [&] {
      int result = -1;
      std::thread([&] {
        OK(cuCtxSetCurrent(session.context));
        result = cuMemAlloc_v2(&address, 4);
      }).join();
      return result;
    };
    begin(on, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    EQUAL(allocateElsewhere(), CUDA_SUCCESS);
    end(on);
    begin(on, CU_STREAM_CAPTURE_MODE_GLOBAL);
    EQUAL(allocateElsewhere(), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    CUgraph graph;
    EQUAL(cuStreamEndCapture(on, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  }));
}

void endings() {
  GOOD(inProcess({}, [] {
    const Session session;
    const CUdeviceptr data = words(kCount, 0);
    CUgraph graph;
    const CUstream first = stream(), second = stream();
    EQUAL(cuStreamEndCapture(first, &graph), CUDA_ERROR_ILLEGAL_STATE);
    EQUAL(cuStreamBeginCapture_v2(nullptr, 0), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    EQUAL(cuStreamBeginCapture_v2(first, 3), CUDA_ERROR_INVALID_VALUE);
    begin(first);
    EQUAL(cuStreamBeginCapture_v2(first, 0), CUDA_ERROR_ILLEGAL_STATE);
    const CUevent fork = event();
    OK(cuEventRecord(fork, first));
    OK(cuStreamWaitEvent(second, fork, 0));
    EQUAL(cuStreamEndCapture(second, &graph), CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    EQUAL(cuStreamEndCapture(first, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    begin(first);
    int result = -1;
    std::thread([&] {
      OK(cuCtxSetCurrent(session.context));
      result = cuStreamEndCapture(first, &graph);
    }).join();
    EQUAL(result, CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
    EQUAL(cuStreamEndCapture(first, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    begin(first);
    begin(second);
    const CUevent other = event();
    OK(cuEventRecord(other, second));
    EQUAL(cuStreamWaitEvent(first, other, 0), CUDA_ERROR_STREAM_CAPTURE_MERGE);
    cuStreamEndCapture(first, &graph);
    cuStreamEndCapture(second, &graph);
    const CUstream blocking = stream(CU_STREAM_DEFAULT);
    begin(blocking);
    int value;
    EQUAL(cuStreamIsCapturing(nullptr, &value), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    EQUAL(status(blocking), CU_STREAM_CAPTURE_STATUS_ACTIVE);
    EQUAL(launchAdd(session, data, 1, kCount, nullptr), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    EQUAL(cuStreamEndCapture(blocking, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    OK(launchAdd(session, data, 1, kCount, nullptr));
    EQUAL(cuGraphInstantiateWithFlags(nullptr, nullptr, 0), CUDA_ERROR_INVALID_VALUE);
  }));
}

}  // namespace

int main(int count, char** arguments) {
  return runCases({{"nothing runs while capturing", nothingRunsWhileCapturing},
                   {"parameters at the capture, host memory at the replay", whatIsCopiedWhen},
                   {"fork and join", forkAndJoin},
                   {"unjoined", unjoined},
                   {"independent nodes are shuffled", nodesAreShuffled},
                   {"launches are ordered", launchesAreOrdered},
                   {"forbidden calls spoil the capture", forbiddenCalls},
                   {"modes", modes},
                   {"endings", endings}},
                  count, arguments);
}
