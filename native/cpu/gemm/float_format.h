// Operands of a product as float32: the Format that the products of layers (ops/dense_product.h) are written for.
#pragma once
#include "cpu/gemm/product.h"
#include "cpu/parallel.h"
#include "cpu/tangent_panel.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

struct FloatFormat {
  static constexpr bool narrow = true;  // multiplyNarrow does

  /** Floats of memory that so many packed elements take. */
  static int64_t floats(int64_t elements) { return elements; }

  static void packRows(Matrix a, int64_t rows, int64_t first, int64_t last, int64_t depth, float* out) {
    cpu::PUSHFORWARD_ISA::packRows(a, rows, first, last, depth, out);
  }

  /** A piece of w, packed to `scratch` unless it lies well as it is: in panels, or where it is read `once`. */
  static Panel panelOf(const Weights& w, const Piece& piece, bool once, float* scratch) {
    const Lines lines = w.lines(piece);
    if (w.panels || (once && piece.columns == tileColumns)) return {lines.data, lines.stride};
    packColumns({lines.data, lines.stride, 1}, piece.columns, piece.depth, scratch);
    return {scratch, tileColumns};
  }

  /** A piece of the tangent [·, n] that `draw` draws. */
  static Panel drawnPanel(TangentKind kind, const Draw& draw, int64_t n, const Piece& piece, float* scratch) {
    fillTangentPanel(kind, draw, n, piece.top, piece.depth, piece.column, piece.columns, scratch, tileColumns);
    padPanel(scratch, piece.columns, piece.depth);
    return {scratch, tileColumns};
  }

  /** Where a piece of w lies, to be fetched ahead. */
  static Lines linesOf(const Weights& w, const Piece& piece) { return piece.columns > 0 ? w.lines(piece) : Lines{}; }

  static void multiply(const float* a, int64_t rows, int64_t first, int64_t last, int64_t depth, const Panel& b,
                       int64_t columns, float* c, int64_t cStride, bool accumulate, const Lines& next) {
    multiplyPanel(a, rows, first, last, depth, b, columns, c, cStride, accumulate, next);
  }

  /** y = x w of a single row. */
  static void multiplySingleRow(const KernelCall& call, const float* x, const Weights& w, float* y) {
    if (!w.panels) {
      parallelRanges(call, w.out, maximum(8 * tileColumns, (int64_t{1} << 19) / w.in), 8 * tileColumns,
                     [&](int64_t begin, int64_t end, int) {
                       multiplyRow(x, 1, {w.data + begin, w.out, 1}, end - begin, w.in, y + begin);
                     });
      return;
    }
    parallelRanges(call, ceilDivide(w.out, tileColumns), maximum(8, (int64_t{1} << 19) / w.in / tileColumns), 1,
                   [&](int64_t begin, int64_t end, int) {
                     for (int64_t column = begin * tileColumns; column < minimum(end * tileColumns, w.out);
                          column += tileColumns) {
                       const Lines lines = w.lines({0, w.in, column, minimum(tileColumns, w.out - column)});
                       multiplyRow(x, 1, {lines.data, lines.stride, 1}, lines.count, w.in, y + column);
                     }
                   });
  }
};

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
