// Sums over pixels on AMX: c[i, j] += Σ_p δ[p, i] x[p, j]. A tile of δ has 16 filters as rows of 32 pixels, a tile of x 16 columns as rows of
// pairs of pixels, the 16 results of each filter are floats: all tiles are 16 rows of 64 bytes that follow each other, 256 words. 32 columns
// lie in two tiles, the even ones and the odd ones.
#pragma once
#include "cpu/gemm/conv_format.h"

#if PUSHFORWARD_LANES == 16
namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr int64_t pairColumns = 2 * tileSide;  // columns of x that are made tiles together
constexpr int64_t filterTiles = 4;             // of δ that are multiplied together

/** Rows become columns. */
PUSHFORWARD_INLINE void transposeWords(__m512i (&rows)[tileSide]) {
  __m512i some[tileSide];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    some[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    some[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4)
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      rows[i + 2 * half] = _mm512_unpacklo_epi64(some[i + half], some[i + 2 + half]);
      rows[i + 2 * half + 1] = _mm512_unpackhi_epi64(some[i + half], some[i + 2 + half]);
    }
  // rows[4·i + j] has column 4·lane + j of rows 4·i … 4·i + 3 in each lane of 128 bits.
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m512i low = _mm512_shuffle_i32x4(rows[j], rows[4 + j], 0x88),
                  high = _mm512_shuffle_i32x4(rows[8 + j], rows[12 + j], 0x88),
                  lowOdd = _mm512_shuffle_i32x4(rows[j], rows[4 + j], 0xDD),
                  highOdd = _mm512_shuffle_i32x4(rows[8 + j], rows[12 + j], 0xDD);
    some[j] = _mm512_shuffle_i32x4(low, high, 0x88);
    some[8 + j] = _mm512_shuffle_i32x4(low, high, 0xDD);
    some[4 + j] = _mm512_shuffle_i32x4(lowOdd, highOdd, 0x88);
    some[12 + j] = _mm512_shuffle_i32x4(lowOdd, highOdd, 0xDD);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) rows[i] = some[i];
}

/** Pixels of δ: `rows` rows of `columns`, `pitch` pixels from one row to the next, `filters` floats a pixel. */
struct PixelRows {
  const float* first;
  int64_t rows, columns, pitch, filters;

  __attribute__((always_inline)) int64_t pairsOfRow() const { return ceilDivide(columns, 2); }
  __attribute__((always_inline)) int64_t pairs() const { return rows * pairsOfRow(); }
};

/** Tiles of δ that begin a step of 16 pairs: out[step][tile] of `tiles` that begin at filter `filter`; zero beyond the last pixel and filter. */
static void packCotangent(const PixelRows& delta, int64_t filter, int64_t tiles, uint32_t* out) {
  const int64_t perRow = delta.pairsOfRow(), pairs = delta.pairs();
  int64_t row = 0, pair = 0;
  for (int64_t begin = 0; begin < pairs; begin += tileSide, out += tiles * tileWords) {
    const float* from[tileSide];
    bool single[tileSide];
    const int64_t count = minimum(tileSide, pairs - begin);
    for (int64_t i = 0; i < count; ++i) {
      from[i] = delta.first + (row * delta.pitch + 2 * pair) * delta.filters + filter;
      single[i] = 2 * pair + 1 == delta.columns;
      if (++pair == perRow) pair = 0, ++row;
    }
    for (int64_t t = 0; t < tiles; ++t) {
      const int present = static_cast<int>(minimum(tileSide, delta.filters - filter - t * tileSide));
      __m512i words[tileSide];
      const auto pixel = [&](const float* at) { return bf16Bits(loadPartial(at + t * tileSide, present)); };
      for (int64_t i = 0; i < tileSide; ++i) {
        words[i] = __m512i{};
        if (i >= count) continue;
        const Unsigned second = single[i] ? Unsigned{} : pixel(from[i] + delta.filters);
        words[i] = (__m512i)(second | pixel(from[i]) >> 16);
      }
      transposeWords(words);
      for (int64_t i = 0; i < tileSide; ++i) _mm512_store_si512(out + t * tileWords + i * tileSide, words[i]);
    }
  }
}

/**
 * 32 columns of a row of pixels, bf16 that lie `step` elements from one pixel to the next, to rows of the two tiles, the odd columns' `apart`
 * words behind the even ones'; a last pixel without a neighbour has zero for it.
 */
static void pairPixels(const uint16_t* from, int64_t pixels, int64_t step, uint32_t* out, int64_t apart) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xFFFF0000u));
  for (int64_t i = 0; i < pixels; i += 2, from += 2 * step, out += tileSide) {
    const __m512i x = _mm512_loadu_si512(from), y = i + 1 < pixels ? _mm512_loadu_si512(from + step) : __m512i{};
    _mm512_store_si512(out, _mm512_or_si512(_mm512_andnot_si512(upper, x), _mm512_slli_epi32(y, 16)));
    _mm512_store_si512(out + apart, _mm512_or_si512(_mm512_srli_epi32(x, 16), _mm512_and_si512(upper, y)));
  }
}

