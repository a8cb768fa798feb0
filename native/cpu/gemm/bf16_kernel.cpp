// Rounding to bf16 and packing to pairs; the loops over the tiles of a panel. Layouts stand in bf16.h.
#include "cpu/gemm/bf16.h"

#include "cpu/gemm/amx.h"
#include "cpu/gemm/tile_pairs.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

PUSHFORWARD_INLINE void storeFirst(uint32_t* to, Unsigned x, int64_t count) {
  if (count >= lanes)
    store(to, x);
  else
    storePartial(reinterpret_cast<int32_t*>(to), asInt(x), static_cast<int>(count));
}

PUSHFORWARD_INLINE uint32_t pairOf(float first, float second) { return bf16Bits(second) | bf16Bits(first) >> 16; }

void roundFloats(float* x, int64_t count) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(x + i, roundBf16(load(x + i)));
  for (; i < count; ++i) x[i] = roundBf16(x[i]);
}

/** out[i] = the pair of first[i] and second[i], which may be nothing. */
PUSHFORWARD_INLINE void pairLines(const float* first, const float* second, int64_t count, uint32_t* out) {
  for (int64_t i = 0; i < count; i += lanes)
    storeFirst(out + i,
               pairOf(loadFirst(first + i, count - i), second == nullptr ? Float{} : loadFirst(second + i, count - i)),
               count - i);
}

/** The pairs of one line whose elements are neighbours. */
PUSHFORWARD_INLINE void pairNeighbours(const float* from, int64_t depth, uint32_t* out) {
  int64_t p = 0;
#if PUSHFORWARD_LANES == 16
  for (; p + 2 * lanes <= depth; p += 2 * lanes)
    store(out + p / 2, pairNeighbours(load(from + p), load(from + p + lanes)));
  if (p < depth)
    return storeFirst(out + p / 2,
                      pairNeighbours(loadFirst(from + p, depth - p),
                                     depth - p > lanes ? loadFirst(from + p + lanes, depth - p - lanes) : Float{}),
                      (depth - p + 1) / 2);
#endif
  for (; p < depth; p += 2) out[p / 2] = pairOf(from[p], p + 1 < depth ? from[p + 1] : 0.0f);
}

void packPairs(Matrix lines, int64_t count, int64_t depth, uint32_t* out, int64_t outStride) {
  if (lines.rowStride == 1) {
    for (int64_t p = 0; p < depth; p += 2, out += outStride) {
      const float* from = lines.data + p * lines.columnStride;
      pairLines(from, p + 1 < depth ? from + lines.columnStride : nullptr, count, out);
    }
  } else if (lines.columnStride == 1) {
    // Pairs lie in memory as their halves do: a line becomes words, and words are transposed as floats are.
    constexpr int64_t together = 4, most = panelDepth / 2;
    float words[together * most];
    for (int64_t begin = 0; begin < depth; begin += 2 * most) {
      const int64_t size = minimum(2 * most, depth - begin), pairs = ceilDivide(size, 2);
      for (int64_t i = 0; i < count; i += together) {
        const int64_t group = minimum(together, count - i);
        for (int64_t t = 0; t < group; ++t)
          pairNeighbours(lines.at(i + t, begin).data, size, reinterpret_cast<uint32_t*>(words + t * most));
        packLines({words, most, 1}, group, pairs, reinterpret_cast<float*>(out + begin / 2 * outStride + i), outStride);
      }
    }
  } else {
    for (int64_t i = 0; i < count; ++i)
      for (int64_t p = 0; p < depth; p += 2)
        out[p / 2 * outStride + i] = pairOf(*lines.at(i, p).data, p + 1 < depth ? *lines.at(i, p + 1).data : 0.0f);
  }
}

void pairPanel(const float* panel, int64_t columns, int64_t depth, float* out) {
  for (int64_t p = 0; p < depth; p += 2) {
    const float* from = panel + p * tileColumns;
    pairLines(from, p + 1 < depth ? from + tileColumns : nullptr, columns,
              reinterpret_cast<uint32_t*>(out + p / 2 * tileColumns));
  }
}

void pairAlong(float* x, int64_t count, int64_t step) {
  uint32_t* out = reinterpret_cast<uint32_t*>(x);
  const int64_t paired = count > step ? count - step : 0;
  pairLines(x, x + step, paired, out);
  pairLines(x + paired, nullptr, count - paired, out + paired);
}

