// The products of a convolution, from images as they lie in memory: nothing is copied into rows or transposed. A tile broadcasts from
// places that lie a fixed distance apart, which costs nothing, where gathering the patches of 14 pixels takes a fifth of the time of
// multiplying them by 64 filters. Each element is one chain of multiply-adds in the order of p, and is finished (Ending) before it is stored.
#pragma once
#include "cpu/gemm/product.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

PUSHFORWARD_INLINE void copyFloats(float* to, const float* from, int64_t count) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(to + i, load(from + i));
  const int rest = static_cast<int>(count - i);
  if (rest > 0) storePartial(to + i, loadPartial(from + i, rest), rest);
}

/** What a step of depth multiplies: of each operand one float. */
struct Singles {
  using Element = float;
  static constexpr int64_t together = 1;

  __attribute__((always_inline)) static Float left(const Element* a) { return broadcast(*a); }
  __attribute__((always_inline)) static Float add(Float left, Float right, Float sum) {
    return multiplyAdd(left, right, sum);
  }
};

#if PUSHFORWARD_LANES == 16
/** Two bf16 that are neighbours, and words of b that hold as many: VDPBF16PS, on `avx512bf16` alone. */
struct Pairs {
  using Element = uint16_t;
  static constexpr int64_t together = 2;

  __attribute__((always_inline)) static Float left(const Element* a) {
    uint32_t word;
    __builtin_memcpy(&word, a, sizeof word);
    return asFloat(broadcast(word));
  }
  /** An element without a neighbour: what follows it may be anything, and 0 · ∞ is NaN. */
  __attribute__((always_inline)) static Float lastLeft(const Element* a) { return asFloat(broadcast(uint32_t{*a})); }
  __attribute__((always_inline)) static Float add(Float left, Float right, Float sum) {
    // As text, because a function that may use the intrinsic cannot be inlined into one that may not.
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(left), "v"(right));
    return sum;
  }
};
#endif

/** A stretch of `length` elements. */
template <class Element>
struct Stretch {
  const Element* from;
  int64_t length;
};

/** What happens to c[i, j] on the way to memory, in this order; nullptr or 0 where it does not. */
struct Ending {
  bool accumulate;  // + c[i, j]
  int64_t rank;     // + Σ_q left[q·leftStride + i] right[q·rightStride + j], q < rank
  const float *left, *right;
  int64_t leftStride, rightStride;
  const float* bias;    // + bias[j]
  const float* slopes;  // · slopes[i·slopeStride + j]
  int64_t slopeStride;
  const float* gate;  // 0 unless gate, as large as c, is positive at [i, j]
  bool gateIsFar;     // and is fetched with c
  bool clamp;         // 0 if it is not positive; NaN stays

  /** To that of columns from j on. */
  __attribute__((always_inline)) void moveAlong(int64_t j) {
    if (right != nullptr) right += j;
    if (bias != nullptr) bias += j;
    if (slopes != nullptr) slopes += j;
    if (gate != nullptr) gate += j;
  }
};

/** At most Format::rows neighbouring pixels: the first, counted over all images, and how far behind the pieces their patches begin. */
struct Block {
  int64_t index, pixel, rows;  // index in its group
  int64_t offset;
};

constexpr int64_t mostBlocks = 4;  // together

/**
 * Blocks that are multiplied together; patches of neighbours are rowStep elements apart. While pixel i of the result is computed, it is time to
 * fetch next[i·nextStride …], unless that is nullptr.
 */
template <class Element>
struct Blocks {
  const Stretch<Element>* pieces;
  int64_t pieceCount, rowStep;
  const float* next;
  int64_t nextStride;
  int64_t count;
  Block block[mostBlocks];
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
    const float* left = e.left + q * e.leftStride;
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

/**
 * A line of the left operand is the elements of all pieces in turn from `offset` on, `rowStep` elements further on for each row; b is a packed
 * panel, a row for each step of a piece: an odd one's last step has zeros.
 */
template <class Element>
struct PieceProduct {
  const Stretch<Element>* pieces;
  int64_t count, rowStep, offset;
  const float* b;
  float* c;
  int64_t cStride, columns;
  Ending ending;
};

/** c[i, j] = Σ_p a[i, p] b[p, j], ended. */
template <class Terms, int rows, int vectors>
static void multiplyPiecesBy(const PieceProduct<typename Terms::Element>& m) {
  // One register of the address serves three rows: base, base + step, base + 2·step are addressing modes.
  constexpr int groups = (rows + 2) / 3;
  using Element = typename Terms::Element;
  const int64_t step = m.rowStep;
  const float* b = m.b;
  Float sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sum[i][v] = Float{};
  for (int64_t piece = 0; piece < m.count; ++piece) {
    const Element* a[groups];
#pragma GCC unroll 8
    for (int g = 0; g < groups; ++g) {
      a[g] = m.pieces[piece].from + m.offset + 3 * g * step;
      asm volatile("" : "+r"(a[g]));  // or the compiler keeps an address for every row, on the stack
    }
    const auto multiply = [&](const auto& leftAt) __attribute__((always_inline)) {
      Float right[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) right[v] = load(b + v * lanes);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const Float left = leftAt(a[i / 3] + i % 3 * step);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sum[i][v] = Terms::add(left, right[v], sum[i][v]);
      }
      b += tileColumns;
    };
    for (int64_t p = m.pieces[piece].length / Terms::together; p > 0; --p) {
      multiply(Terms::left);
#pragma GCC unroll 8
      for (int g = 0; g < groups; ++g) a[g] += Terms::together;
    }
    if constexpr (Terms::together > 1)
      if (m.pieces[piece].length % Terms::together != 0) multiply(Terms::lastLeft);
  }
  writeTile(sum, m.c, m.cStride, m.columns, m.ending);
}

