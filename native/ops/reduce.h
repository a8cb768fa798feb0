// Parameter block of sum, mean, max, max_mask and log_sum_exp.
#pragma once
#include "core/kernel.h"

namespace pushforward {

/**
 * y[o] = reduction over r < reduceShape of x[Σ o·outerStride + Σ r·reduceStride], in row-major order of r; y is
 * dense over outerShape, and so is x over all axes. Operands x, y. Both groups of axes are collapsed (innermost
 * last) and have rank at least 1; strides in elements. sum and mean divide by `divisor` (1 for sum). max_mask
 * writes at x's place: 1 for the maximum, 0 elsewhere.
 */
struct ReduceParameters {
  int32_t outerRank, reduceRank;
  int64_t outerShape[maxRank], outerStride[maxRank];
  int64_t reduceShape[maxRank], reduceStride[maxRank];
  double divisor;
};

}  // namespace pushforward
