// Launching a thread for each element.
#pragma once
#include "cuda/launch.h"

namespace pushforward::cuda {

constexpr uint32_t elementThreads = 256;

/** A kernel that loops from gridIndex() by gridStride() to `count`; no launch for none, since a grid of 0 is an error. */
template <class Arguments>
void launchElements(const KernelCall& call, const char* kernel, int64_t count, const Arguments& arguments) {
  if (count == 0) return;
  launch(call, {kernel, {blocksOf(count, elementThreads), 1, 1}, elementThreads, 0}, arguments);
}

inline int64_t product(const int64_t* shape, int rank) {
  int64_t count = 1;
  for (int axis = 0; axis < rank; ++axis) count *= shape[axis];
  return count;
}

}  // namespace pushforward::cuda
