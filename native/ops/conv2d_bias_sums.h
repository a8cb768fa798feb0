// b̄ = Σ δ over all pixels, beside w̄: a task of w̄'s kernel sums the pixels of a step while they are in the cache, and step upon step as a
// cascade (reduce_sum.h), so that the error is bounded as that of a sum of its own.
#pragma once
#include "ops/reduce_sum.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr int64_t biasLevels = 32;

/** Level i holds the sum of 2^i steps, filters padded to whole vectors; with levels nullptr nothing is summed. */
struct BiasSums {
  float* levels;
  int64_t filters;
  uint64_t steps;

  __attribute__((always_inline)) int64_t stride() const { return roundUp(filters, lanes); }

  template <int T, bool whole>
  void addTile(const float* delta, int64_t pixels, int64_t column, int n) const {
    Float sum[T];
    sumOfColumns<T, whole>(sum, delta + column, pixels, filters, n, PlainTerms{});
    float* level = levels + column;
    for (uint64_t rest = steps; rest & 1; rest >>= 1, level += stride())
      for (int t = 0; t < T; ++t) sum[t] = load(level + t * lanes) + sum[t];
    for (int t = 0; t < T; ++t) store(level + t * lanes, sum[t]);
  }

  /** A step of neighbouring pixels. */
  void add(const float* delta, int64_t pixels) {
    if (levels == nullptr) return;
    int64_t j = 0;
    for (; j + narrowTile * lanes <= filters; j += narrowTile * lanes) addTile<narrowTile, true>(delta, pixels, j, 0);
    for (; j + lanes <= filters; j += lanes) addTile<1, true>(delta, pixels, j, 0);
    if (j < filters) addTile<1, false>(delta, pixels, j, static_cast<int>(filters - j));
    ++steps;
  }

  /** The sum of all steps. */
  void total(float* b) const {
    if (levels == nullptr) return;
    for (int64_t j = 0; j < filters; j += lanes) {
      Float sum{};
      for (int64_t i = 0; steps >> i; ++i)
        if (steps >> i & 1) sum = load(levels + i * stride() + j) + sum;
      storeFirst(b + j, sum, filters - j);
    }
  }
};

/** Floats of the levels of a task. */
PUSHFORWARD_INLINE int64_t biasFloats(int64_t filters) { return roundUp(biasLevels * roundUp(filters, lanes), 16); }

/** b̄ from the sums of `pieces`. */
static void addBiases(const float* sums, int64_t pieces, int64_t filters, float* b) {
  for (int64_t j = 0; j < filters; j += lanes) {
    const int n = static_cast<int>(minimum(lanes, filters - j));
    Float sum[1];
    sumOfColumns<1, false>(sum, sums + j, pieces, filters, n, PlainTerms{});
    storePartial(b + j, sum[0], n);
  }
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
