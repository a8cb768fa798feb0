// x·y of float32 numbers in float64.
#pragma once
#include <cstdint>

#include "core/inline.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

/** Products are exact, and there are eight sums on every instruction set: the result has the same bits on all. */
PUSHFORWARD_INLINE double exactProduct(const float* x, const float* y, int64_t count) {
  double sum[8] = {};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (int j = 0; j < 8; ++j) sum[j] += double{x[i + j]} * double{y[i + j]};
  for (int j = 0; i + j < count; ++j) sum[j] += double{x[i + j]} * double{y[i + j]};
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
