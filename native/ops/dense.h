// Parameter block of dense_primal and dense_pushforward.
#pragma once
#include "core/kernel.h"
#include "core/micro_program.h"
#include "core/tangent.h"
#include "core/weight_layout.h"

namespace pushforward {

/**
 * z = x w + b, y = act(z); ẏ_k = act'(z) ⊙ (ẋ_k w + x ẇ_k + ḃ_k), k < K.
 * x [rows, in], w [in, out], b [out], ẋ [K, rows, in], ẇ [K, in, out], ḃ [K, out], y [rows, out], ẏ [K, rows, out].
 * dense_primal: operands x, w, b, y; dense_pushforward: x, w, b, ẋ, ẇ, ḃ, y, ẏ, kept (factors that belong to w, ops/kept.h); nullptr for b without bias and for tangents whose
 * kind is not `given`. A lowRank ẇ_k is scale·Σ_q a_kq b_kqᵀ; ḃ is never lowRank. activation: z → y; slope: z → act'(z); both have
 * zero ops when the activation is 'none'. Operands and results that are packed for tiles of bf16 (core/packed.h) are so in whole, ẋ and ẏ with
 * all directions as rows.
 */
struct DenseParameters {
  int64_t rows, in, out;
  int32_t directions;
  WeightLayout layout;  // of w
  TangentOperand xDot, wDot, bDot;
  MicroProgram activation, slope;
  int32_t packedX, packedXDot, packedY, packedYDot;
  int32_t kept;  // capacity of factors, 0: none
};

}  // namespace pushforward
