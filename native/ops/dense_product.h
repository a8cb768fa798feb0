// The products of a dense layer: z = x w, ẏ_k = ẋ_k w + x ẇ_k, for a Format of packed operands (cpu/gemm/format.h).
// Rows of x and of all ẋ_k are packed once; each panel of w multiplies all of them while it is in the cache, and each
// ẇ_k is generated or packed once for the rows of x.
#pragma once
#include "ops/dense_epilogue.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

// Depth of a product where nothing is packed or drawn: a tile is written once for all of it. Against 256 that is 2.5 %.
constexpr int64_t deepest = 1024;

/**
 * Rows that are packed together: rows [first, first + rows) of x, where `primal`, and the same rows of directions
 * [direction, direction + directions) of ẋ. Part 0 is x's; all of ẋ is one part more, or each direction is.
 */
struct Chunk {
  int64_t first, rows;
  bool primal;
  int64_t direction, directions;
};

/** Rows that lie one after the other in packed rows, in their operand and in the products. */
struct Part {
  const float* from;
  int64_t rows, begin;  // begin: of the packed rows
  int64_t direction;    // the first, −1 for x
};

PUSHFORWARD_INLINE int64_t totalRows(const Chunk& c) { return c.rows * ((c.primal ? 1 : 0) + c.directions); }
PUSHFORWARD_INLINE bool joined(const DenseCall& d, const Chunk& c) { return c.rows == d.p.rows && c.directions > 0; }
PUSHFORWARD_INLINE int64_t partCount(const DenseCall& d, const Chunk& c) {
  return (c.primal ? 1 : 0) + (joined(d, c) ? 1 : c.directions);
}
static Part partOf(const DenseCall& d, const Chunk& c, int64_t part) {
  const DenseParameters& p = d.p;
  const int64_t begin = c.primal ? c.rows : 0;
  if (c.primal && part == 0) return {d.x + c.first * p.in, c.rows, 0, -1};
  const int64_t k = part - (c.primal ? 1 : 0), row = (c.direction + k) * p.rows + c.first;
  return {d.xDot + row * p.in, joined(d, c) ? c.rows * c.directions : c.rows, begin + k * c.rows, c.direction + k};
}

/** Layers of at most `lanes` outputs: their weights are packed whole, their rows not at all. */
template <class Format>
PUSHFORWARD_INLINE bool isNarrow(const DenseParameters& p) {
  return Format::narrow && p.out <= lanes && p.rows > 1 && p.in > 0;
}

/** Whether an operand or a result is packed: then rows are whole blocks, finished in a thread's scratch. */
PUSHFORWARD_INLINE bool handsTiles(const DenseParameters& p) {
  return (p.packedX | p.packedXDot | p.packedY | p.packedYDot) != 0;
}

/** Rows of x that are multiplied together where weights are only read, or all of them. */
template <class Format>
static int64_t rowsOfChunk(const DenseParameters& p, bool stacked, bool denseTangent) {
  if (denseTangent) return p.rows;
  const int64_t most = maximum(Format::finishedRows / (1 + (stacked ? p.directions : 0)), 1);
  if (!handsTiles(p)) return most;
  return maximum(minimum(most, apartRows / (1 + p.directions)) / Format::blockRows, 1) * Format::blockRows;
}

template <class Format>
static int64_t packedRowsFloats(const DenseParameters& p) {
  const bool stacked = p.xDot.kind == TangentKind::given;
  const int64_t rows = stacked ? p.rows * (1 + p.directions) : p.rows;
  if (handsTiles(p))
    return p.packedX != 0 && (!stacked || p.packedXDot != 0)
               ? 0
               : roundUp(Format::floats(minimum(rows, apartRows), p.in), 16);
  return roundUp(
      maximum(minimum(Format::floats(rows, p.in), Format::packedFloats), isNarrow<Format>(p) ? p.in * lanes : 0), 16);
}

template <class Format>
static size_t denseScratch(const void* parameters, int threads) {
  const DenseParameters& p = *static_cast<const DenseParameters*>(parameters);
  return static_cast<size_t>(4 * (packedRowsFloats<Format>(p) + projectionFloats(p) + factorFloats(p) +
                                  keptProjectionFloats(p) + threads * threadFloats(p)));
}

template <class Format>
PUSHFORWARD_INLINE int64_t pieceDepth(const DenseCall& d, const Chunk& chunk) {
  return Format::reads(d.p.layout) && !(d.denseTangent && chunk.primal) ? deepest : Format::pieceDepth(d.p.in);
}

