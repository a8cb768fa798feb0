// The products of a convolution, from images as they lie in memory: nothing is copied into rows or transposed. A tile broadcasts from
// places that lie a fixed distance apart, which costs nothing, where gathering the patches of 14 pixels takes a fifth of the time of
// multiplying them by 64 filters. Each element is one chain of multiply-adds in the order of p, and is finished (Ending) before it is stored.
#pragma once
#include "cpu/gemm/product.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

/** A stretch of `length` floats. */
struct Stretch {
  const float* from;
  int64_t length;
};

/** What happens to c[i, j] on the way to memory, in this order; nullptr or 0 where it does not. */
struct Ending {
  bool accumulate;  // + c[i, j]
  int64_t rank;     // + Σ_q left[q·tileRows + i] right[q·rightStride + j], q < rank
  const float *left, *right;
  int64_t rightStride;
  const float* bias;    // + bias[j]
  const float* slopes;  // · slopes[i·slopeStride + j]
  int64_t slopeStride;
  const float* gate;  // 0 unless gate, as large as c, is positive at [i, j]
  bool clamp;         // 0 if it is not positive; NaN stays
};

template <bool whole>
PUSHFORWARD_INLINE Float get(const float* from, int count) {
  return whole ? load(from) : loadPartial(from, count);
}

/** Vector v of each row of a tile of sums, `count` of its columns. Step by step for all rows: one decision each. */
template <int rows, int vectors, bool whole>
PUSHFORWARD_INLINE void writeColumns(Float (&sum)[rows][vectors], int v, float* c, int64_t cStride, const Ending& e,
                                     int count) {
  const int64_t j = v * lanes;
  const auto forRows = [&](const auto& f) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) sum[i][v] = f(i, sum[i][v]);
  };
  if (e.accumulate) forRows([&](int i, Float x) { return get<whole>(c + i * cStride + j, count) + x; });
  for (int64_t q = 0; q < e.rank; ++q) {
    const float* left = e.left + q * tileRows;
    const Float right = get<whole>(e.right + q * e.rightStride + j, count);
    forRows([&](int i, Float x) { return multiplyAdd(broadcast(left[i]), right, x); });
  }
  if (e.bias != nullptr) {
    const Float bias = get<whole>(e.bias + j, count);
    forRows([&](int, Float x) { return x + bias; });
  }
  if (e.slopes != nullptr)
    forRows([&](int i, Float x) { return x * get<whole>(e.slopes + i * e.slopeStride + j, count); });
  if (e.gate != nullptr)
    forRows([&](int i, Float x) { return select(get<whole>(e.gate + i * cStride + j, count) > 0.0f, x, Float{}); });
  if (e.clamp) forRows([&](int, Float x) { return select(x <= 0.0f, Float{}, x); });
  forRows([&](int i, Float x) {
    if constexpr (whole)
      store(c + i * cStride + j, x);
    else
      storePartial(c + i * cStride + j, x, count);
    return x;
  });
}

template <int rows, int vectors>
PUSHFORWARD_INLINE void writeTile(Float (&sum)[rows][vectors], float* c, int64_t cStride, int64_t columns,
                                  const Ending& ending) {
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) {
    const int count = static_cast<int>(minimum(lanes, columns - v * lanes));
    if (count == lanes)
      writeColumns<rows, vectors, true>(sum, v, c, cStride, ending, count);
    else if (count > 0)
      writeColumns<rows, vectors, false>(sum, v, c, cStride, ending, count);
  }
}

/** A line of the left operand is the elements of all pieces in turn, `rowStep` floats further on for each row; b is a packed panel. */
struct PieceProduct {
  const Stretch* pieces;
  int64_t count, rowStep;
  const float* b;
  float* c;
  int64_t cStride, columns;
  Ending ending;
};

/** c[i, j] = Σ_p a[i, p] b[p, j], ended. */
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
  writeTile(sum, m.c, m.cStride, m.columns, m.ending);
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
  Ending ending{};
  ending.accumulate = m.accumulate;
  writeTile(sum, m.c, m.cStride, m.columns, ending);
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
