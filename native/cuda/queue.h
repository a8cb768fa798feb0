// Where launches go: what KernelCall::parallel->pool is on a GPU.
#pragma once
#include "core/kernel.h"
#include "cuda/context.h"

namespace pushforward::cuda {

struct Queue {
  Context& context;
  Stream stream;  // nullptr: nothing is launched, but what would be is checked
  bool waits;     // for every kernel to end, so that an error has its name
};

/** A `Parallel` that carries the queue to `enqueue`; it has no threads. */
Parallel parallelOf(Queue& queue);

void copyOnQueue(const Parallel& parallel, void* to, const void* from, size_t bytes);

}  // namespace pushforward::cuda
