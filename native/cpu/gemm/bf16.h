// bf16: the upper half of a float32. A number is rounded to the nearest, ties away from zero: half a unit is added to
// the bits, whose lower half is dropped. (A tie to even would lose what an int16 beside the bf16 must give back: the
// float32 itself is bf16 + (bits - bf16's bits), and only away from zero that difference always fits.)
#pragma once
#include "cpu/gemm/product.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

/** The bits of the rounded x in the upper half, the lower half zero; NaN is 0x7FC0. */
PUSHFORWARD_INLINE Unsigned bf16Bits(Float x) {
  return select(x == x, (asUnsigned(x) + 0x8000u) & 0xFFFF0000u, broadcast(uint32_t{0x7FC00000u}));
}
PUSHFORWARD_INLINE Float roundBf16(Float x) { return asFloat(bf16Bits(x)); }

PUSHFORWARD_INLINE uint32_t bf16Bits(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return x == x ? (bits + 0x8000u) & 0xFFFF0000u : 0x7FC00000u;
}
PUSHFORWARD_INLINE float roundBf16(float x) {
  const uint32_t bits = bf16Bits(x);
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}

/** Lane by lane. */
PUSHFORWARD_INLINE Unsigned pairOf(Float first, Float second) {
#if PUSHFORWARD_LANES == 16
  // One comparison of both, and no selection: NaN is rare.
  if (__builtin_expect(_mm512_cmp_ps_mask((__m512)first, (__m512)second, _CMP_UNORD_Q) == 0, 1))
    return ((asUnsigned(second) + 0x8000u) & 0xFFFF0000u) | (asUnsigned(first) + 0x8000u) >> 16;
#endif
  return bf16Bits(second) | bf16Bits(first) >> 16;
}

#if PUSHFORWARD_LANES == 16
/** The pairs of neighbours, first those of x. */
PUSHFORWARD_INLINE Unsigned pairNeighbours(Float x, Float y) {
  // Word i of x and of y is where lane i of the even and of the odd elements belongs.
  const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0),
                odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
  return pairOf((Float)_mm512_permutex2var_ps((__m512)x, even, (__m512)y),
                (Float)_mm512_permutex2var_ps((__m512)x, odd, (__m512)y));
}
/** The floats of 16 such pairs. */
PUSHFORWARD_INLINE void separateNeighbours(Unsigned pairs, Float& first, Float& second) {
  const __m512i low = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0),
                high = _mm512_or_si512(low, _mm512_set1_epi32(8));
  const __m512 even = (__m512)(pairs << 16), odd = (__m512)(pairs & 0xFFFF0000u);
  first = (Float)_mm512_permutex2var_ps(even, low, odd);
  second = (Float)_mm512_permutex2var_ps(even, high, odd);
}
#endif

/** x[i] rounded in place, i < count. */
void roundFloats(float* x, int64_t count);

/**
 * Pairs: a word of 32 bits holds the bf16 of depth 2p in its lower half and that of 2p + 1 in its upper half, zero beyond
 * the last. out[p·outStride + i] = the pair p of lines(i, ·), i < count, 2p < depth.
 */
void packPairs(Matrix lines, int64_t count, int64_t depth, uint32_t* out, int64_t outStride);

/** A panel of floats [depth, columns], rows tileColumns apart, to pairs, rows tileColumns apart too; `out` may be the panel, or before it. */
void pairPanel(const float* panel, int64_t columns, int64_t depth, float* out);

/** x[i] becomes the pair of x[i] and x[i + step], or of nothing from `count` on, i < count. */
void pairAlong(float* x, int64_t count, int64_t step);

/** Words of pairs, as planes have them, to floats, rows tileColumns apart; whole vectors. */
void unpackPairs(const Lines& words, int64_t depth, float* out);

/** As packPanelRows, from the high halves of planes. */
void packPlaneRows(const Weights& b, const Piece& piece, float* out);

/** y[j] = Σ_p bf16(x[p·xStride]) bf16(b(p, j)), j < columns. */
void multiplyRowBf16(const float* x, int64_t xStride, Matrix b, int64_t columns, int64_t k, float* y);

#if PUSHFORWARD_LANES == 16
/** A panel of pairs of bᵀ, b in planes, piece.columns and piece.depth multiples of 16. */
void packPlanePairs(const Weights& b, const Piece& piece, uint32_t* out);

/** As multiplyPanel: rows and panel are pairs; VDPBF16PS. */
void multiplyPairs(const float* a, int64_t rows, int64_t first, int64_t last, int64_t depth, Panel b, int64_t columns,
                   float* c, int64_t cStride, bool accumulate, const NextPanel& next);

/** Rows and words that AMX takes at once: blocks of tilesRows rows, steps of 16 pairs of depth. */
constexpr int64_t tilesRows = 32, stepWords = 16;
PUSHFORWARD_INLINE int64_t stepCount(int64_t depth) { return ceilDivide(depth, 2 * stepWords); }

/** Depth of the pieces of a product: equal, of whole steps, and at most 512, of which a panel of 32 KB stays in the first-level cache. */
PUSHFORWARD_INLINE int64_t tilesDepth(int64_t depth) {
  constexpr int64_t together = 2 * stepWords, most = 512;
  return roundUp(ceilDivide(depth, maximum(ceilDivide(depth, most), 1)), together);
}

/** Block i at out + 32·i·steps·stepWords words: for each step, of each row 16 words. */
void packTileRows(Matrix a, int64_t rows, int64_t first, int64_t last, int64_t depth, uint32_t* out);

/** Lines of 32 columns in rows that packTileRows packed whole blocks of, in pieces of tilesDepth. */
struct TileLines {
  float* data;
  int64_t blockFloats;  // from one block to the next

  float* at(int64_t row) const { return data + row / tilesRows * blockFloats + row % tilesRows * stepWords; }
};
/** Those of columns [column, column + 32). */
PUSHFORWARD_INLINE TileLines tileLines(float* packed, int64_t rows, int64_t depth, int64_t column) {
  const int64_t most = tilesDepth(depth), top = column / most * most, steps = stepCount(minimum(most, depth - top));
  const int64_t lines = rows * stepCount(top) + (column - top) / 2 / stepWords * tilesRows;
  return {packed + lines * stepWords, tilesRows * steps * stepWords};
}
/** 32 floats as such a line. */
PUSHFORWARD_INLINE void packTileLine(const float* from, float* to) {
  store(reinterpret_cast<uint32_t*>(to), pairNeighbours(load(from), load(from + lanes)));
}

/** As multiplyPanel: rows by packTileRows, a panel of pairs whose depth is padded to whole steps; TDPBF16PS. */
void multiplyTilePanel(const float* a, int64_t rows, int64_t first, int64_t last, int64_t depth, Panel b,
                       int64_t columns, float* c, int64_t cStride, bool accumulate, const NextPanel& next);
#endif

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
