// The rules of sgd, adam and adamW for a vector of a parameter, and what applies them to a span of it: floats as they lie, or two rows at a
// time of planes, whose gradient may come from registers. Formulas stand in update.h.
#pragma once
#include "cpu/philox.h"
#include "ops/planes.h"
#include "ops/update.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

enum class Rule { sgd, adam, adamW };

constexpr int64_t contiguousAhead = 512;  // floats; between rows of a tile it is four rows

/** The hyperparameters of one step, computed in float64. */
struct Coefficients {
  float rate, momentum, weightDecay;  // adamW: weightDecay is rate·weightDecay
  float beta1, beta2, oneMinusBeta1, oneMinusBeta2, epsilon;
  float correctedRate, correction2;  // rate/(1 − β₁ᵗ), 1/√(1 − β₂ᵗ)
  bool nesterov;
};

static double power(double base, uint64_t exponent) {
  double result = 1.0;
  for (; exponent != 0; exponent >>= 1, base *= base)
    if ((exponent & 1) != 0) result *= base;
  return result;
}

static Coefficients coefficientsOf(const UpdateParameters& p, const RunState& state, Rule rule) {
  Coefficients c;
  const double decay = rule == Rule::adamW ? state.rate * p.weightDecay : p.weightDecay;
  c.rate = static_cast<float>(p.ownRate != 0 ? p.rate : state.rate);
  c.momentum = static_cast<float>(p.momentum);
  c.weightDecay = static_cast<float>(decay);
  c.beta1 = static_cast<float>(p.beta1);
  c.beta2 = static_cast<float>(p.beta2);
  c.oneMinusBeta1 = static_cast<float>(1.0 - p.beta1);
  c.oneMinusBeta2 = static_cast<float>(1.0 - p.beta2);
  c.epsilon = static_cast<float>(p.epsilon);
  c.correctedRate = static_cast<float>(state.rate / (1.0 - power(p.beta1, uint64_t{state.step} + 1)));
  c.correction2 = static_cast<float>(1.0 / __builtin_sqrt(1.0 - power(p.beta2, uint64_t{state.step} + 1)));
  c.nesterov = p.nesterov != 0;
  return c;
}

/**
 * A span of the parameter and of its state; `ahead` floats further on is what will be wanted some 200 cycles later.
 */
struct Span {
  float *parameter, *first, *second;
  const float* gradient;
  int64_t ahead;
};

/** State that is not there stays away. */
PUSHFORWARD_INLINE float* within(float* base, int64_t offset) { return base == nullptr ? nullptr : base + offset; }

/** The new p; its state at first, second is read and written. */
template <Rule rule, bool state>
PUSHFORWARD_INLINE Float updated(const Coefficients& c, Float p, Float g, float* first, float* second, int count) {
  const auto get = [&](const float* from) { return count == lanes ? load(from) : loadPartial(from, count); };
  const auto put = [&](float* to, Float x) {
    if (count == lanes)
      store(to, x);
    else
      storePartial(to, x, count);
  };
  if (rule == Rule::sgd) {
    g = multiplyAdd(broadcast(c.weightDecay), p, g);
    if (state) {
      const Float m = multiplyAdd(broadcast(c.momentum), get(first), g);
      put(first, m);
      g = c.nesterov ? multiplyAdd(broadcast(c.momentum), m, g) : m;
    }
    return multiplyAdd(broadcast(-c.rate), g, p);
  }
  if (rule == Rule::adamW) p = multiplyAdd(broadcast(-c.weightDecay), p, p);
  const Float m = multiplyAdd(broadcast(c.beta1), get(first), g * c.oneMinusBeta1);
  const Float v = multiplyAdd(broadcast(c.beta2), get(second), g * g * c.oneMinusBeta2);
  put(first, m);
  put(second, v);
  return p - m * c.correctedRate / multiplyAdd(sqrt(v), broadcast(c.correction2), broadcast(c.epsilon));
}

template <Rule rule, bool state>
PUSHFORWARD_INLINE void fetchAhead(const Span& at, int64_t i) {
  if (lanes != 16 && i % 16 != 0) return;
  if (state) __builtin_prefetch(at.first + i + at.ahead, 1);
  if (rule != Rule::sgd) __builtin_prefetch(at.second + i + at.ahead, 1);
}

template <Rule rule, bool state>
PUSHFORWARD_INLINE void updateVector(const Coefficients& c, float scale, const Span& at, int64_t i, int count) {
  if (lanes == 16 || i % 16 == 0) __builtin_prefetch(at.parameter + i + at.ahead, 1);
  fetchAhead<rule, state>(at, i);
  const bool whole = count == lanes;
  const Float p = whole ? load(at.parameter + i) : loadPartial(at.parameter + i, count),
              g = (whole ? load(at.gradient + i) : loadPartial(at.gradient + i, count)) * scale,
              result = updated<rule, state>(c, p, g, within(at.first, i), within(at.second, i), count);
  if (whole)
    store(at.parameter + i, result);
  else
    storePartial(at.parameter + i, result, count);
}

template <Rule rule, bool state>
static void updatePiece(const Coefficients& c, float scale, Span at, int64_t count) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) updateVector<rule, state>(c, scale, at, i, lanes);
  if (i < count) updateVector<rule, state>(c, scale, at, i, static_cast<int>(count - i));
}

