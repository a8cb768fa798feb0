// Parallel loops over the pool that a kernel call brings along.
#pragma once
#include "core/inline.h"
#include "core/kernel.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

/**
 * f(index, thread) for index in [0, tasks), in any order; the caller runs them itself when there is one task or one
 * thread.
 */
template <class F>
PUSHFORWARD_INLINE void parallelFor(const KernelCall& call, int64_t tasks, const F& f) {
  struct Task {
    static void run(void* context, int64_t index, int thread) { (*static_cast<const F*>(context))(index, thread); }
  };
  if (tasks <= 1 || call.parallel == nullptr || call.parallel->threads <= 1) {
    for (int64_t index = 0; index < tasks; ++index) f(index, 0);
    return;
  }
  call.parallel->run(call.parallel->pool, tasks, &Task::run, const_cast<void*>(static_cast<const void*>(&f)));
}

/**
 * f(begin, end, thread) over [0, count) in pieces of at least `grain` items, at most `threads` of them; begin is a
 * multiple of `step`.
 */
template <class F>
PUSHFORWARD_INLINE void parallelRanges(const KernelCall& call, int64_t count, int64_t grain, int64_t step, const F& f) {
  const int64_t threads = call.parallel == nullptr || call.parallel->threads < 1 ? 1 : call.parallel->threads;
  int64_t pieces = grain < 1 ? count : count / grain;
  if (pieces > threads) pieces = threads;
  if (pieces <= 1) {
    if (count > 0) f(int64_t{0}, count, 0);
    return;
  }
  const int64_t size = ((count + pieces - 1) / pieces + step - 1) / step * step;
  parallelFor(call, (count + size - 1) / size, [&](int64_t index, int thread) {
    const int64_t begin = index * size;
    f(begin, begin + size < count ? begin + size : count, thread);
  });
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
