// z = x w + b, y = act(z); ẏ_k = act'(z) ⊙ (ẋ_k w + x ẇ_k + ḃ_k), k < K. Shapes stand in dense.h.
// The rows of x and of all ẋ_k are packed once; then, for each panel of columns, w is packed once for all of them and
// each ẇ_k is generated or packed once for the rows of x. A low-rank ẇ_k costs no product: x ẇ_k = scale·Σ_q (x·a_kq)
// b_kqᵀ, the vectors x·a_kq computed first, the outer products added in the epilogue.
#include "ops/dense.h"

#include "cpu/gemm/product.h"
#include "cpu/micro.h"
#include "cpu/parallel.h"
#include "cpu/tangent_panel.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

// Packed rows: 512 rows of one panel's depth, or fewer rows of more depth. Half of an L2 cache of 1 MB, and with the
// panel of each thread never more than half of a 1024 × 1024 layer on up to 40 threads.
constexpr int64_t packedFloats = 512 * panelDepth;
constexpr int64_t epilogueRows = 128;
constexpr int64_t factorGroup = 32;  // outer products at once

struct DenseCall {
  const DenseParameters& p;
  const KernelCall& call;
  const float *x, *w, *b, *xDot, *wDot, *bDot;
  float *y, *yDot;
  bool stacked = false, denseTangent = false, lowRank = false;  // ẋ w; x ẇ by products, by factors
  bool activation = false, slope = false;                       // 'none' has neither; a slope may be a mere constant
  float *packed = nullptr, *projection = nullptr;               // projection: scale·(x·a_kq) as [K·rank, rows]
  float* threadScratch = nullptr;
};

static int64_t projectionFloats(const DenseParameters& p) {
  return p.wDot.kind == TangentKind::lowRank ? roundUp(p.directions * p.wDot.rank * p.rows, 16) : 0;
}

static int64_t packedRowsFloats(const DenseParameters& p) {
  const int64_t rows = p.xDot.kind == TangentKind::given ? p.rows * (1 + p.directions) : p.rows;
  return roundUp(minimum(rows * p.in, packedFloats), 16);
}

/**
 * Per thread: a panel, or what the epilogue needs at another time: scratch of a micro-program, slopes, z, factors.
 */
static int64_t threadFloats(const DenseParameters& p) {
  const int64_t slopes = minimum(p.rows, epilogueRows) * tileColumns;
  return maximum(panelFloats, microScratch) + roundUp(slopes, 16) + microBlock + factorGroup * tileColumns;
}

static size_t denseScratch(const void* parameters, int threads) {
  const DenseParameters& p = *static_cast<const DenseParameters*>(parameters);
  return static_cast<size_t>(4 * (packedRowsFloats(p) + projectionFloats(p) + threads * threadFloats(p)));
}

PUSHFORWARD_INLINE Float loadFirst(const float* from, int64_t count) {
  return count >= lanes ? load(from) : loadPartial(from, static_cast<int>(count));
}
PUSHFORWARD_INLINE void storeFirst(float* to, Float x, int64_t count) {
  if (count >= lanes)
    store(to, x);
  else
    storePartial(to, x, static_cast<int>(count));
}

static Draw drawOf(const DenseCall& d, const TangentOperand& operand, int64_t direction) {
  const RunState& s = *d.call.state;
  return {{s.key[0], s.key[1]}, operand.parameter, operand.stream, static_cast<uint32_t>(direction), s.step};
}