// Where the gradient of a panel comes from: row(i, j), one vector of columns; at(i, j): that and the row below it, i even.

/** A panel [·, wide] of floats, to be scaled. */
struct PanelGradient {
  const float* g;
  int64_t wide;
  float scale;

  __attribute__((always_inline)) void at(int64_t i, int64_t j, Float& upper, Float& lower) const {
    upper = load(g + i * wide + j) * scale;
    lower = load(g + (i + 1) * wide + j) * scale;
  }
  __attribute__((always_inline)) Float row(int64_t i, int64_t j) const { return load(g + i * wide + j) * scale; }
};

/** The same, not scaled, rows tileColumns apart. */
struct BlockGradient {
  const float* g;

  __attribute__((always_inline)) void at(int64_t i, int64_t j, Float& upper, Float& lower) const {
    upper = load(g + i * tileColumns + j);
    lower = load(g + (i + 1) * tileColumns + j);
  }
};

/** ±c, by bits of sign words, four of them a row (fillSignWords); `shift` is the bit of the panel's first column. */
struct SignGradient {
  const uint32_t* words;
  int shift;
  float c;

  __attribute__((always_inline)) void at(int64_t i, int64_t j, Float& upper, Float& lower) const {
    upper = signs(words[4 * i], shift + static_cast<int>(j), broadcast(c));
    lower = signs(words[4 * i + 4], shift + static_cast<int>(j), broadcast(c));
  }
  __attribute__((always_inline)) Float row(int64_t i, int64_t j) const {
    return signs(words[4 * i], shift + static_cast<int>(j), broadcast(c));
  }
};

/** Σ_f a_f b_fᵀ, f < factors: a_f at left + f·leftStride, b_f at right + f·rightStride. */
struct FactorGradient {
  const float *left, *right;
  int64_t leftStride, rightStride, factors;

  __attribute__((always_inline)) void at(int64_t i, int64_t j, Float& upper, Float& lower) const {
    upper = lower = Float{};
    for (int64_t f = 0; f < factors; ++f) {
      const Float b = load(right + f * rightStride + j);
      upper = multiplyAdd(broadcast(left[f * leftStride + i]), b, upper);
      lower = multiplyAdd(broadcast(left[f * leftStride + i + 1]), b, lower);
    }
  }
  __attribute__((always_inline)) Float row(int64_t i, int64_t j) const {
    Float g{};
    for (int64_t f = 0; f < factors; ++f)
      g = multiplyAdd(broadcast(left[f * leftStride + i]), load(right + f * rightStride + j), g);
    return g;
  }
};

/**
 * A span of `rows` (even) rows of a panel of planes, `wide` columns: at.parameter are the words of the high halves, the low
 * ones lie `low` words further on; the state is floats, row by row.
 */
/** Rows i, i + 1 of it, i even. */
template <Rule rule, bool state, class Gradient>
PUSHFORWARD_INLINE void updatePair(const Coefficients& c, const Gradient& gradient, const Span& at, int64_t low,
                                   int64_t i, int64_t wide) {
  uint32_t *high = reinterpret_cast<uint32_t*>(at.parameter), *rest = high + low;
  for (int64_t j = 0; j < wide; j += lanes) {
    const int64_t word = i / 2 * wide + j, upper = i * wide + j, lower = upper + wide;
    __builtin_prefetch(high + word + at.ahead, 1);
    __builtin_prefetch(rest + word + at.ahead, 1);
    fetchAhead<rule, state>(at, upper);
    fetchAhead<rule, state>(at, lower);
    Float g0, g1;
    gradient.at(i, j, g0, g1);
    Float p0, p1;
    loadPlanes(high + word, rest + word, p0, p1);
    const Float q0 = updated<rule, state>(c, p0, g0, within(at.first, upper), within(at.second, upper), lanes),
                q1 = updated<rule, state>(c, p1, g1, within(at.first, lower), within(at.second, lower), lanes);
    storePlanes(q0, q1, high + word, rest + word);
  }
}

template <Rule rule, bool state, class Gradient>
static void updatePairs(const Coefficients& coefficients, const Gradient& from, const Span& at, int64_t low,
                        int64_t rows, int64_t wide) {
  // Copies: what is written could else be they.
  const Coefficients c = coefficients;
  const Gradient gradient = from;
  const Span span = at;
  for (int64_t i = 0; i < rows; i += 2) updatePair<rule, state>(c, gradient, span, low, i, wide);
}

/** The same of a panel of floats; `rows` may be odd. */
template <Rule rule, bool state, class Gradient>
static void updateRows(const Coefficients& coefficients, const Gradient& from, const Span& at, int64_t, int64_t rows,
                       int64_t wide) {
  const Coefficients c = coefficients;
  const Gradient gradient = from;
  const Span span = at;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < wide; j += lanes) {
      const int64_t offset = i * wide + j;
      if (lanes == 16 || offset % 16 == 0) __builtin_prefetch(span.parameter + offset + span.ahead, 1);
      fetchAhead<rule, state>(span, offset);
      const Float p = load(span.parameter + offset);
      store(span.parameter + offset, updated<rule, state>(c, p, gradient.row(i, j), within(span.first, offset),
                                                          within(span.second, offset), lanes));
    }
}

template <class Gradient>
using UpdatePanel = void (*)(const Coefficients& c, const Gradient& gradient, const Span& at, int64_t low, int64_t rows,
                             int64_t wide);

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