PUSHFORWARD_INLINE bool isPacked(const DenseCall& d, const Part& part) {
  return (part.direction < 0 ? d.p.packedX : d.p.packedXDot) != 0;
}

/** Packed rows of a part, depth [top, top + depth). */
template <class Format>
static const float* packedPart(const DenseCall& d, const Chunk& chunk, const Part& part, int64_t begin, int64_t top,
                               int64_t depth) {
  if (!isPacked(d, part))
    return d.packed + Format::floats(totalRows(chunk), top - begin) + Format::floats(part.begin, depth);
  const bool primal = part.direction < 0;
  const int64_t rows = primal ? d.p.rows : d.p.rows * d.p.directions,
                row = chunk.first + (primal ? 0 : part.direction * d.p.rows);
  return (primal ? d.x : d.xDot) + Format::floats(rows, top) + Format::floats(row, depth);
}

/** Packs depth [begin, begin + depth) of a chunk, one piece after the other, each with all its rows. */
template <class Format>
static void packChunk(const DenseCall& d, const Chunk& chunk, int64_t begin, int64_t depth) {
  const int64_t total = totalRows(chunk), most = pieceDepth<Format>(d, chunk), pieces = ceilDivide(depth, most);
  for (int64_t i = 0; i < partCount(d, chunk); ++i) {
    const Part part = partOf(d, chunk, i);
    if (isPacked(d, part)) continue;
    const int64_t blocks = Format::blocks(part.rows);
    parallelRanges(d.call, pieces * blocks, 12, 1,  // 5 µs
                   [&](int64_t from, int64_t to, int) {
                     for (int64_t unit = from; unit < to; ++unit) {
                       const int64_t offset = unit / blocks * most, size = minimum(most, depth - offset),
                                     block = unit % blocks;
                       Format::packRows({part.from + begin + offset, d.p.in, 1}, part.rows, block, block + 1, size,
                                        d.packed + Format::floats(total, offset) + Format::floats(part.begin, size));
                     }
                   });
  }
}

/** Part `index` of `count` equal shares of n. */
struct Share {
  int64_t index, count;

  int64_t begin(int64_t n) const { return n * index / count; }
  int64_t end(int64_t n) const { return n * (index + 1) / count; }
};

PUSHFORWARD_INLINE Weights weightsOf(const DenseCall& d) { return {d.w, d.p.in, d.p.out, d.p.layout}; }

/** Products of rows from `first` on in y and ẏ. */
static Products productsInPlace(const DenseCall& d, int64_t first, int64_t column) {
  const int64_t offset = first * d.p.out + column;
  return {d.y + offset, d.yDot == nullptr ? nullptr : d.yDot + offset, d.p.out, d.p.rows * d.p.out, false};
}

/** Products of all of `rows` rows in a thread's scratch. */
static Products productsApart(const DenseCall& d, int64_t rows, float* scratch) {
  float* z = scratch + finishFloats(d.p);
  return {z, z + rows * tileColumns, tileColumns, rows * tileColumns, true};
}

/** Where a thread keeps sign words. */
static uint32_t* signsOf(const DenseCall& d, float* scratch) {
  return reinterpret_cast<uint32_t*>(scratch + finishFloats(d.p) + apartFloats(d.p));
}

static void drawSigns(const DenseCall& d, int64_t begin, int64_t depth, int64_t column, float* scratch) {
  for (int64_t k = 0; k < d.p.directions; ++k)
    fillSignWords(drawOf(d, d.p.wDot, k), d.p.out, begin, depth, column / signColumns,
                  signsOf(d, scratch) + 4 * k * depth);
}

