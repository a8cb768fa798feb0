// exp(x − top) as the terms of a sum: what logSumExp, softmax and the cross entropy add up. top is finite or its sum is not used.
#pragma once
#include "cpu/vector_math.h"
#include "ops/reduce_max.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

PUSHFORWARD_INLINE Int isFinite(Float x) { return x - x == 0.0f; }
PUSHFORWARD_INLINE bool isFinite(float x) { return x - x == 0.0f; }

template <int T>
struct ExpTerms {
  Float top[T];
  Float whole(const float* p, int t) const { return exp(load(p) - top[t]); }
  Float part(const float* p, int n, int t) const {
    return select(iota() < n, exp(loadPartial(p, n) - top[t]), Float{});
  }
};

/** As ExpTerms<1>, and keeps each term at x's place in y. */
struct StoredExpTerms {
  Float top;
  const float* x;
  float* y;
  Float whole(const float* p, int) const {
    const Float e = exp(load(p) - top);
    store(y + (p - x), e);
    return e;
  }
  Float part(const float* p, int n, int) const {
    const Float e = select(iota() < n, exp(loadPartial(p, n) - top), Float{});
    storePartial(y + (p - x), e, n);
    return e;
  }
};

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
