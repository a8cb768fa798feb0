// Vectors without a width: one register of floats (4, 8 or 16 lanes), of int32, uint32, and of half as many doubles.
// Built on the vector extensions of GCC and Clang, so + - * / & | ^ << >> < <= == and `mask ? x : y` work as they
// stand, also against a scalar of the element type. Everything is in the namespace of the instruction set: the same
// source is linked in several times.
#pragma once
#include <cstdint>
#if defined(__x86_64__)
#if !defined(__clang__)
// GCC 12 takes the deliberately undefined operand of its own AVX-512 intrinsics for a mistake of the caller (bug
// 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif

#include "core/inline.h"

#ifndef PUSHFORWARD_ISA
#error "only for files built once per instruction set"
#endif

namespace pushforward::cpu::PUSHFORWARD_ISA {

#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define PUSHFORWARD_LANES 16
#elif defined(__AVX2__) && defined(__FMA__)
#define PUSHFORWARD_LANES 8
#else
#define PUSHFORWARD_LANES 4
#endif

constexpr int lanes = PUSHFORWARD_LANES;
constexpr int doubleLanes = lanes / 2;

typedef float Float __attribute__((vector_size(4 * PUSHFORWARD_LANES)));
typedef int32_t Int __attribute__((vector_size(4 * PUSHFORWARD_LANES)));
typedef uint32_t Unsigned __attribute__((vector_size(4 * PUSHFORWARD_LANES)));
typedef double Double __attribute__((vector_size(4 * PUSHFORWARD_LANES)));
typedef int64_t Long __attribute__((vector_size(4 * PUSHFORWARD_LANES)));
typedef uint64_t Wide __attribute__((vector_size(4 * PUSHFORWARD_LANES)));

/** A Float widened. */
struct Doubles {
  Double low, high;
};

// Bits.
PUSHFORWARD_INLINE Int asInt(Float x) { return (Int)x; }
PUSHFORWARD_INLINE Int asInt(Unsigned x) { return (Int)x; }
PUSHFORWARD_INLINE Unsigned asUnsigned(Float x) { return (Unsigned)x; }
PUSHFORWARD_INLINE Unsigned asUnsigned(Int x) { return (Unsigned)x; }
PUSHFORWARD_INLINE Float asFloat(Int x) { return (Float)x; }
PUSHFORWARD_INLINE Float asFloat(Unsigned x) { return (Float)x; }
PUSHFORWARD_INLINE Long asLong(Double x) { return (Long)x; }
PUSHFORWARD_INLINE Double asDouble(Long x) { return (Double)x; }

// Broadcasts.
PUSHFORWARD_INLINE Float broadcast(float x) { return x - Float{}; }  // x - 0, not 0 + x: keeps -0
PUSHFORWARD_INLINE Int broadcast(int32_t x) { return x - Int{}; }
PUSHFORWARD_INLINE Unsigned broadcast(uint32_t x) { return x - Unsigned{}; }
PUSHFORWARD_INLINE Double broadcast(double x) { return x - Double{}; }

/** 0, 1, 2, … */
PUSHFORWARD_INLINE Int iota() {
#if PUSHFORWARD_LANES == 16
  return Int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif PUSHFORWARD_LANES == 8
  return Int{0, 1, 2, 3, 4, 5, 6, 7};
#else
  return Int{0, 1, 2, 3};
#endif
}

// Whole loads and stores, at any address.
PUSHFORWARD_INLINE Float load(const float* p) {
  Float x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
PUSHFORWARD_INLINE Int load(const int32_t* p) {
  Int x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
PUSHFORWARD_INLINE Unsigned load(const uint32_t* p) {
  Unsigned x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
PUSHFORWARD_INLINE Double load(const double* p) {
  Double x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
PUSHFORWARD_INLINE void store(float* p, Float x) { __builtin_memcpy(p, &x, sizeof x); }
PUSHFORWARD_INLINE void store(int32_t* p, Int x) { __builtin_memcpy(p, &x, sizeof x); }
PUSHFORWARD_INLINE void store(uint32_t* p, Unsigned x) { __builtin_memcpy(p, &x, sizeof x); }
PUSHFORWARD_INLINE void store(double* p, Double x) { __builtin_memcpy(p, &x, sizeof x); }

// The first n lanes (0 ≤ n ≤ lanes): the other lanes load as 0, and memory beyond is neither read nor written.
#if PUSHFORWARD_LANES == 16
PUSHFORWARD_INLINE __mmask16 firstLanes(int n) { return static_cast<__mmask16>((1u << n) - 1u); }
PUSHFORWARD_INLINE Float loadPartial(const float* p, int n) { return (Float)_mm512_maskz_loadu_ps(firstLanes(n), p); }
PUSHFORWARD_INLINE Int loadPartial(const int32_t* p, int n) { return (Int)_mm512_maskz_loadu_epi32(firstLanes(n), p); }
PUSHFORWARD_INLINE void storePartial(float* p, Float x, int n) { _mm512_mask_storeu_ps(p, firstLanes(n), (__m512)x); }
PUSHFORWARD_INLINE void storePartial(int32_t* p, Int x, int n) {
  _mm512_mask_storeu_epi32(p, firstLanes(n), (__m512i)x);
}
#elif PUSHFORWARD_LANES == 8
PUSHFORWARD_INLINE __m256i firstLanes(int n) { return (__m256i)(iota() < n); }
PUSHFORWARD_INLINE Float loadPartial(const float* p, int n) { return (Float)_mm256_maskload_ps(p, firstLanes(n)); }
PUSHFORWARD_INLINE Int loadPartial(const int32_t* p, int n) { return (Int)_mm256_maskload_epi32(p, firstLanes(n)); }
PUSHFORWARD_INLINE void storePartial(float* p, Float x, int n) { _mm256_maskstore_ps(p, firstLanes(n), (__m256)x); }
PUSHFORWARD_INLINE void storePartial(int32_t* p, Int x, int n) { _mm256_maskstore_epi32(p, firstLanes(n), (__m256i)x); }
#else
PUSHFORWARD_INLINE Float loadPartial(const float* p, int n) {
  if (n >= lanes) return load(p);
  return Float{n > 0 ? p[0] : 0.0f, n > 1 ? p[1] : 0.0f, n > 2 ? p[2] : 0.0f, 0.0f};
}
PUSHFORWARD_INLINE Int loadPartial(const int32_t* p, int n) {
  if (n >= lanes) return load(p);
  return Int{n > 0 ? p[0] : 0, n > 1 ? p[1] : 0, n > 2 ? p[2] : 0, 0};
}
PUSHFORWARD_INLINE void storePartial(float* p, Float x, int n) {
  if (n > 0) p[0] = x[0];
  if (n > 1) p[1] = x[1];
  if (n > 2) p[2] = x[2];
  if (n > 3) p[3] = x[3];
}
PUSHFORWARD_INLINE void storePartial(int32_t* p, Int x, int n) {
  if (n > 0) p[0] = x[0];
  if (n > 1) p[1] = x[1];
  if (n > 2) p[2] = x[2];
  if (n > 3) p[3] = x[3];
}
#endif

/** Of what is left of a row, as much as a register holds. */
PUSHFORWARD_INLINE Float loadFirst(const float* from, int64_t count) {
  return count >= lanes ? load(from) : loadPartial(from, static_cast<int>(count));
}
PUSHFORWARD_INLINE void storeFirst(float* to, Float x, int64_t count) {
  if (count >= lanes)
    store(to, x);
  else
    storePartial(to, x, static_cast<int>(count));
}

// Choices. A mask is an Int of 0 and -1, as comparisons make it; min and max return y when either is NaN.
PUSHFORWARD_INLINE Float select(Int mask, Float x, Float y) { return mask ? x : y; }
PUSHFORWARD_INLINE Int select(Int mask, Int x, Int y) { return mask ? x : y; }
PUSHFORWARD_INLINE Unsigned select(Int mask, Unsigned x, Unsigned y) { return mask ? x : y; }
PUSHFORWARD_INLINE Double select(Long mask, Double x, Double y) { return mask ? x : y; }
#if PUSHFORWARD_LANES == 16
PUSHFORWARD_INLINE Float min(Float x, Float y) { return (Float)_mm512_min_ps((__m512)x, (__m512)y); }
PUSHFORWARD_INLINE Float max(Float x, Float y) { return (Float)_mm512_max_ps((__m512)x, (__m512)y); }
PUSHFORWARD_INLINE bool any(Int mask) { return _mm512_movepi32_mask((__m512i)mask) != 0; }
#elif PUSHFORWARD_LANES == 8
PUSHFORWARD_INLINE Float min(Float x, Float y) { return (Float)_mm256_min_ps((__m256)x, (__m256)y); }
PUSHFORWARD_INLINE Float max(Float x, Float y) { return (Float)_mm256_max_ps((__m256)x, (__m256)y); }
PUSHFORWARD_INLINE bool any(Int mask) { return _mm256_movemask_ps((__m256)mask) != 0; }
#elif defined(__x86_64__)
PUSHFORWARD_INLINE Float min(Float x, Float y) { return (Float)_mm_min_ps((__m128)x, (__m128)y); }
PUSHFORWARD_INLINE Float max(Float x, Float y) { return (Float)_mm_max_ps((__m128)x, (__m128)y); }
PUSHFORWARD_INLINE bool any(Int mask) { return _mm_movemask_ps((__m128)mask) != 0; }
#else
PUSHFORWARD_INLINE Float min(Float x, Float y) { return x < y ? x : y; }
PUSHFORWARD_INLINE Float max(Float x, Float y) { return x > y ? x : y; }
PUSHFORWARD_INLINE bool any(Int mask) { return (mask[0] | mask[1] | mask[2] | mask[3]) != 0; }
#endif
PUSHFORWARD_INLINE Double min(Double x, Double y) { return x < y ? x : y; }
PUSHFORWARD_INLINE Double max(Double x, Double y) { return x > y ? x : y; }
PUSHFORWARD_INLINE Float abs(Float x) { return asFloat(asInt(x) & 0x7FFFFFFF); }
PUSHFORWARD_INLINE Float copySign(Float magnitude, Float sign) {
  return asFloat((asInt(magnitude) & 0x7FFFFFFF) | (asInt(sign) & INT32_MIN));
}

// Conversions: integers towards zero; widen keeps the order of lanes: low holds lanes [0, lanes/2).
PUSHFORWARD_INLINE Float toFloat(Int x) { return __builtin_convertvector(x, Float); }
PUSHFORWARD_INLINE Int toInt(Float x) { return __builtin_convertvector(x, Int); }
#if PUSHFORWARD_LANES == 16
PUSHFORWARD_INLINE Doubles widen(Float x) {
  return {(Double)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)x)),
          (Double)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)x, 1))};
}
PUSHFORWARD_INLINE Float narrow(Doubles x) {
  return (Float)_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps((__m512d)x.low)),
                                   _mm512_cvtpd_ps((__m512d)x.high), 1);
}
#elif PUSHFORWARD_LANES == 8
PUSHFORWARD_INLINE Doubles widen(Float x) {
  return {(Double)_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)x)),
          (Double)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)x, 1))};
}
PUSHFORWARD_INLINE Float narrow(Doubles x) {
  return (Float)_mm256_set_m128(_mm256_cvtpd_ps((__m256d)x.high), _mm256_cvtpd_ps((__m256d)x.low));
}
#elif defined(__x86_64__)
PUSHFORWARD_INLINE Doubles widen(Float x) {
  return {(Double)_mm_cvtps_pd((__m128)x), (Double)_mm_cvtps_pd(_mm_movehl_ps((__m128)x, (__m128)x))};
}
PUSHFORWARD_INLINE Float narrow(Doubles x) {
  return (Float)_mm_movelh_ps(_mm_cvtpd_ps((__m128d)x.low), _mm_cvtpd_ps((__m128d)x.high));
}
#else
PUSHFORWARD_INLINE Doubles widen(Float x) { return {Double{x[0], x[1]}, Double{x[2], x[3]}}; }
PUSHFORWARD_INLINE Float narrow(Doubles x) {
  return Float{static_cast<float>(x.low[0]), static_cast<float>(x.low[1]), static_cast<float>(x.high[0]),
               static_cast<float>(x.high[1])};
}
#endif

