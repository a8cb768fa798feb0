// exp(x − top) as the terms of a sum: what logSumExp, softmax and the cross entropy add up.
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

/** The same, and each term is kept at x's place in y. */
template <int T>
struct StoredExpTerms {
  Float top[T];
  const float* x;
  float* y;
  Float whole(const float* p, int t) const {
    const Float e = exp(load(p) - top[t]);
    store(y + (p - x), e);
    return e;
  }
  Float part(const float* p, int n, int t) const {
    const Float e = select(iota() < n, exp(loadPartial(p, n) - top[t]), Float{});
    storePartial(y + (p - x), e, n);
    return e;
  }
};

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
