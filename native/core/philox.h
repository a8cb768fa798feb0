// Random numbers: the public contract (docs/guide/random.md). Philox4x32-10 (Salmon et al. 2011),
//   key = (seed mod 2³², ⌊seed / 2³²⌋), counter = (block, parameter, stream·2²⁴ + direction, step).
// A tensor of rank ≥ 2 is seen as [rows, n], every row starts a new block; element (row, j) is
//   uniform     word j mod 4 of block row·⌈n/4⌉ + ⌊j/4⌋, u = ((word >> 9) + ½) 2⁻²³
//   gaussian    the same words in pairs: r = √(−2 ln u₀), z₀ = r cos 2πu₁, z₁ = r sin 2πu₁
//   rademacher  bit j mod 32 of word ⌊j/32⌋ mod 4 of block row·⌈n/128⌉ + ⌊j/128⌋: 0 → +1, 1 → −1
#pragma once
#include <cstdint>

#include "core/inline.h"

namespace pushforward {

/** What a tensor is drawn from: every counter word but the block. */
struct Draw {
  uint32_t key[2];
  uint32_t parameter;
  uint32_t stream;
  uint32_t direction;
  uint32_t step;
};

constexpr uint32_t tangentStream = 0, initialisationStream = 1, dropoutStream = 2, shuffleStream = 3,
                   activityStream = 4, leftStream = 5, rightStream = 6, leftExampleStream = 7, rightExampleStream = 8,
                   firstUserStream = 16;

constexpr uint32_t philoxMultiplier0 = 0xD2511F53u, philoxMultiplier1 = 0xCD9E8D57u;
constexpr uint32_t philoxWeyl0 = 0x9E3779B9u, philoxWeyl1 = 0xBB67AE85u;

PUSHFORWARD_INLINE void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t x0 = counter[0], x1 = counter[1], x2 = counter[2], x3 = counter[3], k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{philoxMultiplier0} * x0, p1 = uint64_t{philoxMultiplier1} * x2;
    x0 = static_cast<uint32_t>(p1 >> 32) ^ x1 ^ k0;
    x1 = static_cast<uint32_t>(p1);
    x2 = static_cast<uint32_t>(p0 >> 32) ^ x3 ^ k1;
    x3 = static_cast<uint32_t>(p0);
    k0 += philoxWeyl0;
    k1 += philoxWeyl1;
  }
  out[0] = x0, out[1] = x1, out[2] = x2, out[3] = x3;
}

PUSHFORWARD_INLINE void drawBlock(const Draw& draw, uint32_t block, uint32_t out[4]) {
  const uint32_t counter[4] = {block, draw.parameter, (draw.stream << 24) + draw.direction, draw.step};
  philox4x32(counter, draw.key, out);
}

/** (word >> 9) + ½ = ((word >> 8) | 1) / 2, 24 bits: exact in float32. */
PUSHFORWARD_INLINE float uniformFloat(uint32_t word) { return static_cast<float>((word >> 8) | 1u) * 0x1p-24f; }
PUSHFORWARD_INLINE double uniformDouble(uint32_t word) { return static_cast<double>((word >> 8) | 1u) * 0x1p-24; }

/** The float64 law, by which `reference` draws and float32 is judged. */
static inline void gaussianPair(uint32_t word0, uint32_t word1, double& z0, double& z1) {
  const double radius = __builtin_sqrt(-2.0 * __builtin_log(uniformDouble(word0)));
  const double angle = 6.283185307179586476925 * uniformDouble(word1);
  z0 = radius * __builtin_cos(angle);
  z1 = radius * __builtin_sin(angle);
}

/**
 * p of ln(1 + s)/b = x + x² p(x), x = s/b, s in [√½ − 1, √2 − 1]; relative error 6e-9 in the logarithm. For b = ±2ⁿ all roundings are
 * those of b = 1.
 */
template <class A>
PUSHFORWARD_INLINE typename A::F log1pPolynomial(typename A::F x, float b) {
  const float b2 = b * b, b4 = b2 * b2;
  typename A::F p = A::fma(A::constant(-0x1.38b6e6p-4f * (b4 * b4 * b)), x, A::constant(0x1.055be4p-3f * (b4 * b4)));
  p = A::fma(p, x, A::constant(-0x1.0d8552p-3f * (b4 * b2 * b)));
  p = A::fma(p, x, A::constant(0x1.22da30p-3f * (b4 * b2)));
  p = A::fma(p, x, A::constant(-0x1.547260p-3f * (b4 * b)));
  p = A::fma(p, x, A::constant(0x1.99a00ep-3f * b4));
  p = A::fma(p, x, A::constant(-0x1.000226p-2f * (b2 * b)));
  p = A::fma(p, x, A::constant(0x1.555554p-2f * b2));
  return A::fma(p, x, A::constant(-0.5f * b));
}

