// Parameter block of matmul.
#pragma once
#include "core/kernel.h"
#include "core/weight_layout.h"

namespace pushforward {

/**
 * y[t] = A[t] B[t], A = aᵀ or a, B = bᵀ or b, for every index t of the broadcast batch axes. Operands a, b, y.
 * A is [m, k] (a is [k, m] when transposeA), B is [k, n] (b is [n, k] when transposeB), y [batch…, m, n] dense. Batch index t reads a
 * at Σ t·aStride and b at Σ t·bStride elements (0 where broadcast).
 */
struct MatmulParameters {
  int64_t m, n, k;
  int32_t transposeA, transposeB;
  WeightLayout layout;  // of b: in panels it is one matrix
  int32_t batchRank;
  int64_t batchShape[maxRank], aStride[maxRank], bStride[maxRank];
};

}  // namespace pushforward
