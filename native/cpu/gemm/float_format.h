// Operands of a product as float32: the Format that the products of layers (ops/dense_product.h) are written for.
#pragma once
#include "cpu/gemm/product.h"
#include "cpu/tangent_panel.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

// Packed rows, half of an L2 cache of 1 MB.
constexpr int64_t cachedFloats = 512 * panelDepth;
// Rows that are finished together where a weight is only read: it comes from L3 once for all of them, and what they write
// is still near when the epilogue reads it. A drawn tangent costs more than the weight's way from L3, so there it is as
// many as fit.
constexpr int64_t rowsTogether = 128;
// Rows of a matmul on one thread, for which wᵀ is transposed once: with 128 δ wᵀ took 5 % longer, with 512 2 %.
constexpr int64_t transposedFor = 256;

struct FloatFormat {
  static constexpr int64_t packedFloats = cachedFloats, finishedRows = rowsTogether, matmulRows = transposedFor;
  static constexpr bool narrow = true;  // multiplyNarrow does
  static constexpr bool apart = false;  // whether results must not lie in rows a page apart
  /** Whether weights that lie so are read where they lie, however deep a piece is. */
  static constexpr bool reads(WeightLayout layout) { return layout == WeightLayout::panels; }

  /** What a thread does before and after it multiplies. */
  static void begin() {}
  static void end() {}

  /** Depth that packed rows, and panels that are not only read, are cut to. */
  static int64_t pieceDepth(int64_t) { return panelDepth; }

  /** Rows are multiplied in so many blocks, at most so many together. */
  static constexpr int64_t blockRows = tileRows;
  static int64_t blocks(int64_t rows) { return blockCount(rows); }
  /** Floats of memory that packed rows take. */
  static int64_t floats(int64_t rows, int64_t depth) { return rows * depth; }

  static void packRows(Matrix a, int64_t rows, int64_t first, int64_t last, int64_t depth, float* out) {
    cpu::PUSHFORWARD_ISA::packRows(a, rows, first, last, depth, out);
  }

  /** A panel of b [depth, columns], packed to `scratch` unless it is read `once` and lies well as it is. */
  static Panel panelFrom(Matrix b, int64_t columns, int64_t depth, bool once, float* scratch) {
    if (once && b.columnStride == 1 && columns == tileColumns) return {b.data, b.rowStride};
    packColumns(b, columns, depth, scratch);
    return {scratch, tileColumns};
  }

  /** The same of a piece of w, which may lie in panels. */
  static Panel panelOf(const Weights& w, const Piece& piece, bool once, float* scratch) {
    const Lines lines = w.lines(piece);
    if (w.is(WeightLayout::panels)) return {lines.data, lines.stride};
    return panelFrom({lines.data, lines.stride, 1}, piece.columns, piece.depth, once, scratch);
  }

  /** A piece of wᵀ, w in panels. */
  static Panel panelOfTransposed(const Weights& w, const Piece& piece, float* scratch) {
    packPanelRows(w, piece, scratch);
    return {scratch, tileColumns};
  }

  /** A piece of the tangent [·, n] that `draw` draws. */
  static Panel drawnPanel(TangentKind kind, const Draw& draw, int64_t n, const Piece& piece, float* scratch) {
    fillTangentPanel(kind, draw, n, piece.top, piece.depth, piece.column, piece.columns, scratch, tileColumns);
    padPanel(scratch, piece.columns, piece.depth);
    return {scratch, tileColumns};
  }

  /** The same of a rademacher tangent, from words [piece.depth][4] of the block of columns that the piece lies in. */
  static Panel signPanel(const uint32_t* words, const Piece& piece, float* scratch) {
    expandSigns(words, 4, piece.column % signColumns, piece.depth, piece.columns, scratch, tileColumns);
    padPanel(scratch, piece.columns, piece.depth);
    return {scratch, tileColumns};
  }

  /** Where a piece of w lies, to be fetched ahead. */
  static Lines linesOf(const Weights& w, const Piece& piece) { return piece.columns > 0 ? w.lines(piece) : Lines{}; }

  /** The same of wᵀ. */
  static Lines linesOfTransposed(const Weights& w, const Piece& piece) { return w.linesOfTransposed(piece); }

  static void multiply(const float* a, int64_t rows, int64_t first, int64_t last, int64_t depth, const Panel& b,
                       int64_t columns, float* c, int64_t cStride, bool accumulate, const NextPanel& next) {
    multiplyPanel(a, rows, first, last, depth, b, columns, c, cStride, accumulate, next);
  }

  static void multiplyRow(const float* x, int64_t xStride, Matrix b, int64_t columns, int64_t k, float* y) {
    cpu::PUSHFORWARD_ISA::multiplyRow(x, xStride, b, columns, k, y);
  }
};

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