/** Adds depth [begin, begin + depth) of all products of a share of a chunk's rows to a panel of columns. */
template <class Format>
static void multiplyColumns(const DenseCall& d, const Chunk& chunk, Share share, int64_t begin, int64_t depth,
                            int64_t column, int64_t columns, const Products& products, float* panel) {
  const DenseParameters& p = d.p;
  const int64_t in = p.in, out = p.out, parts = partCount(d, chunk);
  // With a single block of rows an element of w is read once anyway.
  const bool once = parts == 1 && Format::blocks(partOf(d, chunk, 0).rows) == 1;
  const int64_t most = pieceDepth<Format>(d, chunk);
  const auto shareOf = [&](const Part& part) {
    const int64_t blocks = Format::blocks(part.rows);
    return share.end(blocks) - share.begin(blocks);
  };
  int64_t sharers = 0;
  for (int64_t i = 0; i < parts; ++i) sharers += shareOf(partOf(d, chunk, i));
  // Apart there is room beyond the last column.
  const int64_t written = products.apart ? roundUp(columns, lanes) : columns;
  for (int64_t offset = 0; offset < depth; offset += most) {
    const Piece piece = {begin + offset, minimum(most, depth - offset), column, columns};
    const int64_t end = piece.top + piece.depth;
    // The same columns further down, or the top of the next columns.
    const Piece next = end < begin + depth
                           ? Piece{end, minimum(most, begin + depth - end), column, columns}
                           : Piece{begin, most, column + columns, minimum(tileColumns, out - column - columns)};
    const auto multiply = [&](const Part& part, const Panel& b, float* to, bool accumulate, const NextPanel& fetch) {
      const int64_t blocks = Format::blocks(part.rows);
      Format::multiply(packedPart<Format>(d, chunk, part, begin, piece.top, piece.depth), part.rows,
                       share.begin(blocks), share.end(blocks), piece.depth, b, written, to, products.stride, accumulate,
                       fetch);
    };
    const Weights w = weightsOf(d);
    const Panel b = Format::panelOf(w, piece, once, panel);
    NextPanel ahead{Format::linesOf(w, next), 0, sharers};
    for (int64_t i = 0; i < parts; ++i) {
      const Part part = partOf(d, chunk, i);
      float* to = part.direction < 0 ? products.z : products.dots + part.direction * products.direction;
      if (products.apart && !handsTiles(p) && end == begin + depth) {
        const int64_t offset = chunk.first * out + column;
        ahead.written = part.direction < 0 ? d.y + offset : d.yDot + part.direction * p.rows * out + offset;
        ahead.writtenStride = out;
      }
      multiply(part, b, to, piece.top > 0, ahead);
      ahead.before += shareOf(part);
    }
    if (!d.denseTangent || !chunk.primal) continue;
    const Part part = partOf(d, chunk, 0);
    for (int64_t k = 0; k < p.directions; ++k) {
      float* to = products.dots + k * products.direction;
      const bool accumulate = d.stacked || piece.top > 0;
      const Weights wDot = {d.wDot + k * in * out, in, out};
      if (p.wDot.kind == TangentKind::given)
        multiply(part, Format::panelOf(wDot, piece, once, panel), to, accumulate,
                 NextPanel{Format::linesOf(wDot, next)});
      else if (signWords(p) > 0)
        multiply(part, Format::signPanel(signsOf(d, panel) + 4 * (k * depth + offset), piece, panel), to, accumulate,
                 {});
      else
        multiply(part, Format::drawnPanel(p.wDot.kind, drawOf(d, p.wDot, k), out, piece, panel), to, accumulate, {});
    }
  }
}

/** How the panels are shared out: so many to a task, and their rows among so many tasks. */
struct Cut {
  int64_t panels, shares;
};

/**
 * `work`: multiplications of one panel; a task has at least 4 million, 15 µs. Rows are cut when there are fewer
 * panels than threads.
 */
static Cut cutPanels(const DenseCall& d, int64_t work) {
  const int64_t panels = ceilDivide(d.p.out, tileColumns),
                threads = d.call.parallel == nullptr ? 1 : d.call.parallel->threads;
  const int64_t least = ceilDivide(int64_t{1} << 22, maximum(work, 1));
  if (threads <= 1) return {panels, 1};
  if (panels < threads && least == 1) return {1, minimum(ceilDivide(2 * threads, panels), work >> 22)};
  return {minimum(panels, maximum(least, ceilDivide(panels, 4 * threads))), 1};
}

/**
 * f(panel, share, scratch) for every panel, which may multiply; a thread takes neighbours, so that what it prefetched is what it
 * reads.
 */
template <class Format, class F>
static void forPanels(const DenseCall& d, Cut cut, const F& f) {
  const int64_t panels = ceilDivide(d.p.out, tileColumns);
  parallelFor(d.call, ceilDivide(panels, cut.panels) * cut.shares, [&](int64_t index, int thread) {
    const int64_t first = index / cut.shares * cut.panels;
    Format::begin();
    for (int64_t i = first; i < minimum(panels, first + cut.panels); ++i)
      f(i, Share{index % cut.shares, cut.shares}, d.threadScratch + thread * threadFloats(d.p));
    Format::end();
  });
}

static void finishColumns(const DenseCall& d, const Products& products, int64_t panel, int64_t first, int64_t rows,
                          Share share, float* scratch) {
  const int64_t column = panel * tileColumns, row = share.begin(rows);
  epilogue(d, products.at(row), first + row, share.end(rows) - row, column, minimum(tileColumns, d.p.out - column),
           scratch);
}

/**
 * All products of a chunk; with `finish`, and unless rows are cut, also the epilogue of its columns while they are in
 * the cache. Returns whether that was done.
 */
