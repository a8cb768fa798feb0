// Operands of a product as bf16: the Formats beside FloatFormat, and how a kernel is registered for all of them.
#pragma once
#include "cpu/gemm/amx.h"
#include "cpu/gemm/bf16.h"
#include "cpu/gemm/float_format.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

/** What the Formats share; `Self` packs pieces of B: finishPanel makes floats [depth, columns] its own, in place. */
template <class Self>
struct Bf16Format {
  static constexpr int64_t packedFloats = cachedFloats, finishedRows = rowsTogether, matmulRows = rowsTogether;
  static constexpr int64_t blockRows = tileRows;
  static constexpr bool narrow = false, apart = false;
  static void begin() {}
  static void end() {}
  static constexpr bool reads(WeightLayout) { return false; }
  static int64_t pieceDepth(int64_t) { return panelDepth; }

  static Panel panelFrom(Matrix b, int64_t columns, int64_t depth, bool, float* scratch) {
    Self::packColumns(b, columns, depth, scratch);
    return {scratch, tileColumns};
  }
  static Panel panelOf(const Weights& w, const Piece& piece, bool once, float* scratch) {
    const Lines lines = w.lines(piece);
    if (w.is(WeightLayout::planes)) return Self::panelOfWords(lines, piece, scratch);
    return panelFrom({lines.data, lines.stride, 1}, piece.columns, piece.depth, once, scratch);
  }
  static Panel panelOfTransposed(const Weights& w, const Piece& piece, float* scratch) {
    if (w.is(WeightLayout::planes))
      packPlaneRows(w, piece, scratch);
    else
      packPanelRows(w, piece, scratch);
    Self::finishPanel(scratch, piece.columns, piece.depth);
    return {scratch, tileColumns};
  }
  static Panel drawnPanel(TangentKind kind, const Draw& draw, int64_t n, const Piece& piece, float* scratch) {
    fillTangentPanel(kind, draw, n, piece.top, piece.depth, piece.column, piece.columns, scratch, tileColumns);
    Self::finishPanel(scratch, piece.columns, piece.depth);
    return {scratch, tileColumns};
  }
  static Panel signPanel(const uint32_t* words, const Piece& piece, float* scratch) {
    return FloatFormat::signPanel(words, piece, scratch);  // ±1 is bf16
  }
  static Lines linesOf(const Weights& w, const Piece& piece) { return FloatFormat::linesOf(w, piece); }
  static Lines linesOfTransposed(const Weights&, const Piece&) { return {}; }
  static void multiplyRow(const float* x, int64_t xStride, Matrix b, int64_t columns, int64_t k, float* y) {
    multiplyRowBf16(x, xStride, b, columns, k, y);
  }
};

/** Rounded, held as float32: for every instruction set. */
struct RoundedFormat : Bf16Format<RoundedFormat> {
  static int64_t blocks(int64_t rows) { return FloatFormat::blocks(rows); }
  static int64_t floats(int64_t rows, int64_t depth) { return FloatFormat::floats(rows, depth); }
  static void packRows(Matrix a, int64_t rows, int64_t first, int64_t last, int64_t depth, float* out) {
    FloatFormat::packRows(a, rows, first, last, depth, out);
    const int64_t begin = blockBegin(rows, first);
    roundFloats(out + begin * depth, (blockBegin(rows, last) - begin) * depth);
  }
  static void packColumns(Matrix b, int64_t columns, int64_t depth, float* out) {
    cpu::PUSHFORWARD_ISA::packColumns(b, columns, depth, out);
    roundFloats(out, depth * tileColumns);
  }
  static void finishPanel(float* panel, int64_t columns, int64_t depth) {
    padPanel(panel, columns, depth);
    roundFloats(panel, depth * tileColumns);
  }
  /** A piece of which `lines` are the high halves, as pairs. */
  static Panel panelOfWords(const Lines& lines, const Piece& piece, float* scratch) {
    unpackPairs(lines, piece.depth, scratch);
    return {scratch, tileColumns};
  }
  static void multiply(const float* a, int64_t rows, int64_t first, int64_t last, int64_t depth, const Panel& b,
                       int64_t columns, float* c, int64_t cStride, bool accumulate, const NextPanel& next) {
    multiplyPanel(a, rows, first, last, depth, b, columns, c, cStride, accumulate, next);
  }
};

