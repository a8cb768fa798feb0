// The products of a convolution, from images as they lie in memory: nothing is copied into rows or transposed. A tile broadcasts from
// places that lie a fixed distance apart, which costs nothing, where gathering the patches of 14 pixels takes a fifth of the time of
// multiplying them by 64 filters. Each element is one chain of multiply-adds in the order of p, added to what c holds if `accumulate`; `bias`
// (nullptr: none) is added last.
#pragma once
#include "cpu/gemm/product.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

/** A stretch of `length` floats. */
struct Piece {
  const float* from;
  int64_t length;
};

/** c (+)= sum + bias for the first `columns` of a tile. */
template <int rows, int vectors>
PUSHFORWARD_INLINE void writeTile(const Float (&sum)[rows][vectors], float* c, int64_t cStride, int64_t columns,
                                  bool accumulate, const float* bias) {
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) {
    const int count = static_cast<int>(minimum(lanes, columns - v * lanes));
    if (count == lanes) {
      const Float last = bias == nullptr ? Float{} : load(bias + v * lanes);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        float* to = c + i * cStride + v * lanes;
        const Float value = accumulate ? load(to) + sum[i][v] : sum[i][v];
        store(to, bias == nullptr ? value : value + last);
      }
    } else if (count > 0) {
      const Float last = bias == nullptr ? Float{} : loadPartial(bias + v * lanes, count);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        float* to = c + i * cStride + v * lanes;
        const Float value = accumulate ? loadPartial(to, count) + sum[i][v] : sum[i][v];
        storePartial(to, bias == nullptr ? value : value + last, count);
      }
    }
  }
}

/** A line of the left operand is the elements of all pieces in turn, `rowStep` floats further on for each row; b is a packed panel. */
struct PieceProduct {
  const Piece* pieces;
  int64_t count, rowStep;
  const float* b;
  float* c;
  int64_t cStride, columns;
  bool accumulate;
  const float* bias;
};

/** c[i, j] (+)= Σ_p a[i, p] b[p, j] + bias[j]. */
template <int rows, int vectors>
static void multiplyPiecesBy(const PieceProduct& m) {
  // One register of the address serves three rows: base, base + step, base + 2·step are addressing modes.
  constexpr int groups = (rows + 2) / 3;
  const int64_t step = m.rowStep;
  const float* b = m.b;
  Float sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sum[i][v] = Float{};
  for (int64_t piece = 0; piece < m.count; ++piece) {
    const float* a[groups];
#pragma GCC unroll 8
    for (int g = 0; g < groups; ++g) {
      a[g] = m.pieces[piece].from + 3 * g * step;
      asm volatile("" : "+r"(a[g]));  // or the compiler keeps an address for every row, on the stack
    }
    for (int64_t p = m.pieces[piece].length; p > 0; --p) {
      Float right[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) right[v] = load(b + v * lanes);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const Float left = broadcast(a[i / 3][i % 3 * step]);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sum[i][v] = multiplyAdd(left, right[v], sum[i][v]);
      }
#pragma GCC unroll 8
      for (int g = 0; g < groups; ++g) ++a[g];
      b += tileColumns;
    }
  }
  writeTile(sum, m.c, m.cStride, m.columns, m.accumulate, m.bias);
}

/** Places of a and b of the first pixel of a run. */
struct Run {
  const float *a, *b;
};

/** Each run has `pixels` pixels, aStep and bStep floats apart; b has whole vectors, zero beyond the last column. */
struct RunProduct {
  const Run* runs;
  int64_t count, pixels, aStep, bStep;
  float* c;
  int64_t cStride, columns;
  bool accumulate;
};

/** c[i, j] (+)= Σ over the pixels of all runs of a[i] b[j]. */
template <int rows, int vectors>
static void multiplyRunsBy(const RunProduct& m) {
  Float sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sum[i][v] = Float{};
  for (int64_t run = 0; run < m.count; ++run) {
    const float *a = m.runs[run].a, *b = m.runs[run].b;
    for (int64_t p = m.pixels; p > 0; --p) {
      Float right[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) right[v] = load(b + v * lanes);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const Float left = broadcast(a[i]);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sum[i][v] = multiplyAdd(left, right[v], sum[i][v]);
      }
      a += m.aStep;
      b += m.bStep;
    }
  }
  writeTile(sum, m.c, m.cStride, m.columns, m.accumulate, nullptr);
}

/** rows ≤ tileRows, m.columns ≤ tileColumns. */
template <int most = tileRows>
PUSHFORWARD_INLINE void multiplyPieces(int64_t rows, const PieceProduct& m) {
  if constexpr (most > 1)
    if (rows < most) return multiplyPieces<most - 1>(rows, m);
  m.columns > lanes ? multiplyPiecesBy<most, tileVectors>(m) : multiplyPiecesBy<most, 1>(m);
}
template <int most = tileRows>
PUSHFORWARD_INLINE void multiplyRuns(int64_t rows, const RunProduct& m) {
  if constexpr (most > 1)
    if (rows < most) return multiplyRuns<most - 1>(rows, m);
  m.columns > lanes ? multiplyRunsBy<most, tileVectors>(m) : multiplyRunsBy<most, 1>(m);
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