/** projection[kq, row] = scale·Σ_i x[row, i] a_kq[i] for rows [begin, end): sums of 256, added in order. */
static void projectRows(const DenseCall& d, int64_t begin, int64_t end) {
  const DenseParameters& p = d.p;
  constexpr int64_t piece = 256;
  const int64_t factors = int64_t{p.directions} * p.wDot.rank;
  const float scale = static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(p.wDot.rank)));
  float a[piece];
  for (int64_t f = 0; f < factors; ++f) {
    float* out = d.projection + f * p.rows;
    for (int64_t row = begin; row < end; ++row) out[row] = 0.0f;
    Draw draw = drawOf(d, p.wDot, f);
    draw.stream = leftStream;
    for (int64_t i = 0; i < p.in; i += piece) {
      const int64_t count = minimum(piece, p.in - i);
      fillTangentPanel(TangentKind::rademacher, draw, p.in, 0, 1, i, count, a, piece);
      for (int64_t row = begin; row < end; ++row) {
        const float* from = d.x + row * p.in + i;
        Float sum0{}, sum1{};
        int64_t j = 0;
        for (; j + 2 * lanes <= count; j += 2 * lanes) {
          sum0 = multiplyAdd(load(from + j), load(a + j), sum0);
          sum1 = multiplyAdd(load(from + j + lanes), load(a + j + lanes), sum1);
        }
        for (; j < count; j += lanes)
          sum0 = multiplyAdd(loadFirst(from + j, count - j), loadFirst(a + j, count - j), sum0);
        out[row] += horizontalSum(sum0 + sum1);
      }
    }
    for (int64_t row = begin; row < end; ++row) out[row] *= scale;
  }
}

/**
 * y = act(z) for rows [row, row + rows) of the panel's columns, and slopes[row][tileColumns] = act'(z) if there are
 * tangents.
 */
static void finishPrimal(const DenseCall& d, int64_t row, int64_t rows, int64_t column, int64_t columns, float* z,
                         float* slopes, float* scratch) {
  const DenseParameters& p = d.p;
  const bool bias = d.b != nullptr, activation = d.activation, empty = p.in == 0;
  if (!activation && !bias && !empty) return;
  constexpr int64_t together = microBlock / tileColumns;
  for (int64_t i = 0; i < rows; i += together) {
    const int64_t count = minimum(together, rows - i);
    for (int64_t t = 0; t < count; ++t)
      for (int64_t j = 0; j < columns; j += lanes) {
        float* from = d.y + (row + i + t) * p.out + column + j;
        Float value = empty ? Float{} : loadFirst(from, columns - j);
        if (bias) value = value + loadFirst(d.b + column + j, columns - j);
        if (activation)
          store(z + t * tileColumns + j, value);
        else
          storeFirst(from, value, columns - j);
      }
    if (!activation) continue;
    // Columns beyond the last are computed, not stored; they must hold numbers.
    for (int64_t t = 0; t < count; ++t)
      for (int64_t j = roundUp(columns, lanes); j < tileColumns; ++j) z[t * tileColumns + j] = 0.0f;
    const float* input[1] = {z};
    float* output[1] = {slopes + i * tileColumns};
    if (d.slope) runMicroProgram(p.slope, count * tileColumns, input, output, scratch);
    output[0] = z;
    runMicroProgram(p.activation, count * tileColumns, input, output, scratch);
    for (int64_t t = 0; t < count; ++t)
      for (int64_t j = 0; j < columns; j += lanes)
        storeFirst(d.y + (row + i + t) * p.out + column + j, load(z + t * tileColumns + j), columns - j);
  }
}