#if PUSHFORWARD_LANES == 16

/** What the Formats of pairs share; `Self` pads a panel of pairs: padPairs. */
template <class Self>
struct PairsFormat : Bf16Format<Self> {
  static Panel drawnPanel(TangentKind kind, const Draw& draw, int64_t n, const Piece& piece, float* scratch) {
    uint32_t* words = reinterpret_cast<uint32_t*>(scratch);
    if (kind == TangentKind::rademacher)
      fillSignPairs(draw, n, piece.top, piece.depth, piece.column, piece.columns, words, tileColumns);
    else if (piece.columns == tileColumns)
      fillGaussianPairs(draw, n, piece.top, piece.depth, piece.column, words, tileColumns);
    else
      pairGaussians(draw, n, piece, words);
    Self::padPairs(scratch, piece.columns, piece.depth);
    return {scratch, tileColumns};
  }
  /** Columns that are not whole, by way of floats. */
  static void pairGaussians(const Draw& draw, int64_t n, const Piece& piece, uint32_t* words) {
    float values[panelFloats];
    for (int64_t begin = 0; begin < piece.depth; begin += panelDepth) {
      const int64_t size = minimum(panelDepth, piece.depth - begin);
      fillTangentPanel(TangentKind::gaussian, draw, n, piece.top + begin, size, piece.column, piece.columns, values,
                       tileColumns);
      pairPanel(values, piece.columns, size, reinterpret_cast<float*>(words + begin / 2 * tileColumns));
    }
  }
  static Panel signPanel(const uint32_t* words, const Piece& piece, float* scratch) {
    expandSignPairs(words + piece.column % signColumns / 32, 4, piece.depth, piece.columns,
                    reinterpret_cast<uint32_t*>(scratch), tileColumns);
    Self::padPairs(scratch, piece.columns, piece.depth);
    return {scratch, tileColumns};
  }
  static Panel panelOfTransposed(const Weights& w, const Piece& piece, float* scratch) {
    if (!w.is(WeightLayout::planes) || piece.columns % lanes != 0 || piece.depth % lanes != 0)
      return Bf16Format<Self>::panelOfTransposed(w, piece, scratch);
    packPlanePairs(w, piece, reinterpret_cast<uint32_t*>(scratch));
    Self::padPairs(scratch, piece.columns, piece.depth);
    return {scratch, tileColumns};
  }
  static void packColumns(Matrix b, int64_t columns, int64_t depth, float* out) {
    packPairs({b.data, b.columnStride, b.rowStride}, columns, depth, reinterpret_cast<uint32_t*>(out), tileColumns);
    Self::padPairs(out, columns, depth);
  }
  static void finishPanel(float* panel, int64_t columns, int64_t depth) {
    pairPanel(panel, columns, depth, panel);
    Self::padPairs(panel, columns, depth);
  }
};

/** Pairs, for AVX512-BF16. */
struct PairFormat : PairsFormat<PairFormat> {
  static constexpr bool reads(WeightLayout layout) { return layout == WeightLayout::planes; }
  static Panel panelOfWords(const Lines& lines, const Piece&, float*) { return {lines.data, lines.stride}; }
  static int64_t blocks(int64_t rows) { return blockCount(rows); }
  static int64_t floats(int64_t rows, int64_t depth) { return rows * ceilDivide(depth, 2); }
  static void packRows(Matrix a, int64_t rows, int64_t first, int64_t last, int64_t depth, float* out) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t row = blockBegin(rows, i), count = blockBegin(rows, i + 1) - row;
      packPairs(a.at(row, 0), count, depth, reinterpret_cast<uint32_t*>(out + floats(row, depth)), count);
    }
  }
  static void padPairs(float* panel, int64_t columns, int64_t depth) { padPanel(panel, columns, ceilDivide(depth, 2)); }
  static void multiply(const float* a, int64_t rows, int64_t first, int64_t last, int64_t depth, const Panel& b,
                       int64_t columns, float* c, int64_t cStride, bool accumulate, const NextPanel& next) {
    multiplyPairs(a, rows, first, last, depth, b, columns, c, cStride, accumulate, next);
  }
};