/**
 * THE list of operations of a float32 gaussian, the same for one number and for a vector of them: every step is exact
 * or correctly rounded, so the bits agree on every device. A has F and U, the types of floats and words, and
 *   fma(x, y, z), sqrt(x): correctly rounded; constant(f): f in every lane
 *   fromInteger(u): u as int32, correctly rounded; bits(f), real(u): the same bits as the other type
 *   select(u, bit, x, y): x where u has the bit, else y.
 */
template <class A>
PUSHFORWARD_INLINE void gaussianPair(typename A::U word0, typename A::U word1, typename A::F& z0, typename A::F& z1) {
  using F = typename A::F;
  using U = typename A::U;
  // 2²⁴ u₀ = 2^(e + 24) (1 + s), 1 + s in [√½, √2); −2 ln u₀ = −2 (e ln 2 + ln(1 + s)); exponent = 2²³ e.
  const U scaled = A::bits(A::fromInteger((word0 >> 8) | 1u));
  const U exponent = (scaled - 0x4B3504F3u) & 0xFF800000u;
  const F t = A::fma(A::real(scaled - exponent), A::constant(-0x1p-23f), A::constant(2.0f));  // −2s, exact
  const F radius = A::sqrt(
      A::fma(A::fromInteger(exponent), A::constant(-0x1.62e430p-23f), A::fma(t * t, log1pPolynomial<A>(t, -0.5f), t)));
  // u₁ = (q + x / 2) / 4 turns, q the nearest quadrant: 2πu₁ = q π/2 + x π/4, x in [−1, 1) exact: its bits make 3 + x.
  const U quadrant = word1 + 0x20000000u;  // q in the two upper bits
  const F x = A::real(((word1 >> 7) & 0x7FFFFCu) ^ 0x40400002u) - A::constant(3.0f);
  const F y = x * x;
  F sine = A::fma(A::constant(-0x1.33198ep-15f), y, A::constant(0x1.4680a4p-9f));
  sine = A::fma(sine, y, A::constant(-0x1.4abc24p-4f));
  sine = A::fma(sine, y, A::constant(0x1.921fb6p-1f)) * x;
  F cosine = A::fma(A::constant(0x1.d4f7eep-19f), y, A::constant(-0x1.55b2b6p-12f));
  cosine = A::fma(cosine, y, A::constant(0x1.03c1b0p-6f));
  cosine = A::fma(cosine, y, A::constant(-0x1.3bd3ccp-2f));
  cosine = A::fma(cosine, y, A::constant(1.0f));
  const F c = A::select(quadrant, 0x40000000u, sine, cosine), d = A::select(quadrant, 0x40000000u, cosine, sine);
  z0 = radius * A::real(A::bits(c) ^ ((quadrant + 0x40000000u) & 0x80000000u));
  z1 = radius * A::real(A::bits(d) ^ (quadrant & 0x80000000u));
}

struct ScalarArithmetic {
  using F = float;
  using U = uint32_t;
  PUSHFORWARD_INLINE F fma(F x, F y, F z) { return __builtin_fmaf(x, y, z); }
  PUSHFORWARD_INLINE F sqrt(F x) { return __builtin_sqrtf(x); }
  PUSHFORWARD_INLINE F constant(float x) { return x; }
  PUSHFORWARD_INLINE F fromInteger(U x) { return static_cast<float>(static_cast<int32_t>(x)); }
  PUSHFORWARD_INLINE U bits(F x) {
    U u;
    __builtin_memcpy(&u, &x, sizeof u);
    return u;
  }
  PUSHFORWARD_INLINE F real(U u) {
    F x;
    __builtin_memcpy(&x, &u, sizeof x);
    return x;
  }
  PUSHFORWARD_INLINE F select(U u, U bit, F x, F y) { return (u & bit) != 0 ? x : y; }
};

PUSHFORWARD_INLINE void gaussianPair(uint32_t word0, uint32_t word1, float& z0, float& z1) {
  gaussianPair<ScalarArithmetic>(word0, word1, z0, z1);
}

PUSHFORWARD_INLINE void uniformPair(uint32_t word0, uint32_t word1, float& u0, float& u1) {
  u0 = uniformFloat(word0), u1 = uniformFloat(word1);
}
PUSHFORWARD_INLINE void uniformPair(uint32_t word0, uint32_t word1, double& u0, double& u1) {
  u0 = uniformDouble(word0), u1 = uniformDouble(word1);
}