/** ẏ_k = slope ⊙ (ẏ_k + ḃ_k + Σ_q projection_kq b_kqᵀ); factors [factorGroup, tileColumns] is scratch. */
static void finishTangent(const DenseCall& d, int64_t k, int64_t row, int64_t rows, int64_t column, int64_t columns,
                          const float* slopes, float* factors) {
  const DenseParameters& p = d.p;
  const int64_t rank = d.lowRank ? p.wDot.rank : 0;
  bool ready = p.in > 0 && (d.stacked || d.denseTangent);  // ẏ holds the products
  // ḃ_k takes the place of one more factor, whose coefficient is 1.
  const bool bias = p.bDot.kind != TangentKind::zero;
  const int64_t all = rank + (bias ? 1 : 0);
  int64_t f = 0;
  do {
    const int64_t group = minimum(factorGroup, all - f);
    for (int64_t q = 0; q < group; ++q) {
      float* to = factors + q * tileColumns;
      for (int64_t j = 0; j < tileColumns; j += lanes) store(to + j, Float{});
      if (f + q < rank) {
        Draw draw = drawOf(d, p.wDot, k * rank + f + q);
        draw.stream = rightStream;
        fillTangentPanel(TangentKind::rademacher, draw, p.out, 0, 1, column, columns, to, tileColumns);
      } else if (p.bDot.kind == TangentKind::given) {
        for (int64_t j = 0; j < columns; ++j) to[j] = d.bDot[k * p.out + column + j];
      } else {
        fillTangentPanel(p.bDot.kind, drawOf(d, p.bDot, k), p.out, 0, 1, column, columns, to, tileColumns);
      }
    }
    const bool last = f + group == all;
    if (group == 0 && !d.slope && ready) return;
    for (int64_t i = 0; i < rows; ++i) {
      float* to = d.yDot + (k * p.rows + row + i) * p.out + column;
      for (int64_t j = 0; j < columns; j += lanes) {
        Float sum = ready ? loadFirst(to + j, columns - j) : Float{};
        for (int64_t q = 0; q < group; ++q) {
          const Float factor = load(factors + q * tileColumns + j);
          const bool one = f + q >= rank;
          sum = one ? sum + factor
                    : multiplyAdd(broadcast(d.projection[(k * rank + f + q) * p.rows + row + i]), factor, sum);
        }
        if (last && d.slope) sum = sum * load(slopes + i * tileColumns + j);
        storeFirst(to + j, sum, columns - j);
      }
    }
    ready = true;
    f += group;
  } while (f < all);
}

static void epilogue(const DenseCall& d, int64_t row, int64_t rows, int64_t column, int64_t columns, float* scratch) {
  float* slopes = scratch + maximum(panelFloats, microScratch);
  float* z = slopes + roundUp(minimum(d.p.rows, epilogueRows) * tileColumns, 16);
  float* factors = z + microBlock;
  for (int64_t i = row; i < row + rows; i += epilogueRows) {
    const int64_t count = minimum(epilogueRows, row + rows - i);
    finishPrimal(d, i, count, column, columns, z, slopes, scratch);
    if (d.yDot != nullptr)
      for (int64_t k = 0; k < d.p.directions; ++k) finishTangent(d, k, i, count, column, columns, slopes, factors);
  }
}

/** Rows that are packed together: some of x, some of the K·rows rows of ẋ. */
struct Chunk {
  int64_t first[2], rows[2];

  int64_t total() const { return rows[0] + rows[1]; }
};

static void packChunk(const DenseCall& d, const Chunk& chunk, int64_t begin, int64_t depth) {
  const int64_t in = d.p.in, count[2] = {blockCount(chunk.rows[0]), blockCount(chunk.rows[1])},
                blocks = count[0] + count[1];
  const Matrix source[2] = {{d.x, in, 1}, {d.xDot, in, 1}};
  parallelRanges(d.call, ceilDivide(depth, panelDepth) * blocks, 12, 1,  // 5 µs
                 [&](int64_t from, int64_t to, int) {
                   for (int64_t unit = from; unit < to; ++unit) {
                     const int64_t offset = unit / blocks * panelDepth, size = minimum(panelDepth, depth - offset);
                     const int part = unit % blocks < count[0] ? 0 : 1;
                     const int64_t block = unit % blocks - (part == 0 ? 0 : count[0]);
                     packRows(source[part].at(chunk.first[part], begin + offset), chunk.rows[part], block, block + 1,
                              size, d.packed + offset * chunk.total() + (part == 0 ? 0 : chunk.rows[0] * size));
                   }
                 });
}

/** Part `index` of `count` equal shares of n. */
struct Share {
  int64_t index, count;

  int64_t begin(int64_t n) const { return n * index / count; }
  int64_t end(int64_t n) const { return n * (index + 1) / count; }
};

