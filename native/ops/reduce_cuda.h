// Arguments of the kernels of sum, mean, max, max_mask, log_sum_exp and argmax.
#pragma once
#include "cuda/reduction.h"
#include "ops/reduce.h"

namespace pushforward::cuda {

/**
 * Output o < outputs from the elements i < reduced of it, numbered in row-major order. With pieces > 1, of pieceSize elements each, the
 * kernel writes the state of piece q of output o to states[q · outputs + o], and reduce_join_*_kernel joins them. `y` of argmax is int32.
 */
struct ReduceArguments {
  ReduceParameters p;
  int64_t outputs, reduced, pieces, pieceSize;
  ReductionShape shape;
  const float* x;
  void* states;
  void* y;
};

}  // namespace pushforward::cuda
