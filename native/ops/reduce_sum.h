// Sums of vectors with error at most ε (1 + log₂ n) Σ|x|: groups of up to 64 terms are added at depth 11 at most,
// and the groups pairwise.
#pragma once
#include "ops/reduce_loop.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr int64_t groupTerms = 64;

/** Level i holds the sum of 2^i groups, as a binary counter. */
template <int T>
struct Cascade {
  Float level[40][T];
  uint64_t groups = 0;

  void add(Float (&sum)[T]) {
    int i = 0;
    for (; groups >> i & 1; ++i)
      for (int t = 0; t < T; ++t) sum[t] = level[i][t] + sum[t];
    for (int t = 0; t < T; ++t) level[i][t] = sum[t];
    ++groups;
  }
  void total(Float (&sum)[T]) const {
    for (int t = 0; t < T; ++t) sum[t] = Float{};
    for (int i = 0; groups >> i; ++i)
      if (groups >> i & 1)
        for (int t = 0; t < T; ++t) sum[t] = level[i][t] + sum[t];
  }
};

/** What is added: x itself. Other terms are functions of x; lanes beyond n must be 0 in `part`. */
struct PlainTerms {
  Float whole(const float* p, int) const { return load(p); }
  Float part(const float* p, int n, int) const { return loadPartial(p, n); }
};

/** sum[t] = Σ_{i < count} term(x + i·stride + t·lanes), count ≤ 64: eights as trees, then what is left. */
template <int T, bool whole, class Terms>
PUSHFORWARD_INLINE void sumGroup(Float (&sum)[T], const Terms& terms, const float* x, int64_t count, int64_t stride,
                                 int n) {
  auto term = [&](int64_t i, int t) {
    const float* p = x + i * stride + t * lanes;
    if constexpr (whole)
      return terms.whole(p, t);
    else
      return terms.part(p, n, t);
  };
  for (int t = 0; t < T; ++t) sum[t] = Float{};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (int t = 0; t < T; ++t)
      sum[t] += ((term(i, t) + term(i + 1, t)) + (term(i + 2, t) + term(i + 3, t))) +
                ((term(i + 4, t) + term(i + 5, t)) + (term(i + 6, t) + term(i + 7, t)));
  if (i == count) return;
  Float left[T];
  for (int t = 0; t < T; ++t) left[t] = term(i, t);
  for (++i; i < count; ++i)
    for (int t = 0; t < T; ++t) left[t] += term(i, t);
  for (int t = 0; t < T; ++t) sum[t] += left[t];
}

/** Σ term over `count` adjacent elements. */
template <class Terms>
void addRun(Cascade<1>& cascade, const float* x, int64_t count, const Terms& terms) {
  const int64_t vectors = count / lanes;
  const int rest = static_cast<int>(count % lanes);
  Float sum[1];
  for (int64_t i = 0; i < vectors; i += groupTerms) {
    sumGroup<1, true>(sum, terms, x + i * lanes, vectors - i < groupTerms ? vectors - i : groupTerms, lanes, 0);
    cascade.add(sum);
  }
  if (rest == 0) return;
  sum[0] = terms.part(x + vectors * lanes, rest, 0);
  cascade.add(sum);
}

template <class Terms>
float sumOfRun(const float* x, int64_t count, const Terms& terms) {
  const int64_t vectors = count / lanes;
  const int rest = static_cast<int>(count % lanes);
  Float sum[1];
  if (vectors <= groupTerms) {
    sumGroup<1, true>(sum, terms, x, vectors, lanes, 0);
    return horizontalSum(rest ? sum[0] + terms.part(x + vectors * lanes, rest, 0) : sum[0]);
  }
  Cascade<1> cascade;
  addRun(cascade, x, count, terms);
  cascade.total(sum);
  return horizontalSum(sum[0]);
}

/** Σ term over `count` vectors, stride apart, of each of T columns of vectors. */
template <int T, bool whole, class Terms>
void addColumns(Cascade<T>& cascade, const float* x, int64_t count, int64_t stride, int n, const Terms& terms) {
  Float sum[T];
  for (int64_t i = 0; i < count; i += groupTerms) {
    sumGroup<T, whole>(sum, terms, x + i * stride, count - i < groupTerms ? count - i : groupTerms, stride, n);
    cascade.add(sum);
  }
}

template <int T, bool whole, class Terms>
void sumOfColumns(Float (&sum)[T], const float* x, int64_t count, int64_t stride, int n, const Terms& terms) {
  if (count <= groupTerms) {
    sumGroup<T, whole>(sum, terms, x, count, stride, n);
    return;
  }
  Cascade<T> cascade;
  addColumns<T, whole>(cascade, x, count, stride, n, terms);
  cascade.total(sum);
}

// The same over all runs of a reduction.
template <class Terms>
float sumRow(const Reduction& r, const float* x, const Terms& terms) {
  if (r.runs == 1) return sumOfRun(x, r.run, terms);
  Cascade<1> cascade;
  for (int64_t q = 0; q < r.runs; ++q) addRun(cascade, x + r.runOffset(q), r.run, terms);
  Float sum[1];
  cascade.total(sum);
  return horizontalSum(sum[0]);
}

template <int T, bool whole, class Terms>
void sumColumns(Float (&sum)[T], const Reduction& r, const float* x, int n, const Terms& terms) {
  if (r.runs == 1) {
    sumOfColumns<T, whole>(sum, x, r.run, r.runStride, n, terms);
    return;
  }
  Cascade<T> cascade;
  for (int64_t q = 0; q < r.runs; ++q) {
    const float* from = x + r.runOffset(q);
    addColumns<T, whole>(cascade, from, r.run, r.runStride, n, terms);
  }
  cascade.total(sum);
}

template <int T, bool whole>
PUSHFORWARD_INLINE void storeTile(float* y, const Float (&values)[T], int n) {
  for (int t = 0; t < T; ++t)
    if constexpr (whole)
      store(y + t * lanes, values[t]);
    else
      storePartial(y, values[t], n);
}

/** y = (Σ x) / divisor. */
struct SumOp {
  static constexpr int tile = wideTile;
  float divisor;
  void row(const Reduction& r, const float* x, int64_t o, float* y) const {
    y[o] = sumRow(r, x, PlainTerms{}) / divisor;
  }
  template <int T, bool whole>
  void columns(const Reduction& r, const float* x, int64_t o, float* y, int n) const {
    Float sum[T];
    sumColumns<T, whole>(sum, r, x, n, PlainTerms{});
    for (int t = 0; t < T; ++t) sum[t] = sum[t] / divisor;
    storeTile<T, whole>(y + o, sum, n);
  }
};

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
