// Argument of the pools' kernels: one for all.
#pragma once
#include "ops/pool.h"

namespace pushforward::cuda {

/** Operands as ops/pool.h has them; those that a pool has not are nullptr. Counts of elements, those of ẋ and ẏ without their directions. */
struct PoolArguments {
  PoolParameters p;
  int64_t imageCount, resultCount;
  const float *x, *xDot, *yBar;
  const int32_t* indices;
  float *y, *yDot, *xBar;
  int32_t* indicesOut;
};

}  // namespace pushforward::cuda
