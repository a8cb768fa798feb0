// C (+)= A B from packed panels, the part that one thread does. A panel of B is `depth` rows of tileColumns columns,
// read once for all rows that multiply it; kernels (dense, matmul, update) decide where it comes from and which rows
// those are.
#pragma once
#include "core/weight_layout.h"
#include "cpu/gemm/tile.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

/** Depth of a panel. With AVX-512 a panel of B (32 KB) and a block of A (14 KB) just fit an L1 cache of 48 KB. */
constexpr int64_t panelDepth = 256;
constexpr int64_t panelFloats = panelDepth * tileColumns;

/** Element (i, j) at data[i·rowStride + j·columnStride]. */
struct Matrix {
  const float* data;
  int64_t rowStride, columnStride;

  __attribute__((always_inline)) Matrix at(int64_t i, int64_t j) const {
    return {data + i * rowStride + j * columnStride, rowStride, columnStride};
  }
};

PUSHFORWARD_INLINE int64_t minimum(int64_t x, int64_t y) { return x < y ? x : y; }
PUSHFORWARD_INLINE int64_t maximum(int64_t x, int64_t y) { return x > y ? x : y; }
PUSHFORWARD_INLINE int64_t ceilDivide(int64_t x, int64_t y) { return (x + y - 1) / y; }
PUSHFORWARD_INLINE int64_t roundUp(int64_t x, int64_t y) { return ceilDivide(x, y) * y; }

/**
 * Rows are multiplied in blocks of at most tileRows, as equal as can be: block i of `rows` begins at row
 * blockBegin(rows, i).
 */
PUSHFORWARD_INLINE int64_t blockCount(int64_t rows) { return ceilDivide(rows, tileRows); }
PUSHFORWARD_INLINE int64_t blockBegin(int64_t rows, int64_t i) { return i * rows / blockCount(rows); }

/** A piece of B: rows [top, top + depth) of columns [column, column + columns), columns ≤ tileColumns. */
struct Piece {
  int64_t top, depth, column, columns;
};

/** `count` floats, at least, of each of `rows` rows that are `stride` apart; 0 rows: of as many as a tile has steps. */
struct Lines {
  const float* data = nullptr;
  int64_t stride = 0, count = 0, rows = 0;
};

/**
 * What will be read after a panel, which all `blocks` of rows that multiply the panel fetch together; `before` of them
 * came in other calls. 0 blocks: those of one call do. And where results will be written in the end, row by row, unless that is c.
 */
struct NextPanel {
  Lines lines;
  int64_t before = 0, blocks = 0;
  const float* written = nullptr;
  int64_t writtenStride = 0;
};

/** What block `index` of `count` fetches of a few long rows: two of them, or a part of one. */
PUSHFORWARD_INLINE Prefetch fetchOfRows(const Lines& next, int64_t index, int64_t count, int64_t steps) {
  const int64_t sharers = maximum(count / next.rows, 1), together = count < next.rows ? 2 : 1;
  const int64_t row = minimum(index / sharers * together, next.rows - together);
  const int64_t stride = ceilDivide(next.count, sharers * steps);
  return {next.data + row * next.stride + index % sharers * stride * steps, stride, together == 2 ? next.stride : 0};
}

/**
 * What block `index` of the `count` of a call, of `steps` steps each, fetches of as many rows of `next`; where there is
 * nothing, the tile asks again for what it `has`. All blocks fetch alike, a line in 32 cycles or so: loads from L2 wait
 * for the same line buffers, 16 on Intel, which a line from L3 in 14 cycles keeps full (docs/performance.md).
 */
PUSHFORWARD_INLINE Prefetch fetchOf(const NextPanel& ahead, int64_t index, int64_t count, int64_t steps,
                                    const float* has) {
  constexpr int64_t line = 16;  // floats; a row has at most two
  const Lines& next = ahead.lines;
  if (next.count == 0) return {has, 0, 0};
  index += ahead.before;
  count = maximum(ahead.blocks, count);
  if (next.rows > 0) return fetchOfRows(next, index, count, steps);
  if (next.stride == next.count) {
    const int64_t share = ceilDivide(next.stride, count);
    return {next.data + index * share * steps, share, share > line ? line : 0};
  }
  const int64_t lines = ceilDivide(next.count, line);
  if (index >= lines) return {has, 0, 0};
  return {next.data + index * line, next.stride, lines > count ? line : 0};
}

/** B [in, out]; panels have tileColumns columns, and the last may have `lanes`. */
struct Weights {
  const float* data;
  int64_t in, out;
  WeightLayout layout = WeightLayout::rows;

  bool is(WeightLayout which) const { return layout == which; }

  /** Where a piece lies; of planes, the words of its high halves. piece.top and piece.depth are then even. */
  __attribute__((always_inline)) Lines lines(const Piece& piece) const {
    if (is(WeightLayout::rows)) return {data + piece.top * out + piece.column, out, piece.columns};
    const int64_t wide = minimum(tileColumns, out - piece.column);
    const int64_t offset = piece.column * in + piece.top * wide;
    return {data + (is(WeightLayout::planes) ? offset / 2 : offset), wide, piece.columns};
  }

  /** Where a piece of wᵀ lies, w in panels; piece.top begins one of them. */
  __attribute__((always_inline)) Lines linesOfTransposed(const Piece& piece) const {
    const int64_t wide = minimum(tileColumns, out - piece.top);
    return {data + piece.top * in + piece.column * wide, in * tileColumns, piece.columns * wide,
            ceilDivide(piece.depth, tileColumns)};
  }
};

/** out[p·outStride + i] = lines(i, p), i < count, p < depth: `lines` are rows of A or columns of B. */
void packLines(Matrix lines, int64_t count, int64_t depth, float* out, int64_t outStride);

/** Blocks [first, last) of the rows of a [rows, depth]; the block that begins at row r is at out + r·depth. */
void packRows(Matrix a, int64_t rows, int64_t first, int64_t last, int64_t depth, float* out);

/** A panel of b [depth, columns], columns ≤ tileColumns; the rest of its last vector is zero. */
void packColumns(Matrix b, int64_t columns, int64_t depth, float* out);

/** A panel of bᵀ, B = b [in, out] in panels: rows [top, top + depth) are columns of b, columns [column, …) its rows. */
void packPanelRows(const Weights& b, const Piece& piece, float* out);

/** Zeroes columns [columns, the next whole vector) of a panel that something else has filled. */
void padPanel(float* panel, int64_t columns, int64_t depth);

/** A panel as a product reads it: rows `stride` apart, whole vectors; in tiles, the last step may lie elsewhere. */
struct Panel {
  const float* data;
  int64_t stride;
  const float* last = nullptr;
};

/**
 * c (+)= A B for blocks [first, last) of `rows`: a packed by packRows.
 */
void multiplyPanel(const float* a, int64_t rows, int64_t first, int64_t last, int64_t depth, Panel b, int64_t columns,
                   float* c, int64_t cStride, bool accumulate, const NextPanel& next);

/**
 * c (+)= A B for so few columns (at most `lanes`) that packing A would cost more than multiplying it: a row by row as it
 * is, b rows of `lanes` columns.
 */
void multiplyNarrow(const float* a, int64_t aStride, int64_t rows, int64_t depth, const float* b, int64_t columns,
                    float* c, int64_t cStride, bool accumulate);

/** y[j] = Σ_p x[p·xStride] b(p, j), j < columns: a single row needs no packing, each element of b is used once. */
void multiplyRow(const float* x, int64_t xStride, Matrix b, int64_t columns, int64_t k, float* y);

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