void unpackPairs(const Lines& words, int64_t depth, float* out) {
  for (int64_t p = 0; p < depth; p += 2)
    for (int64_t j = 0; j < words.count; j += lanes) {
      const Unsigned word = load(reinterpret_cast<const uint32_t*>(words.data + p / 2 * words.stride + j));
      store(out + p * tileColumns + j, asFloat(word << 16));
      store(out + (p + 1) * tileColumns + j, asFloat(word & 0xFFFF0000u));
    }
}

void packPlaneRows(const Weights& b, const Piece& piece, float* out) {
  for (int64_t done = 0; done < piece.depth;) {
    const int64_t at = piece.top + done, panel = at / tileColumns * tileColumns;
    const int64_t wide = minimum(tileColumns, b.out - panel), count = minimum(panel + wide - at, piece.depth - done);
    float rows[tileColumns * tileColumns];
    unpackPairs(b.lines({piece.column, piece.columns, panel, wide}), piece.columns, rows);
    packLines({rows + (at - panel), tileColumns, 1}, piece.columns, count, out + done * tileColumns, tileColumns);
    done += count;
  }
}

#if PUSHFORWARD_LANES == 16

/** Eight rows of eight words of 64 bits become columns. */
PUSHFORWARD_INLINE void transposeWide(__m512i (&x)[8]) {
  __m512i y[8], z[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    y[i] = _mm512_unpacklo_epi64(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_epi64(x[i], x[i + 1]);
  }
  // y[2a + b] holds columns b, 2 + b, 4 + b, 6 + b of rows 2a and 2a + 1.
#pragma GCC unroll 2
  for (int b = 0; b < 2; ++b) {
    z[b] = _mm512_shuffle_i64x2(y[b], y[b + 2], 0x88);
    z[b + 2] = _mm512_shuffle_i64x2(y[b], y[b + 2], 0xDD);
    z[b + 4] = _mm512_shuffle_i64x2(y[b + 4], y[b + 6], 0x88);
    z[b + 6] = _mm512_shuffle_i64x2(y[b + 4], y[b + 6], 0xDD);
  }
#pragma GCC unroll 2
  for (int b = 0; b < 2; ++b) {
    x[b] = _mm512_shuffle_i64x2(z[b], z[b + 4], 0x88);
    x[b + 4] = _mm512_shuffle_i64x2(z[b], z[b + 4], 0xDD);
    x[b + 2] = _mm512_shuffle_i64x2(z[b + 2], z[b + 6], 0x88);
    x[b + 6] = _mm512_shuffle_i64x2(z[b + 2], z[b + 6], 0xDD);
  }
}

// Words (r, c) and (r, c + 1) of planes are two rows of b, 2r and 2r + 1, by two columns: the pairs of bᵀ at depth c/2 of its columns 2r
// and 2r + 1, but for the order of their halves. So words of 64 bits are transposed, eight by eight.
void packPlanePairs(const Weights& b, const Piece& piece, uint32_t* out) {
  constexpr int64_t side = 8;
  const __m512i order = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15));
  for (int64_t done = 0; done < piece.depth; done += lanes) {
    const int64_t at = piece.top + done, panel = at / tileColumns * tileColumns;
    const Lines lines = b.lines({piece.column, piece.columns, panel, tileColumns});
    for (int64_t j = 0; j < piece.columns; j += 2 * side) {
      const float* from = lines.data + j / 2 * lines.stride + (at - panel);
      __m512i x[side];
#pragma GCC unroll 8
      for (int64_t r = 0; r < side; ++r) {
        x[r] = _mm512_shuffle_epi8(_mm512_loadu_si512(from + r * lines.stride), order);
        // The next columns of bᵀ.
        __builtin_prefetch(from + (r + piece.columns / 2) * lines.stride, 0, 2);
      }
      transposeWide(x);
#pragma GCC unroll 8
      for (int64_t p = 0; p < side; ++p) _mm512_storeu_si512(out + (done / 2 + p) * tileColumns + j, x[p]);
    }
  }
}

using PairTile = void (*)(int64_t pairs, const uint32_t* a, const uint32_t* b, int64_t bStride, float* c,
                          int64_t cStride, int columns, bool accumulate, Prefetch next);

/** The tile of `count` ≤ rows rows. */
template <int rows>
static PairTile pairTileOf(int64_t count, int64_t columns) {
  if constexpr (rows > 1)
    if (count < rows) return pairTileOf<rows - 1>(count, columns);
  return columns > lanes ? &multiplyPairTile<rows, tileVectors> : &multiplyPairTile<rows, 1>;
}

