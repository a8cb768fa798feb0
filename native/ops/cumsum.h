// Parameter block of cumsum and argmax.
#pragma once
#include "core/kernel.h"

namespace pushforward {

/**
 * x is [outer, size, inner]. Operands x, y: cumsum y[o, i, c] = Σ_{k ≤ i} x[o, k, c], from the other end with `reverse`; argmax int32
 * y [outer, inner], the place along `size` of the first maximum, or of the first NaN.
 */
struct AlongParameters {
  int64_t outer, size, inner;
  int32_t reverse;
};

}  // namespace pushforward