/** Pairs in whole tiles, for AMX. */
struct TileFormat : PairsFormat<TileFormat> {
  // Processors with AMX have L2 caches of 2 MB; products of 128 rows take less time than a weight's way from L3.
  static constexpr int64_t packedFloats = 2 * cachedFloats, finishedRows = 4 * rowsTogether, matmulRows = finishedRows;
  static constexpr int64_t blockRows = tilesRows;
  static constexpr bool apart = true;
  static void begin() { AmxTiles::configure(); }
  static void end() { AmxTiles::release(); }
  static Panel panelOfWords(const Lines& lines, const Piece& piece, float* scratch) {
    const int64_t pairs = piece.depth / 2, rest = pairs % stepWords;
    if (lines.stride != tileColumns) {
      padRows(lines, piece.columns, pairs, scratch);
      return {scratch, tileColumns};
    }
    if (rest == 0) return {lines.data, lines.stride};
    padRows({lines.data + (pairs - rest) * lines.stride, lines.stride, lines.count}, piece.columns, rest, scratch);
    return {lines.data, lines.stride, scratch};
  }
  /** Rows of words, to whole steps of whole rows. */
  static void padRows(const Lines& lines, int64_t columns, int64_t rows, float* out) {
    for (int64_t p = 0; p < roundUp(rows, stepWords); ++p)
      for (int64_t j = 0; j < tileColumns; j += lanes)
        store(out + p * tileColumns + j,
              p < rows && j < columns ? loadFirst(lines.data + p * lines.stride + j, columns - j) : Float{});
  }
  static int64_t pieceDepth(int64_t depth) { return tilesDepth(depth); }
  static int64_t blocks(int64_t rows) { return ceilDivide(rows, tilesRows); }
  static int64_t floats(int64_t rows, int64_t depth) { return rows * stepCount(depth) * stepWords; }
  static void packRows(Matrix a, int64_t rows, int64_t first, int64_t last, int64_t depth, float* out) {
    packTileRows(a, rows, first, last, depth, reinterpret_cast<uint32_t*>(out));
  }
  /** What a step reads beyond the depth and beyond the columns is zero. */
  static void padPairs(float* panel, int64_t columns, int64_t depth) {
    const int64_t pairs = ceilDivide(depth, 2);
    for (int64_t p = 0; p < pairs; ++p)
      for (int64_t j = columns; j < tileColumns; j += lanes)
        storePartial(panel + p * tileColumns + j, Float{}, static_cast<int>(minimum(lanes, tileColumns - j)));
    for (int64_t i = pairs * tileColumns; i < stepCount(depth) * stepWords * tileColumns; i += lanes)
      store(panel + i, Float{});
  }
  static void multiply(const float* a, int64_t rows, int64_t first, int64_t last, int64_t depth, const Panel& b,
                       int64_t columns, float* c, int64_t cStride, bool accumulate, const NextPanel& next) {
    multiplyTilePanel(a, rows, first, last, depth, b, columns, c, cStride, accumulate, next);
  }
};

// Kernel `name` for every Format; `function` and `scratch` are templates over it.
#define PUSHFORWARD_BF16_KERNEL(name, function, scratch)                               \
  PUSHFORWARD_CPU_KERNEL(name, function<RoundedFormat>, scratch<RoundedFormat>)        \
  namespace pairs {                                                                    \
  PUSHFORWARD_KERNEL_IN("avx512bf16", name, function<PairFormat>, scratch<PairFormat>) \
  }                                                                                    \
  namespace tiles {                                                                    \
  PUSHFORWARD_KERNEL_IN("amx", name, function<TileFormat>, scratch<TileFormat>)        \
  }

#else

#define PUSHFORWARD_BF16_KERNEL(name, function, scratch) \
  PUSHFORWARD_CPU_KERNEL(name, function<RoundedFormat>, scratch<RoundedFormat>)

#endif

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