/** Places of a and b of the first pixel of a run. */
template <class Element>
struct Run {
  const Element* a;
  const float* b;
};

/**
 * Each run has `pixels` pixels, as many as Terms has `together` in a step, aStep elements and bStep floats apart; rows of a follow each
 * other. b has whole vectors, zero beyond the last column.
 */
template <class Element>
struct RunProduct {
  const Run<Element>* runs;
  int64_t count, pixels, aStep, bStep;
  float* c;
  int64_t cStride, columns;
  bool accumulate;
};

/** c[i, j] (+)= Σ over the pixels of all runs of a[i] b[j]. */
template <class Terms, int rows, int vectors>
static void multiplyRunsBy(const RunProduct<typename Terms::Element>& m) {
  Float sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sum[i][v] = Float{};
  for (int64_t run = 0; run < m.count; ++run) {
    const typename Terms::Element* a = m.runs[run].a;
    const float* b = m.runs[run].b;
    const auto multiply = [&](const auto& leftAt) __attribute__((always_inline)) {
      Float right[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) right[v] = load(b + v * lanes);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const Float left = leftAt(a + i * Terms::together);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sum[i][v] = Terms::add(left, right[v], sum[i][v]);
      }
    };
    for (int64_t p = m.pixels / Terms::together; p > 0; --p) {
      multiply(Terms::left);
      a += m.aStep;
      b += m.bStep;
    }
    if constexpr (Terms::together > 1)
      if (m.pixels % Terms::together != 0) multiply(Terms::lastLeft);
  }
  Ending ending{};
  ending.accumulate = m.accumulate;
  writeTile(sum, m.c, m.cStride, m.columns, ending);
}

/** rows ≤ tileRows, m.columns ≤ tileColumns. */
template <class Terms, int most = tileRows>
PUSHFORWARD_INLINE void multiplyPieces(int64_t rows, const PieceProduct<typename Terms::Element>& m) {
  if constexpr (most > 1)
    if (rows < most) return multiplyPieces<Terms, most - 1>(rows, m);
  m.columns > lanes ? multiplyPiecesBy<Terms, most, tileVectors>(m) : multiplyPiecesBy<Terms, most, 1>(m);
}
template <class Terms, int most = tileRows>
PUSHFORWARD_INLINE void multiplyRuns(int64_t rows, const RunProduct<typename Terms::Element>& m) {
  if constexpr (most > 1)
    if (rows < most) return multiplyRuns<Terms, most - 1>(rows, m);
  m.columns > lanes ? multiplyRunsBy<Terms, most, tileVectors>(m) : multiplyRunsBy<Terms, most, 1>(m);
}

/** Brings nearer what will be written next, and the gate it goes through: a store waits for its line to come from L3. */
PUSHFORWARD_INLINE void fetchResults(const float* c, const float* gate, int64_t rows, int64_t cStride,
                                     int64_t columns) {
  constexpr int64_t line = 16;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; j += line) {
      __builtin_prefetch(c + i * cStride + j, 1);
      if (gate != nullptr) __builtin_prefetch(gate + i * cStride + j);
    }
}

/** Blocks times a matrix [depth, columns] of panels (nullptr: 0); at(block, c, ending) says where the results of one go. */
template <class Terms, class At>
PUSHFORWARD_INLINE void multiplyEach(const Blocks<typename Terms::Element>& blocks, const float* matrix, int64_t depth,
                                     int64_t columns, int64_t cStride, const At& at) {
  for (int64_t i = 0; i < blocks.count; ++i) {
    const Block& block = blocks.block[i];
    // Moved and not copied: a copy that waits for what was just stored takes as long as a small tile.
    PieceProduct<typename Terms::Element> m;
    m.pieces = blocks.pieces, m.count = matrix == nullptr ? 0 : blocks.pieceCount;
    m.rowStep = blocks.rowStep, m.offset = block.offset;
    m.b = matrix, m.cStride = cStride;
    at(block, m.c, m.ending);
    for (int64_t j = 0; j < columns; j += tileColumns) {
      m.columns = minimum(tileColumns, columns - j);
      const float* gate = m.ending.gateIsFar ? m.ending.gate + block.rows * cStride : nullptr;
      fetchResults(m.c + block.rows * cStride, gate, block.rows, cStride, m.columns);
      multiplyPieces<Terms>(block.rows, m);
      m.b += depth * tileColumns, m.c += tileColumns;
      m.ending.moveAlong(tileColumns);
    }
  }
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