void multiplyPairs(const float* a, int64_t rows, int64_t first, int64_t last, int64_t depth, Panel b, int64_t columns,
                   float* c, int64_t cStride, bool accumulate, const NextPanel& next) {
  const int64_t pairs = ceilDivide(depth, 2);
  for (int64_t i = first; i < last; ++i) {
    const int64_t row = blockBegin(rows, i), count = blockBegin(rows, i + 1) - row;
    const float* block = a + row * pairs;
    pairTileOf<tileRows>(count, columns)(pairs, reinterpret_cast<const uint32_t*>(block),
                                         reinterpret_cast<const uint32_t*>(b.data), b.stride, c + row * cStride,
                                         cStride, static_cast<int>(columns), accumulate,
                                         fetchOf(next, i - first, last - first, pairs, block));
  }
}

/** Sixteen rows of sixteen words become columns. */
PUSHFORWARD_INLINE void transposeWords(const uint32_t* from, int64_t stride, uint32_t* to, int64_t toStride) {
  __m512i even[8], odd[8];  // words 2c and 2c + 1 of rows 2r and 2r + 1 side by side, columns of words of 64 bits
  const __m512i low = _mm512_setr_epi32(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
                high = _mm512_setr_epi32(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31);
#pragma GCC unroll 8
  for (int r = 0; r < 8; ++r) {
    const __m512i x = _mm512_loadu_si512(from + 2 * r * stride), y = _mm512_loadu_si512(from + (2 * r + 1) * stride);
    even[r] = _mm512_permutex2var_epi32(x, low, y);
    odd[r] = _mm512_permutex2var_epi32(x, high, y);
  }
  transposeWide(even);
  transposeWide(odd);
#pragma GCC unroll 8
  for (int c = 0; c < 8; ++c) {
    _mm512_storeu_si512(to + 2 * c * toStride, even[c]);
    _mm512_storeu_si512(to + (2 * c + 1) * toStride, odd[c]);
  }
}

void packTileRows(Matrix a, int64_t rows, int64_t first, int64_t last, int64_t depth, uint32_t* out) {
  constexpr int64_t fetched = 128;  // floats ahead
  const int64_t steps = stepCount(depth);
  for (int64_t i = first; i < last; ++i) {
    const int64_t row = i * tilesRows, count = minimum(tilesRows, rows - row);
    uint32_t* block = out + row * steps * stepWords;
    for (int64_t begin = 0; begin < depth; begin += 2 * stepWords, block += count * stepWords) {
      const int64_t size = minimum(2 * stepWords, depth - begin), present = ceilDivide(size, 2);
      if (a.columnStride == 1) {
        for (int64_t t = 0; t < count; ++t) {
          uint32_t* to = block + t * stepWords;
          // Of 32 rows no hardware prefetcher follows; beyond their ends come those of the next block.
          const int64_t then = begin + fetched;
          const float* next = then < depth ? a.at(row + t, then).data : a.at(row + t + tilesRows, then - depth).data;
          __builtin_prefetch(next);
          __builtin_prefetch(next + 16);
          pairNeighbours(a.at(row + t, begin).data, size, to);
          for (int64_t p = present; p < stepWords; ++p) to[p] = 0;
        }
        continue;
      }
      alignas(64) uint32_t words[stepWords][tilesRows];  // a column a row
      packPairs(a.at(row, begin), count, size, words[0], tilesRows);
      for (int64_t p = present; p < stepWords; ++p)
        for (int64_t t = 0; t < count; ++t) words[p][t] = 0;
      int64_t t = 0;
      for (; t + lanes <= count; t += lanes) transposeWords(&words[0][t], tilesRows, block + t * stepWords, stepWords);
      for (; t < count; ++t)
        for (int64_t p = 0; p < stepWords; ++p) block[t * stepWords + p] = words[p][t];
    }
  }
}

void multiplyTilePanel(const float* a, int64_t rows, int64_t first, int64_t last, int64_t depth, Panel b,
                       int64_t columns, float* c, int64_t cStride, bool accumulate, const NextPanel& next) {
  const bool whole = next.lines.count == tileColumns && next.lines.stride == tileColumns;
  multiplyTileBlocks<AmxTiles>(
      reinterpret_cast<const uint32_t*>(a), rows, first, last, depth,
      {reinterpret_cast<const uint32_t*>(b.data), reinterpret_cast<const uint32_t*>(b.last)}, columns, c, cStride,
      accumulate, whole ? reinterpret_cast<const uint32_t*>(next.lines.data) : nullptr, next.before, next.blocks);
}

#endif

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