/** Adds depth [begin, begin + depth) of all products of a share of a chunk's rows to a panel of columns. */
static void multiplyColumns(const DenseCall& d, const Chunk& chunk, Share share, int64_t begin, int64_t depth,
                            int64_t column, int64_t columns, float* panel) {
  const DenseParameters& p = d.p;
  const int64_t in = p.in, out = p.out;
  const int64_t blocks[2] = {blockCount(chunk.rows[0]), blockCount(chunk.rows[1])};
  // With a single block of rows an element of w is read once anyway.
  const bool direct = blocks[0] + blocks[1] == 1 && columns == tileColumns;
  const bool more = column + columns < out;
  for (int64_t offset = 0; offset < depth; offset += panelDepth) {
    const int64_t size = minimum(panelDepth, depth - offset), top = begin + offset;
    const float* left[2] = {d.packed + offset * chunk.total(),
                            d.packed + offset * chunk.total() + chunk.rows[0] * size};
    // What comes next: the same columns further down, or the next columns from the top.
    const bool below = offset + size < depth;
    const int64_t distance = below ? size * out : columns - offset * out;
    const int64_t nextColumns = below ? columns : more ? minimum(tileColumns, out - column - columns) : 0;
    const auto multiply = [&](int part, const float* b, bool packed, float* c, bool accumulate, const float* next) {
      multiplyPanel(left[part], chunk.rows[part], share.begin(blocks[part]), share.end(blocks[part]), size, b,
                    packed ? tileColumns : out, columns, c + chunk.first[part] * out + column, out, accumulate, next,
                    out, next == nullptr ? 0 : nextColumns);
    };
    const float* w = d.w + top * out + column;
    if (!direct) packColumns({w, out, 1}, columns, size, panel);
    if (blocks[0] > 0) multiply(0, direct ? w : panel, !direct, d.y, top > 0, w + distance);
    if (blocks[1] > 0)
      multiply(1, direct ? w : panel, !direct, d.yDot, top > 0, blocks[0] > 0 ? nullptr : w + distance);
    if (!d.denseTangent || blocks[0] == 0) continue;
    for (int64_t k = 0; k < p.directions; ++k) {
      float* to = d.yDot + k * p.rows * out;
      const bool accumulate = d.stacked || top > 0;
      if (p.wDot.kind == TangentKind::given) {
        const float* wDot = d.wDot + (k * in + top) * out + column;
        if (!direct) packColumns({wDot, out, 1}, columns, size, panel);
        multiply(0, direct ? wDot : panel, !direct, to, accumulate, wDot + distance);
      } else {
        fillTangentPanel(p.wDot.kind, drawOf(d, p.wDot, k), out, top, size, column, columns, panel, tileColumns);
        padPanel(panel, columns, size);
        multiply(0, panel, true, to, accumulate, nullptr);
      }
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
 * f(panel, share, scratch) for every panel; a thread takes neighbours, so that what it prefetched is what it reads.
 */
template <class F>
static void forPanels(const DenseCall& d, Cut cut, const F& f) {
  const int64_t panels = ceilDivide(d.p.out, tileColumns);
  parallelFor(d.call, ceilDivide(panels, cut.panels) * cut.shares, [&](int64_t index, int thread) {
    const int64_t first = index / cut.shares * cut.panels;
    for (int64_t i = first; i < minimum(panels, first + cut.panels); ++i)
      f(i, Share{index % cut.shares, cut.shares}, d.threadScratch + thread * threadFloats(d.p));
  });
}

static void finishColumns(const DenseCall& d, int64_t panel, Share share, float* scratch) {
  const int64_t column = panel * tileColumns, row = share.begin(d.p.rows);
  epilogue(d, row, share.end(d.p.rows) - row, column, minimum(tileColumns, d.p.out - column), scratch);
}

/**
 * All products of a chunk; with `finish`, and unless rows are cut, also the epilogue of its columns while they are in
 * the cache.
 */
static bool multiplyChunk(const DenseCall& d, const Chunk& chunk, bool finish) {
  const DenseParameters& p = d.p;
  const int64_t room = packedFloats / maximum(chunk.total(), 1) / panelDepth * panelDepth;
  const int64_t deep = minimum(p.in, maximum(room, panelDepth));
  const Cut cut =
      cutPanels(d, (chunk.total() + (d.denseTangent ? p.directions * chunk.rows[0] : 0)) * deep * tileColumns);
  finish = finish && cut.shares == 1;
  for (int64_t begin = 0; begin < p.in; begin += deep) {
    const int64_t depth = minimum(deep, p.in - begin);
    packChunk(d, chunk, begin, depth);
    forPanels(d, cut, [&](int64_t panel, Share share, float* scratch) {
      const int64_t column = panel * tileColumns;
      multiplyColumns(d, chunk, share, begin, depth, column, minimum(tileColumns, p.out - column), scratch);
      if (finish && begin + depth == p.in) finishColumns(d, panel, share, scratch);
    });
  }
  return finish && p.in > 0;
}

/** y = x w + b of a single row; true when that was it. */
static bool multiplySingleRow(const DenseCall& d) {
  const DenseParameters& p = d.p;
  if (p.rows != 1 || d.stacked || d.denseTangent || p.in == 0) return false;
  parallelRanges(d.call, p.out, maximum(8 * tileColumns, (int64_t{1} << 19) / p.in), 8 * tileColumns,
                 [&](int64_t begin, int64_t end, int) {
                   multiplyRow(d.x, 1, {d.w + begin, p.out, 1}, end - begin, p.in, d.y + begin);
                 });
  return true;
}

static void runDense(DenseCall& d) {
  const DenseParameters& p = d.p;
  if (p.rows <= 0 || p.out <= 0) return;
  d.packed = static_cast<float*>(d.call.scratch);
  d.projection = d.packed + packedRowsFloats(p);
  d.threadScratch = d.projection + projectionFloats(p);
  if (d.lowRank) {
    const int64_t work = maximum(1, p.in * p.directions * p.wDot.rank);
    parallelRanges(d.call, p.rows, maximum(1, 65536 / work), 1,
                   [&](int64_t begin, int64_t end, int) { projectRows(d, begin, end); });
  }
  const int64_t together = packedFloats / panelDepth, tangents = d.stacked ? p.directions * p.rows : 0;
  bool finished = false;
  if (!multiplySingleRow(d)) {
    if (p.rows + tangents <= together) {
      finished = multiplyChunk(d, {{0, 0}, {p.rows, tangents}}, true);
    } else {
      // Too many rows for one packing: w is packed, and ẇ generated, again for every 512 of them. Beside 512
      // multiplications of an element this takes 1 % and, gaussian, 6 %; keeping ẇ would take a buffer of its size.
      for (int64_t row = 0; row < tangents; row += together)
        multiplyChunk(d, {{0, row}, {0, minimum(together, tangents - row)}}, false);
      for (int64_t row = 0; row < p.rows; row += together)
        multiplyChunk(d, {{row, 0}, {minimum(together, p.rows - row), 0}}, false);
    }
  }
  if (!finished)  // some 16 operations for an element of y and of each ẏ_k
    forPanels(d, cutPanels(d, 16 * p.rows * (1 + p.directions) * tileColumns),
              [&](int64_t panel, Share share, float* scratch) { finishColumns(d, panel, share, scratch); });
}

static bool computes(const MicroProgram& program) { return program.ops + program.immediates > 0; }

static void primal(const KernelCall& call) {
  const DenseParameters& p = *static_cast<const DenseParameters*>(call.parameters);
  const auto at = [&](int i) { return static_cast<float*>(call.operands[i]); };
  DenseCall d{p, call, at(0), at(1), at(2), nullptr, nullptr, nullptr, at(3), nullptr};
  d.activation = computes(p.activation);
  runDense(d);
}

static void pushforwardOf(const KernelCall& call) {
  const DenseParameters& p = *static_cast<const DenseParameters*>(call.parameters);
  const auto at = [&](int i) { return static_cast<float*>(call.operands[i]); };
  DenseCall d{p, call, at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)};
  d.activation = computes(p.activation);
  d.slope = computes(p.slope);
  d.stacked = p.xDot.kind == TangentKind::given;
  d.lowRank = p.wDot.kind == TangentKind::lowRank;
  d.denseTangent = p.wDot.kind != TangentKind::zero && !d.lowRank;
  runDense(d);
}

PUSHFORWARD_CPU_KERNEL(dense_primal, primal, denseScratch)
PUSHFORWARD_CPU_KERNEL(dense_pushforward, pushforwardOf, denseScratch)

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