/** Memory that will be read soon, brought nearer `lines` of 16 floats with each step. */
struct Ahead {
  const float* next;
  int64_t lines;

  __attribute__((always_inline)) void fetch(int64_t step) const {
    for (int64_t i = 0; i < lines; ++i) __builtin_prefetch(next + (step * lines + i) * 16, 0, 2);
  }
};

/**
 * Steps of 16 pairs: δ has `stride` words from one step to the next. Tiles of x follow each other, but for the last one; those of the next column
 * tile lie `apart` words behind them, `lastApart` behind the last.
 */
struct StepSums {
  const uint32_t *delta, *x, *last;
  int64_t steps, stride, apart, lastApart;
  float* c;  // tiles of the filters that belong to a column tile follow each other
  bool accumulate;
  Ahead ofX, ofDelta;

  __attribute__((always_inline)) void fetch(int64_t step) const {
    ofX.fetch(step);
    ofDelta.fetch(step);
  }

  __attribute__((always_inline)) const uint32_t* tileOf(int64_t step) const {
    return step + 1 < steps ? x + step * tileWords : last;
  }
};

/** c (+)= one column tile, 3 or 4 tiles of filters. */
template <class Tiles, int tall>
static void sumColumn(const StepSums& m) {
  constexpr int64_t bytes = 4 * tileSide;
  const uint32_t* delta = m.delta;
  if (m.accumulate) {
    Tiles::template load<0>(m.c, bytes);
    Tiles::template load<1>(m.c + tileWords, bytes);
    Tiles::template load<2>(m.c + 2 * tileWords, bytes);
    if (tall > 3) Tiles::template load<3>(m.c + 3 * tileWords, bytes);
  } else {
    Tiles::template zero<0>();
    Tiles::template zero<1>();
    Tiles::template zero<2>();
    Tiles::template zero<3>();
  }
  for (int64_t s = 0; s < m.steps; ++s, delta += m.stride) {
    Tiles::template load<7>(m.tileOf(s), bytes);
    Tiles::template load<4>(delta, bytes);
    Tiles::template load<5>(delta + tileWords, bytes);
    Tiles::template load<6>(delta + 2 * tileWords, bytes);
    m.fetch(s);
    Tiles::template dot<0, 4, 7>();
    if (tall > 3) Tiles::template load<4>(delta + 3 * tileWords, bytes);
    Tiles::template dot<1, 5, 7>();
    Tiles::template dot<2, 6, 7>();
    if (tall > 3) Tiles::template dot<3, 4, 7>();
  }
  Tiles::template store<0>(m.c, bytes);
  Tiles::template store<1>(m.c + tileWords, bytes);
  Tiles::template store<2>(m.c + 2 * tileWords, bytes);
  if (tall > 3) Tiles::template store<3>(m.c + 3 * tileWords, bytes);
}

/** c (+)= two column tiles, 1 or 2 tiles of filters. */
template <class Tiles, int tall>
static void sumColumns(const StepSums& m) {
  constexpr int64_t bytes = 4 * tileSide;
  const uint32_t* delta = m.delta;
  float* c = m.c + tall * tileWords;
  if (m.accumulate) {
    Tiles::template load<0>(m.c, bytes);
    if (tall > 1) Tiles::template load<1>(m.c + tileWords, bytes);
    Tiles::template load<2>(c, bytes);
    if (tall > 1) Tiles::template load<3>(c + tileWords, bytes);
  } else {
    Tiles::template zero<0>();
    Tiles::template zero<1>();
    Tiles::template zero<2>();
    Tiles::template zero<3>();
  }
  for (int64_t s = 0; s < m.steps; ++s, delta += m.stride) {
    const uint32_t* x = m.tileOf(s);
    Tiles::template load<4>(delta, bytes);
    Tiles::template load<6>(x, bytes);
    Tiles::template load<7>(x + (s + 1 < m.steps ? m.apart : m.lastApart), bytes);
    if (tall > 1) Tiles::template load<5>(delta + tileWords, bytes);
    m.fetch(s);
    Tiles::template dot<0, 4, 6>();
    if (tall > 1) Tiles::template dot<1, 5, 6>();
    Tiles::template dot<2, 4, 7>();
    if (tall > 1) Tiles::template dot<3, 5, 7>();
  }
  Tiles::template store<0>(m.c, bytes);
  if (tall > 1) Tiles::template store<1>(m.c + tileWords, bytes);
  Tiles::template store<2>(c, bytes);
  if (tall > 1) Tiles::template store<3>(c + tileWords, bytes);
}

/** `tall` tiles of filters, 1 … 4, by one column tile or, for 1 or 2, by two. */
template <class Tiles>
static void sumSteps(int64_t tall, const StepSums& m) {
  switch (tall) {
    case 1:
      return sumColumns<Tiles, 1>(m);
    case 2:
      return sumColumns<Tiles, 2>(m);
    case 3:
      return sumColumn<Tiles, 3>(m);
    default:
      return sumColumn<Tiles, 4>(m);
  }
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
#endif