/** Nearest integer, ties to even; |x| ≤ 2²². */
PUSHFORWARD_INLINE Float roundSmall(Float x) { return (x + 12582912.0f) - 12582912.0f; }
/** Nearest integer, ties to even; |x| ≤ 2⁵¹. */
PUSHFORWARD_INLINE Double roundSmall(Double x) { return (x + 6755399441055744.0) - 6755399441055744.0; }

// fma: x y + z rounded once, on every instruction set. multiplyAdd: the same where the hardware has it, else rounded
// twice.
#if PUSHFORWARD_LANES == 16
PUSHFORWARD_INLINE Float fma(Float x, Float y, Float z) {
  return (Float)_mm512_fmadd_ps((__m512)x, (__m512)y, (__m512)z);
}
PUSHFORWARD_INLINE Double multiplyAdd(Double x, Double y, Double z) {
  return (Double)_mm512_fmadd_pd((__m512d)x, (__m512d)y, (__m512d)z);
}
PUSHFORWARD_INLINE Float sqrt(Float x) { return (Float)_mm512_sqrt_ps((__m512)x); }
PUSHFORWARD_INLINE Double sqrt(Double x) { return (Double)_mm512_sqrt_pd((__m512d)x); }
#elif PUSHFORWARD_LANES == 8
PUSHFORWARD_INLINE Float fma(Float x, Float y, Float z) {
  return (Float)_mm256_fmadd_ps((__m256)x, (__m256)y, (__m256)z);
}
PUSHFORWARD_INLINE Double multiplyAdd(Double x, Double y, Double z) {
  return (Double)_mm256_fmadd_pd((__m256d)x, (__m256d)y, (__m256d)z);
}
PUSHFORWARD_INLINE Float sqrt(Float x) { return (Float)_mm256_sqrt_ps((__m256)x); }
PUSHFORWARD_INLINE Double sqrt(Double x) { return (Double)_mm256_sqrt_pd((__m256d)x); }
#else
#if defined(__x86_64__)
// x y is exact in float64, so x y + z is rounded once to float64 and once more to float32. The second time matters
// only when the first result lies exactly between two floats (or in the range of denormal floats, where that is a
// matter of other bits): seldom, and then the first is done again, rounded to odd with the help of its exact error e,
// which makes the second the only one that counts.
PUSHFORWARD_INLINE Double sumToOdd(Double x, Double y) {
  const Double s = x + y, t = s - x, e = (x - (s - t)) + (y - t);
  const Long bits = asLong(s);
  const Long move = 1 + 2 * ((e < 0.0) ^ (s < 0.0));  // +1 when e points away from zero, else -1
  return asDouble(bits + (move & ((e < 0.0) | (e > 0.0)) & ((bits & 1) - 1)));
}
static __attribute__((noinline)) Float fmaToOdd(Float x, Float y, Float z) {
  const Doubles a = widen(x), b = widen(y), c = widen(z);
  return narrow({sumToOdd(a.low * b.low, c.low), sumToOdd(a.high * b.high, c.high)});
}
PUSHFORWARD_INLINE Float fma(Float x, Float y, Float z) {
  const Doubles a = widen(x), b = widen(y), c = widen(z);
  const Double low = a.low * b.low + c.low, high = a.high * b.high + c.high;
  const Int lowWords = (Int)_mm_shuffle_ps((__m128)low, (__m128)high, 0x88);
  const Int highWords = (Int)_mm_shuffle_ps((__m128)low, (__m128)high, 0xDD);
  const Int doubtful = ((lowWords & 0x1FFFFFFF) == 0x10000000) | ((highWords & 0x7FFFFFFF) < 0x38200000);
  if (__builtin_expect(any(doubtful), 0)) return fmaToOdd(x, y, z);
  return narrow({low, high});
}
PUSHFORWARD_INLINE Double multiplyAdd(Double x, Double y, Double z) { return x * y + z; }
PUSHFORWARD_INLINE Float sqrt(Float x) { return (Float)_mm_sqrt_ps((__m128)x); }
PUSHFORWARD_INLINE Double sqrt(Double x) { return (Double)_mm_sqrt_pd((__m128d)x); }
#else
PUSHFORWARD_INLINE Float fma(Float x, Float y, Float z) {
  Float r;
  for (int i = 0; i < lanes; ++i) r[i] = __builtin_fmaf(x[i], y[i], z[i]);
  return r;
}
PUSHFORWARD_INLINE Double multiplyAdd(Double x, Double y, Double z) {
  return Double{__builtin_fma(x[0], y[0], z[0]), __builtin_fma(x[1], y[1], z[1])};
}
PUSHFORWARD_INLINE Float sqrt(Float x) {
  Float r;
  for (int i = 0; i < lanes; ++i) r[i] = __builtin_sqrtf(x[i]);
  return r;
}
PUSHFORWARD_INLINE Double sqrt(Double x) { return Double{__builtin_sqrt(x[0]), __builtin_sqrt(x[1])}; }
#endif
#endif
#if PUSHFORWARD_LANES == 4 && defined(__x86_64__)
PUSHFORWARD_INLINE Float multiplyAdd(Float x, Float y, Float z) { return x * y + z; }
#else
PUSHFORWARD_INLINE Float multiplyAdd(Float x, Float y, Float z) { return fma(x, y, z); }
#endif

