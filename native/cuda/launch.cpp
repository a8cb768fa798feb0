#include "cuda/launch.h"

#include "cuda/queue.h"

namespace pushforward::cuda {

Parallel parallelOf(Queue& queue) { return {1, &queue, nullptr}; }

void enqueue(const KernelCall& call, const Launch& launch, const void* arguments) {
  Queue& queue = *static_cast<Queue*>(call.parallel->pool);
  Context& context = queue.context;
  const Function& function = context.function(launch.kernel, launch.sharedBytes);
  if (!queue.stream || launch.grid[0] == 0 || launch.grid[1] == 0 || launch.grid[2] == 0) return;
  context.expectAlive();
  void* parameters[] = {const_cast<void*>(arguments)};
  Result result =
      context.api.cuLaunchKernel.function(function.handle, launch.grid[0], launch.grid[1], launch.grid[2],
                                          launch.threads, 1, 1, launch.sharedBytes, queue.stream, parameters, nullptr);
  if (result == success && queue.waits) result = context.api.cuStreamSynchronize.function(queue.stream);
  if (result != success) context.failed("cuLaunchKernel", launch.kernel, result);
}

void copyOnQueue(const Parallel& parallel, void* to, const void* from, size_t bytes) {
  Queue& queue = *static_cast<Queue*>(parallel.pool);
  if (!queue.stream || bytes == 0) return;
  queue.context.call(queue.context.api.cuMemcpyDtoDAsync, addressOf(to), addressOf(from), bytes, queue.stream);
}

}  // namespace pushforward::cuda
