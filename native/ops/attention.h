// Parameter block of attention_primal, attention_pushforward and attention_pullback.
#pragma once
#include "core/kernel.h"

namespace pushforward {

/**
 * For every index of `batch` (all leading axes as one): P = softmax(scale q kᵀ + mask) along the keys, y = P v. q [batch, n, d],
 * k [batch, m, d], v [batch, m, e], mask [n, m] or nullptr, y [batch, n, e]. Query i sees the keys j ≤ i + offset, of which there are
 * min(m, i + offset + 1) ≥ 1; without a causal mask the offset is m.
 *   attention_primal       q, k, v, mask, y
 *   attention_pushforward  q, k, v, mask, q̇, k̇, v̇ (nullptr where zero), y, ẏ; tangents have `directions` in front
 *   attention_pullback     q, k, v, ȳ, mask, q̄, k̄, v̄
 */
struct AttentionParameters {
  int64_t batch, n, m, d, e, offset;
  int32_t directions;
  double scale;
};

}  // namespace pushforward