template <class Format>
static bool multiplyChunk(const DenseCall& d, const Chunk& chunk, bool finish) {
  const DenseParameters& p = d.p;
  const int64_t total = totalRows(chunk),
                room = Format::packedFloats / maximum(Format::floats(total, panelDepth), 1) * panelDepth;
  const int64_t deep = handsTiles(p) ? p.in : minimum(p.in, maximum(room, panelDepth));
  const int64_t tangents = d.denseTangent && chunk.primal ? p.directions * chunk.rows : 0;
  Cut cut = cutPanels(d, (total + tangents) * deep * tileColumns);
  if (handsTiles(p)) cut.shares = 1;
  finish = finish && cut.shares == 1 && p.in > 0;
  const bool apart = finish && deep == p.in && chunk.rows * (1 + (d.yDot == nullptr ? 0 : p.directions)) <= apartRows;
  for (int64_t begin = 0; begin < p.in; begin += deep) {
    const int64_t depth = minimum(deep, p.in - begin);
    packChunk<Format>(d, chunk, begin, depth);
    forPanels<Format>(d, cut, [&](int64_t panel, Share share, float* scratch) {
      const int64_t column = panel * tileColumns;
      const bool isFirst = panel % cut.panels == 0;  // of a task's
      if (tangents > 0 && signWords(p) > 0 && (isFirst || column % signColumns == 0))
        drawSigns(d, begin, depth, column, scratch);
      const Products products = apart ? productsApart(d, chunk.rows, scratch) : productsInPlace(d, chunk.first, column);
      multiplyColumns<Format>(d, chunk, share, begin, depth, column, minimum(tileColumns, p.out - column), products,
                              scratch);
      if (finish && begin + depth == p.in) finishColumns(d, products, panel, chunk.first, chunk.rows, share, scratch);
    });
  }
  return finish;
}

static void finishRows(const DenseCall& d, int64_t first, int64_t rows) {
  forPanels<FloatFormat>(
      d, cutPanels(d, 16 * rows * (1 + d.p.directions) * tileColumns),  // operations of an element, roughly
      [&](int64_t panel, Share share, float* scratch) {
        finishColumns(d, productsInPlace(d, first, panel * tileColumns), panel, first, rows, share, scratch);
      });
}

/** ẋ_k w of all directions, some rows of some directions at a time. */
template <class Format>
static void multiplyTangents(const DenseCall& d) {
  const int64_t rows = minimum(d.p.rows, Format::finishedRows), directions = maximum(Format::finishedRows / rows, 1);
  for (int64_t k = 0; k < d.p.directions; k += directions)
    for (int64_t row = 0; row < d.p.rows; row += rows)
      multiplyChunk<Format>(d, {row, minimum(rows, d.p.rows - row), false, k, minimum(directions, d.p.directions - k)},
                            false);
}

/** x w and, where ẇ is dense, every x ẇ_k, which is drawn or packed once for as many rows of x as fit; then ẋ_k w. */
template <class Format>
static void multiplyApart(const DenseCall& d) {
  const int64_t together = Format::packedFloats / panelDepth;
  if (d.stacked) multiplyTangents<Format>(d);
  for (int64_t row = 0; row < d.p.rows; row += together)
    multiplyChunk<Format>(d, {row, minimum(together, d.p.rows - row), true, 0, 0}, false);
  finishRows(d, 0, d.p.rows);
}

template <class Format>
static void multiplyTogether(const DenseCall& d, int64_t together) {
  const int64_t directions = d.stacked ? d.p.directions : 0, groups = ceilDivide(d.p.rows, together);
  const int64_t unit = handsTiles(d.p) ? Format::blockRows : 1, units = d.p.rows / unit;
  for (int64_t i = 0; i < groups; ++i) {
    const int64_t first = i * units / groups * unit, rows = (i + 1) * units / groups * unit - first;
    if (!multiplyChunk<Format>(d, {first, rows, true, 0, directions}, true)) finishRows(d, first, rows);
  }
}

