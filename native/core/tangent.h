// A tangent operand of a fused kernel: how the tangents of one operand, K directions of them, come into being.
#pragma once
#include <cstdint>

namespace pushforward {

/**
 * zero: by structure, nothing is computed. given: a buffer [K, …]. gaussian, rademacher: generated in the kernel, DESIGN section 4.
 * lowRank: V_k = scale · Σ_q a_kq b_kqᵀ with rademacher a (stream 5, [rows]) and b (stream 6, [n]), direction k·rank + q, scale 1/√rank.
 */
enum class TangentKind : int32_t { zero = 0, given = 1, gaussian = 2, rademacher = 3, lowRank = 4 };

struct TangentOperand {
  TangentKind kind;
  uint32_t parameter;  // counter word 1: the parameter's ordinal
  uint32_t stream;     // 0 for gaussian and rademacher; lowRank uses 5 and 6 whatever stands here
  int32_t rank;        // lowRank only, else 0
};

}  // namespace pushforward
