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

PUSHFORWARD_INLINE Unsigned pairOf(Float first, Float second) { return bf16Bits(second) | bf16Bits(first) >> 16; }
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
  // Word i of x and of y is where lane i of the even and of the odd elements belongs.
  const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0),
                one = _mm512_set1_epi32(1);
  for (; p + 2 * lanes <= depth; p += 2 * lanes) {
    const __m512 x = (__m512)load(from + p), y = (__m512)load(from + p + lanes);
    store(out + p / 2, pairOf((Float)_mm512_permutex2var_ps(x, even, y),
                              (Float)_mm512_permutex2var_ps(x, _mm512_or_si512(even, one), y)));
  }
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
                   float* c, int64_t cStride, bool accumulate, const Lines& next) {
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

void packTileRows(Matrix a, int64_t rows, int64_t first, int64_t last, int64_t depth, uint32_t* out) {
  const int64_t steps = stepCount(depth), pairs = ceilDivide(depth, 2);
  for (int64_t i = first; i < last; ++i) {
    const int64_t row = i * tilesRows, count = minimum(tilesRows, rows - row);
    uint32_t* block = out + row * steps * stepWords;
    for (int64_t begin = 0; begin < pairs; begin += stepWords) {
      uint32_t words[stepWords][tilesRows];  // a step, a column a row
      const int64_t size = minimum(2 * stepWords, depth - 2 * begin);
      if (a.columnStride != 1) packPairs(a.at(row, 2 * begin), count, size, words[0], tilesRows);
      for (int64_t t = 0; t < count; ++t, block += stepWords) {
        const int64_t present = ceilDivide(size, 2);
        if (a.columnStride == 1)
          pairNeighbours(a.at(row + t, 2 * begin).data, size, block);
        else
          for (int64_t p = 0; p < present; ++p) block[p] = words[p][t];
        for (int64_t p = present; p < stepWords; ++p) block[p] = 0;
      }
    }
  }
}

void multiplyTilePanel(const float* a, int64_t rows, int64_t first, int64_t last, int64_t depth, Panel b,
                       int64_t columns, float* c, int64_t cStride, bool accumulate, const Lines& next) {
  const bool whole = next.count == tileColumns && next.stride == tileColumns;
  multiplyTileBlocks<AmxTiles>(reinterpret_cast<const uint32_t*>(a), rows, first, last, depth,
                               reinterpret_cast<const uint32_t*>(b.data), columns, c, cStride, accumulate,
                               whole ? reinterpret_cast<const uint32_t*>(next.data) : nullptr);
}

#endif

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