/** z = x w, ẏ_k = ẋ_k w + x ẇ_k of a narrow layer. */
static void multiplyNarrowLayer(const DenseCall& d) {
  const DenseParameters& p = d.p;
  const auto multiply = [&](const float* x, int64_t rows, float* to, bool accumulate) {
    parallelRanges(d.call, rows, maximum(8, (int64_t{1} << 18) / (p.in * lanes)), 8,
                   [&](int64_t begin, int64_t end, int) {
                     multiplyNarrow(x + begin * p.in, p.in, end - begin, p.in, d.packed, p.out, to + begin * p.out,
                                    p.out, accumulate);
                   });
  };
  const auto pack = [&](const float* w) { packLines({w, 1, p.out}, p.out, p.in, d.packed, lanes); };
  for (int64_t i = 0; i < p.in * lanes; ++i) d.packed[i] = 0.0f;  // columns beyond the last
  pack(d.w);
  multiply(d.x, p.rows, d.y, false);
  if (d.stacked) multiply(d.xDot, p.directions * p.rows, d.yDot, false);
  for (int64_t k = 0; d.denseTangent && k < p.directions; ++k) {
    if (p.wDot.kind == TangentKind::given)
      pack(d.wDot + k * p.in * p.out);
    else
      fillTangentPanel(p.wDot.kind, drawOf(d, p.wDot, k), p.out, 0, p.in, 0, p.out, d.packed, lanes);
    multiply(d.x, p.rows, d.yDot + k * p.rows * p.out, d.stacked);
  }
  finishRows(d, 0, p.rows);
}

/** y = x w of a single row. */
template <class Format>
static void multiplySingleRow(const KernelCall& call, const float* x, const Weights& w, float* y) {
  if (w.is(WeightLayout::rows)) {
    parallelRanges(call, w.out, maximum(8 * tileColumns, (int64_t{1} << 19) / w.in), 8 * tileColumns,
                   [&](int64_t begin, int64_t end, int) {
                     Format::multiplyRow(x, 1, {w.data + begin, w.out, 1}, end - begin, w.in, y + begin);
                   });
    return;
  }
  parallelRanges(call, ceilDivide(w.out, tileColumns), maximum(8, (int64_t{1} << 19) / w.in / tileColumns), 1,
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t column = begin * tileColumns; column < minimum(end * tileColumns, w.out);
                        column += tileColumns) {
                     const Lines lines = w.lines({0, w.in, column, minimum(tileColumns, w.out - column)});
                     Format::multiplyRow(x, 1, {lines.data, lines.stride, 1}, lines.count, w.in, y + column);
                   }
                 });
}

static void projectAllOnKept(const DenseCall& d) {
  const DenseParameters& p = d.p;
  const auto project = [&](const float* x, [[maybe_unused]] int32_t packed, int64_t rows, float* out) {
    parallelRanges(d.call, rows, maximum(4, 65536 / (p.in * d.kept.count)), 4, [&](int64_t begin, int64_t end, int) {
#if PUSHFORWARD_LANES == 16
      if (packed != 0) return projectOnKept(TileRows{x, rows, p.in}, begin, end, p.in, d.kept, out, rows);
#endif
      projectOnKept(FloatRows{x, p.in}, begin, end, p.in, d.kept, out, rows);
    });
  };
  project(d.x, p.packedX, p.rows, d.keptProjection);
  if (d.stacked) project(d.xDot, p.packedXDot, p.rows * p.directions, d.keptProjection + d.kept.count * p.rows);
}

template <class Format>
static void runDense(DenseCall d) {
  const DenseParameters& p = d.p;
  if (p.rows <= 0 || p.out <= 0) return;
  d.packed = static_cast<float*>(d.call.scratch);
  d.projection = d.packed + packedRowsFloats<Format>(p);
  d.factors = d.projection + projectionFloats(p);
  d.keptProjection = d.factors + factorFloats(p);
  d.threadScratch = d.keptProjection + keptProjectionFloats(p);
  parallelRanges(d.call, factorCount(p), maximum(1, 65536 / p.out), 1,
                 [&](int64_t begin, int64_t end, int) { drawFactors(d, begin, end); });
  if (d.lowRank) {
    const int64_t work = maximum(1, p.in * p.directions * p.wDot.rank);
    parallelRanges(d.call, p.rows, maximum(1, 65536 / work), 1,
                   [&](int64_t begin, int64_t end, int) { projectRows(d, begin, end); });
  }
  if (d.kept.count > 0) projectAllOnKept(d);
  if (isNarrow<Format>(p)) return multiplyNarrowLayer(d);
  const int64_t stack = 1 + (d.stacked ? p.directions : 0), most = Format::packedFloats / panelDepth;
  const int64_t together = rowsOfChunk<Format>(p, d.stacked, d.denseTangent);
  if (p.rows == 1 && stack == 1 && !d.denseTangent && p.in > 0 && p.layout != WeightLayout::planes) {
    multiplySingleRow<Format>(d.call, d.x, weightsOf(d), d.y);
    finishRows(d, 0, 1);
  } else if (together * stack <= most) {
    multiplyTogether<Format>(d, together);
  } else {
    multiplyApart<Format>(d);
  }
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
