// The one pool of worker threads of the process. Kernels see it as a `Parallel` (core/kernel.h).
#pragma once
#include "core/kernel.h"

namespace pushforward {

/** Cores that this process may run on, at least 1. */
int usableCores();

/**
 * A `Parallel` of that many threads (the caller is one of them), no more than usableCores(); 0 means all. Threads
 * start with the first run that needs them and live as long as the process. While one thread's run occupies the pool,
 * a run from another thread, or from inside a task, does its tasks on the spot as thread 0. Tasks must not throw.
 */
Parallel poolOf(int threads);

}  // namespace pushforward
