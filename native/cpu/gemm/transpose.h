// Lines to steps: out(p, i) = lines(i, p), a vector of lines by four steps at a time: eight shuffles and, on AVX-512, twelve insertions of what is
// in memory for 64 elements.
#pragma once
#include "cpu/vector.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

#if PUSHFORWARD_LANES == 16
PUSHFORWARD_INLINE Float interleaveLow(Float x, Float y) { return (Float)_mm512_unpacklo_ps((__m512)x, (__m512)y); }
PUSHFORWARD_INLINE Float interleaveHigh(Float x, Float y) { return (Float)_mm512_unpackhi_ps((__m512)x, (__m512)y); }
PUSHFORWARD_INLINE Float joinLow(Float x, Float y) { return (Float)_mm512_unpacklo_pd((__m512d)x, (__m512d)y); }
PUSHFORWARD_INLINE Float joinHigh(Float x, Float y) { return (Float)_mm512_unpackhi_pd((__m512d)x, (__m512d)y); }
/** Four floats each of lines i, i + 4, i + 8 … */
template <class Line>
PUSHFORWARD_INLINE Float loadQuads(const Line& line, int i) {
  __m512 x = _mm512_castps128_ps512(_mm_loadu_ps(line(i)));
  x = _mm512_insertf32x4(x, _mm_loadu_ps(line(i + 4)), 1);
  x = _mm512_insertf32x4(x, _mm_loadu_ps(line(i + 8)), 2);
  return (Float)_mm512_insertf32x4(x, _mm_loadu_ps(line(i + 12)), 3);
}
#elif PUSHFORWARD_LANES == 8
PUSHFORWARD_INLINE Float interleaveLow(Float x, Float y) { return (Float)_mm256_unpacklo_ps((__m256)x, (__m256)y); }
PUSHFORWARD_INLINE Float interleaveHigh(Float x, Float y) { return (Float)_mm256_unpackhi_ps((__m256)x, (__m256)y); }
PUSHFORWARD_INLINE Float joinLow(Float x, Float y) { return (Float)_mm256_unpacklo_pd((__m256d)x, (__m256d)y); }
PUSHFORWARD_INLINE Float joinHigh(Float x, Float y) { return (Float)_mm256_unpackhi_pd((__m256d)x, (__m256d)y); }
template <class Line>
PUSHFORWARD_INLINE Float loadQuads(const Line& line, int i) {
  return (Float)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(line(i))), _mm_loadu_ps(line(i + 4)), 1);
}
#else
PUSHFORWARD_INLINE Float interleaveLow(Float x, Float y) { return __builtin_shufflevector(x, y, 0, 4, 1, 5); }
PUSHFORWARD_INLINE Float interleaveHigh(Float x, Float y) { return __builtin_shufflevector(x, y, 2, 6, 3, 7); }
PUSHFORWARD_INLINE Float joinLow(Float x, Float y) { return __builtin_shufflevector(x, y, 0, 1, 4, 5); }
PUSHFORWARD_INLINE Float joinHigh(Float x, Float y) { return __builtin_shufflevector(x, y, 2, 3, 6, 7); }
template <class Line>
PUSHFORWARD_INLINE Float loadQuads(const Line& line, int i) {
  return load(line(i));
}
#endif

/** to(p, step p of a vector of lines), p < 4; line(i) is where line i begins. Lane l of x_r has steps of line 4l + r. */
template <class Line, class Store>
PUSHFORWARD_INLINE void transposeQuads(const Line& line, const Store& to) {
  const Float x0 = loadQuads(line, 0), x1 = loadQuads(line, 1), x2 = loadQuads(line, 2), x3 = loadQuads(line, 3);
  const Float y0 = interleaveLow(x0, x1), y1 = interleaveHigh(x0, x1), y2 = interleaveLow(x2, x3),
              y3 = interleaveHigh(x2, x3);
  to(0, joinLow(y0, y2));
  to(1, joinHigh(y0, y2));
  to(2, joinLow(y1, y3));
  to(3, joinHigh(y1, y3));
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