/** Word, block by block, of element (row, j) of a tensor [·, n]. */
PUSHFORWARD_INLINE uint32_t drawWord(const Draw& draw, int64_t n, int64_t row, int64_t j) {
  uint32_t words[4];
  drawBlock(draw, static_cast<uint32_t>(row * ((n + 3) / 4) + j / 4), words);
  return words[j % 4];
}

PUSHFORWARD_INLINE int drawSign(const Draw& draw, int64_t n, int64_t row, int64_t j) {
  uint32_t words[4];
  drawBlock(draw, static_cast<uint32_t>(row * ((n + 127) / 128) + j / 128), words);
  return (words[j / 32 % 4] >> (j % 32) & 1u) != 0 ? -1 : 1;
}

// Rows [row, row + rows) of the tensor [·, n] into out [rows, n]; T is float or double.

template <class T>
static inline void fillUniform(const Draw& draw, int64_t n, int64_t row, int64_t rows, T* out) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < n; j += 4) {
      uint32_t w[4];
      T u[4];
      drawBlock(draw, static_cast<uint32_t>((row + i) * ((n + 3) / 4) + j / 4), w);
      uniformPair(w[0], w[1], u[0], u[1]);
      uniformPair(w[2], w[3], u[2], u[3]);
      for (int64_t k = 0; k < 4 && j + k < n; ++k) out[i * n + j + k] = u[k];
    }
}

template <class T>
static inline void fillGaussian(const Draw& draw, int64_t n, int64_t row, int64_t rows, T* out) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < n; j += 4) {
      uint32_t w[4];
      T z[4];
      drawBlock(draw, static_cast<uint32_t>((row + i) * ((n + 3) / 4) + j / 4), w);
      gaussianPair(w[0], w[1], z[0], z[1]);
      gaussianPair(w[2], w[3], z[2], z[3]);
      for (int64_t k = 0; k < 4 && j + k < n; ++k) out[i * n + j + k] = z[k];
    }
}

template <class T>
static inline void fillRademacher(const Draw& draw, int64_t n, int64_t row, int64_t rows, T* out) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < n; j += 128) {
      uint32_t w[4];
      drawBlock(draw, static_cast<uint32_t>((row + i) * ((n + 127) / 128) + j / 128), w);
      for (int64_t k = 0; k < 128 && j + k < n; ++k)
        out[i * n + j + k] = (w[k / 32] >> (k % 32) & 1u) != 0 ? T(-1) : T(1);
    }
}

/**
 * V = (1/√rank) Σ_q a_q b_qᵀ with rademacher a_q [allRows] (stream 5) and b_q [n] (stream 6), direction
 * draw.direction·rank + q.
 */
template <class T>
static inline void fillLowRank(const Draw& draw, int rank, int64_t allRows, int64_t n, int64_t row, int64_t rows,
                               T* out) {
  const T scale = static_cast<T>(1.0 / __builtin_sqrt(static_cast<double>(rank)));
  for (int64_t i = 0; i < rows * n; ++i) out[i] = 0;
  for (int q = 0; q < rank; ++q) {
    Draw left = draw, right = draw;
    left.stream = leftStream, right.stream = rightStream;
    left.direction = right.direction = draw.direction * static_cast<uint32_t>(rank) + static_cast<uint32_t>(q);
    for (int64_t i = 0; i < rows; ++i) {
      const T a = static_cast<T>(drawSign(left, allRows, 0, row + i));
      for (int64_t j = 0; j < n; j += 128) {
        uint32_t w[4];
        drawBlock(right, static_cast<uint32_t>(j / 128), w);
        for (int64_t k = 0; k < 128 && j + k < n; ++k) out[i * n + j + k] += (w[k / 32] >> (k % 32) & 1u) != 0 ? -a : a;
      }
    }
  }
  for (int64_t i = 0; i < rows * n; ++i) out[i] *= scale;
}

/**
 * Fisher–Yates from the end: order = a permutation of [0, n) for `epoch`; swap i with ⌊word·(i + 1) / 2³²⌋, word i of
 * the row.
 */
static inline void shuffle(const uint32_t key[2], uint32_t epoch, int64_t n, uint32_t* order) {
  const Draw draw = {{key[0], key[1]}, 0, shuffleStream, 0, epoch};
  for (int64_t i = 0; i < n; ++i) order[i] = static_cast<uint32_t>(i);
  uint32_t words[4];
  for (int64_t i = n - 1; i > 0; --i) {
    if (i % 4 == 3 || i == n - 1) drawBlock(draw, static_cast<uint32_t>(i / 4), words);
    const uint32_t j = static_cast<uint32_t>(uint64_t{words[i % 4]} * static_cast<uint64_t>(i + 1) >> 32);
    const uint32_t other = order[i];
    order[i] = order[j];
    order[j] = other;
  }
}

}  // namespace pushforward
