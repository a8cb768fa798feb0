// Maxima in which NaN propagates: the hardware's maximum drops it, so it is looked for apart.
#pragma once
#include "ops/reduce_sum.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr float minusInfinity = -__builtin_inff();

/** A running maximum, and the lanes that have met NaN. */
struct Maximum {
  Float top;
  Int nan;
};

PUSHFORWARD_INLINE Maximum nothing() { return {broadcast(minusInfinity), Int{}}; }
PUSHFORWARD_INLINE void include(Maximum& m, Float x) {
  m.top = max(x, m.top);
  m.nan |= x != x;
}
PUSHFORWARD_INLINE Float valueOf(const Maximum& m) { return select(m.nan, broadcast(__builtin_nanf("")), m.top); }

inline void includeRun(Maximum (&m)[2], const float* x, int64_t count) {
  const int64_t vectors = count / lanes;
  const int rest = static_cast<int>(count % lanes);
  int64_t i = 0;
  for (; i + 2 <= vectors; i += 2) {
    include(m[0], load(x + i * lanes));
    include(m[1], load(x + (i + 1) * lanes));
  }
  if (i < vectors) include(m[0], load(x + i * lanes));
  if (rest) include(m[1], select(iota() < rest, loadPartial(x + vectors * lanes, rest), broadcast(minusInfinity)));
}

inline float total(const Maximum (&m)[2]) {
  if (any(m[0].nan | m[1].nan)) return __builtin_nanf("");
  return horizontalMax(max(m[0].top, m[1].top));
}

inline float maxOfRun(const float* x, int64_t count) {
  Maximum m[2] = {nothing(), nothing()};
  includeRun(m, x, count);
  return total(m);
}

template <int T, bool whole>
void includeColumns(Maximum (&m)[T], const float* x, int64_t count, int64_t stride, int n) {
  for (int64_t i = 0; i < count; ++i)
    for (int t = 0; t < T; ++t) {
      if constexpr (whole)
        include(m[t], load(x + i * stride + t * lanes));
      else
        include(m[t], loadPartial(x + i * stride, n));
    }
}

template <int T, bool whole>
void maxOfColumns(Float (&top)[T], const float* x, int64_t count, int64_t stride, int n) {
  Maximum m[T];
  for (int t = 0; t < T; ++t) m[t] = nothing();
  includeColumns<T, whole>(m, x, count, stride, n);
  for (int t = 0; t < T; ++t) top[t] = valueOf(m[t]);
}

// The same over all runs of a reduction.
inline float maxOfRow(const Reduction& r, const float* x) {
  Maximum m[2] = {nothing(), nothing()};
  for (int64_t q = 0; q < r.runs; ++q) includeRun(m, x + r.runOffset(q), r.run);
  return total(m);
}

template <int T, bool whole>
void maxColumns(Float (&top)[T], const Reduction& r, const float* x, int n) {
  Maximum m[T];
  for (int t = 0; t < T; ++t) m[t] = nothing();
  for (int64_t q = 0; q < r.runs; ++q) includeColumns<T, whole>(m, x + r.runOffset(q), r.run, r.runStride, n);
  for (int t = 0; t < T; ++t) top[t] = valueOf(m[t]);
}

struct MaxOp {
  static constexpr int tile = wideTile;
  void row(const Reduction& r, const float* x, int64_t o, float* y) const { y[o] = maxOfRow(r, x); }
  template <int T, bool whole>
  void columns(const Reduction& r, const float* x, int64_t o, float* y, int n) const {
    Float top[T];
    maxColumns<T, whole>(top, r, x, n);
    storeTile<T, whole>(y + o, top, n);
  }
};

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
