// Graphs: made by a capture, instantiated, launched as often as one likes.
#include "call.h"

using namespace softcuda;
using namespace softcuda::driver;

namespace {

/** Every node is an operation of its own, so that independent nodes, and other streams between them, run in any order. */
void launch(GraphExec& exec, const std::shared_ptr<Stream>& stream) {
  Queue& queue = stream->context.queue;
  if (const int fault = queue.fault()) throw Error{static_cast<Result>(fault), "the context has failed"};
  requireUsable(*stream);
  auto before = predecessors(*stream);
  before.push_back(exec.last);
  const OperationPointer start = queue.submit(std::make_shared<const Work>(Join{}), before);
  std::vector<OperationPointer> operations;
  for (const Node& node : exec.nodes) {
    std::vector<OperationPointer> after{start};
    for (const size_t earlier : node.after) after.push_back(operations[earlier]);
    operations.push_back(queue.submit(node.work, after));
  }
  operations.push_back(start);
  stream->last = exec.last = queue.submit(std::make_shared<const Work>(Join{}), operations);
}

}  // namespace

CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph, unsigned long long flags) {
  return Call(__func__, kInitialised, exec, graph, flags).run([&] {
    constexpr unsigned long long autoFree = 1, nodePriority = 8;  // change nothing here
    if (!exec || (flags & ~(autoFree | nodePriority)))
      throw Error{CUDA_ERROR_INVALID_VALUE, "a null pointer or unknown flags"};
    const auto found = Driver::get().graphs.find(graph);
    if (!found) throw Error{CUDA_ERROR_INVALID_VALUE, "no such graph"};
    *exec = Driver::get().execs.add(std::make_shared<GraphExec>(GraphExec{found->nodes, {}}));
  });
}

CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
  return Call(__func__, kContext, exec, stream).run([&] {
    const auto found = Driver::get().execs.find(exec);
    if (!found) throw Error{CUDA_ERROR_INVALID_VALUE, "no such instantiated graph"};
    const auto on = Driver::get().stream(stream);
    if (on->capture) throw Error{CUDA_ERROR_NOT_SUPPORTED, "softcuda captures no graph inside a graph"};
    launch(*found, on);
  });
}

CUresult cuGraphExecDestroy(CUgraphExec exec) {
  return Call(__func__, kInitialised, exec).run([&] {
    if (!Driver::get().execs.find(exec)) throw Error{CUDA_ERROR_INVALID_VALUE, "no such instantiated graph"};
    Driver::get().execs.remove(exec);
  });
}

CUresult cuGraphDestroy(CUgraph graph) {
  return Call(__func__, kInitialised, graph).run([&] {
    if (!Driver::get().graphs.find(graph)) throw Error{CUDA_ERROR_INVALID_VALUE, "no such graph"};
    Driver::get().graphs.remove(graph);
  });
}

CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode* nodes, size_t* count) {
  return Call(__func__, kInitialised, graph, nodes, count).run([&] {
    const auto found = Driver::get().graphs.find(graph);
    if (!found || !count) throw Error{CUDA_ERROR_INVALID_VALUE, "no such graph, or a null pointer"};
    const size_t all = found->handles.size();
    if (nodes)
      for (size_t i = 0; i < *count; ++i) nodes[i] = i < all ? found->handles[i] : nullptr;
    if (!nodes || *count > all) *count = all;
  });
}
