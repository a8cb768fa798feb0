// Parameter block of combine: how the directional derivatives of K directions become the coefficients of one estimate.
#pragma once
#include "core/inline.h"
#include "core/kernel.h"
#include "core/tangent.h"

namespace pushforward {

/** The K tangents of one parameter, seen as [rows, n]: gaussian, rademacher or lowRank. */
struct DrawnTangent {
  TangentOperand law;
  int64_t rows, n;
};

/**
 * Operands c, c′ [directions]. `project`: c′ = K G⁻¹ c, else c; `clip` > 0: c′ is scaled so that ‖(1/K) Σ c′_k v_k‖ ≤ clip. G is summed
 * over `tangents` DrawnTangents, which stand behind this block.
 */
struct CombineParameters {
  int32_t directions, project;
  double clip;
  int64_t tangents;
};

PUSHFORWARD_INLINE const DrawnTangent* tangentsOf(const CombineParameters& p) {
  return reinterpret_cast<const DrawnTangent*>(&p + 1);
}

/**
 * A pivot of less than this part of its diagonal element counts as zero: the rounding of float64 sums leaves some 2⁻⁵⁰, and c, of
 * float32, would be blown up beyond any use long before.
 */
constexpr double singularPivot = 0x1p-40;

}  // namespace pushforward