// Reductions over the lanes, halves onto halves: one order per instruction set.
PUSHFORWARD_INLINE float horizontalSum(Float x) {
#if PUSHFORWARD_LANES == 4
  return (x[0] + x[2]) + (x[1] + x[3]);
#else
#if PUSHFORWARD_LANES == 16
  const __m256 half = _mm512_castps512_ps256((__m512)x) + _mm512_extractf32x8_ps((__m512)x, 1);
#else
  const __m256 half = (__m256)x;
#endif
  const __m128 quarter = _mm256_castps256_ps128(half) + _mm256_extractf128_ps(half, 1);
  return (quarter[0] + quarter[2]) + (quarter[1] + quarter[3]);
#endif
}
PUSHFORWARD_INLINE double horizontalSum(Double x) {
#if PUSHFORWARD_LANES == 4
  return x[0] + x[1];
#else
#if PUSHFORWARD_LANES == 16
  const __m256d half = _mm512_castpd512_pd256((__m512d)x) + _mm512_extractf64x4_pd((__m512d)x, 1);
#else
  const __m256d half = (__m256d)x;
#endif
  return (half[0] + half[2]) + (half[1] + half[3]);
#endif
}
PUSHFORWARD_INLINE double horizontalSum(Doubles x) { return horizontalSum(x.low + x.high); }
PUSHFORWARD_INLINE float horizontalMax(Float x) {
  float r = x[0];
  for (int i = 1; i < lanes; ++i) r = x[i] > r ? x[i] : r;
  return r;
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
