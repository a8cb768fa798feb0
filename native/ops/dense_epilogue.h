// What a dense layer computes beside its products: the factors' projections, and the epilogue of a panel of columns.
//   projection_kq = scale·(x · a_kq);  y = act(z + b);  ẏ_k = act'(z) ⊙ (ẏ_k + ḃ_k + Σ_q projection_kq b_kqᵀ)
#pragma once
#include "cpu/gemm/bf16.h"
#include "cpu/micro.h"
#include "cpu/parallel.h"
#include "cpu/tangent_panel.h"
#include "ops/dense.h"
#include "ops/dense_kept.h"
#include "ops/elementwise_table.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr int64_t epilogueRows = 128;
constexpr int64_t ahead = 8;  // rows of ẏ, from one that is fetched to one that is written

struct DenseCall {
  const DenseParameters& p;
  const KernelCall& call;
  const float *x, *w, *b, *xDot, *wDot, *bDot;
  float *y, *yDot;
  bool stacked = false, denseTangent = false, lowRank = false;  // ẋ w; x ẇ by products, by factors
  bool activation = false, slope = false;                       // 'none' has neither; a slope may be a mere constant
  float *packed = nullptr, *projection = nullptr;               // projection: scale·(x·a_kq) as [K·rank, rows]
  float *factors = nullptr, *threadScratch = nullptr;           // factors: drawFactors
  Kept kept = {};
  float* keptProjection = nullptr;  // x·a_f as [kept, rows], then ẋ·a_f as [kept, K·rows]
};

PUSHFORWARD_INLINE bool computes(const MicroProgram& program) { return program.ops + program.immediates > 0; }

static DenseCall primalCall(const KernelCall& call) {
  const DenseParameters& p = *static_cast<const DenseParameters*>(call.parameters);
  const auto at = [&](int i) { return static_cast<float*>(call.operands[i]); };
  DenseCall d{p, call, at(0), at(1), at(2), nullptr, nullptr, nullptr, at(3), nullptr};
  d.activation = computes(p.activation);
  return d;
}

static DenseCall pushforwardCall(const KernelCall& call) {
  const DenseParameters& p = *static_cast<const DenseParameters*>(call.parameters);
  const auto at = [&](int i) { return static_cast<float*>(call.operands[i]); };
  DenseCall d{p, call, at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)};
  d.activation = computes(p.activation);
  d.slope = computes(p.slope);
  d.stacked = p.xDot.kind == TangentKind::given;
  d.lowRank = p.wDot.kind == TangentKind::lowRank;
  d.denseTangent = p.wDot.kind != TangentKind::zero && !d.lowRank;
  if (p.kept > 0) d.kept = Kept(at(8), p.in, p.kept, call.state->kept);
  return d;
}

static int64_t projectionFloats(const DenseParameters& p) {
  return p.wDot.kind == TangentKind::lowRank ? roundUp(p.directions * p.wDot.rank * p.rows, 16) : 0;
}

static int64_t keptProjectionFloats(const DenseParameters& p) {
  return roundUp(p.kept * p.rows * (1 + p.directions), 16);
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
 * Products of some rows with a panel of columns: row i of z at z + i·stride, of ẏ_k at dots + k·direction + i·stride. In y
 * and ẏ, or apart in a thread's scratch: there rows are neighbours, where rows of y a page apart share one set of an L1
 * cache.
 */
struct Products {
  float *z, *dots;
  int64_t stride, direction;
  bool apart;

  Products at(int64_t row) const { return {z + row * stride, dots + row * stride, stride, direction, apart}; }
};

/** Columns [column, column + columns) of results [rows, out]; packed, columns are 32. */
struct Results {
  float* data;
  int64_t out, columns;
#if PUSHFORWARD_LANES == 16
  bool packed;
  TileLines lines;
#endif

  Results(float* to, [[maybe_unused]] int32_t packed, [[maybe_unused]] int64_t rows, int64_t out, int64_t column,
          int64_t columns)
      : data(to + column), out(out), columns(columns) {
#if PUSHFORWARD_LANES == 16
    this->packed = packed != 0;
    lines = packed != 0 ? tileLines(to, rows, out, column) : TileLines{};
#endif
  }
  __attribute__((always_inline)) void store(int64_t row, const float* from) const {
#if PUSHFORWARD_LANES == 16
    if (packed) return packTileLine(from, lines.at(row));
#endif
    for (int64_t j = 0; j < columns; j += lanes) storeFirst(data + row * out + j, load(from + j), columns - j);
  }
};

/**
 * y = act(z) of 'none' and relu, and its slope, from registers; `packed` rows are whole and lie apart. What no row changes is
 * loaded before: a store of floats might change any of it.
 */
template <bool relu, bool packed>
static void finishLines(const DenseCall& d, const Products& products, int64_t row, int64_t rows, int64_t column,
                        int64_t columns, float* slopes) {
  const int64_t out = d.p.out, all = d.p.rows, stride = products.stride;
  const bool slope = relu && d.slope, empty = d.p.in == 0;
  const float* from = products.z;
  float* y = d.y;
  if (packed) columns = tileColumns;
  Float bias[tileVectors] = {};
  for (int64_t j = 0; j < columns; j += lanes)  // z + -0 is z
    bias[j / lanes] = d.b == nullptr ? broadcast(-0.0f) : loadFirst(d.b + column + j, columns - j);
  const Results results(y, packed, all, out, column, columns);
  for (int64_t i = 0; i < rows; ++i, from += stride, slopes += tileColumns) {
    alignas(64) float line[tileColumns];
#pragma GCC unroll 4
    for (int64_t v = 0; v < tileVectors; ++v) {
      const int64_t j = v * lanes;
      if (j >= columns) break;
      // Rows of y lie a page or so apart, where no hardware prefetcher follows.
      if (!packed) __builtin_prefetch(y + (row + i + ahead) * out + column + j, 1);
      Float z = packed ? load(from + j) : empty ? Float{} : loadFirst(from + j, columns - j);
      z = z + bias[v];
      if (slope) store(slopes + j, select(z > 0.0f, broadcast(1.0f), Float{}));
      if (relu) z = select(z <= 0.0f, Float{}, z);
      if (packed)
        store(line + j, z);
      else
        storeFirst(y + (row + i) * out + column + j, z, columns - j);
    }
    if (packed) results.store(row + i, line);
  }
}

/** The same of any activation: its micro-program takes some rows at a time. */
static void finishByProgram(const DenseCall& d, const Products& products, int64_t row, int64_t rows, int64_t column,
                            int64_t columns, float* z, float* slopes, float* scratch) {
  const DenseParameters& p = d.p;
  const int64_t together = minimum(microElements(p.activation), microElements(p.slope)) / tileColumns;
  const Results results(d.y, p.packedY, p.rows, p.out, column, columns);
  for (int64_t i = 0; i < rows; i += together) {
    const int64_t count = minimum(together, rows - i);
    for (int64_t t = 0; t < count; ++t) {
      for (int64_t j = 0; j < columns; j += lanes) {
        const float* from = products.z + (i + t) * products.stride + j;
        if (p.packedY == 0) __builtin_prefetch(d.y + (row + i + t) * p.out + column + j, 1);
        Float value = p.in == 0 ? Float{} : loadFirst(from, columns - j);
        if (d.b != nullptr) value = value + loadFirst(d.b + column + j, columns - j);
        store(z + t * tileColumns + j, value);
      }
      // Columns beyond the last are computed, not stored; they must hold numbers.
      for (int64_t j = roundUp(columns, lanes); j < tileColumns; ++j) z[t * tileColumns + j] = 0.0f;
    }
    const float* input[1] = {z};
    float* output[1] = {slopes + i * tileColumns};
    if (d.slope) runMicroProgram(p.slope, count * tileColumns, input, output, scratch);
    output[0] = z;
    runMicroProgram(p.activation, count * tileColumns, input, output, scratch);
    for (int64_t t = 0; t < count; ++t) results.store(row + i + t, z + t * tileColumns);
  }
}

PUSHFORWARD_INLINE bool isRelu(const MicroProgram& program) {
  return program.ops == 1 && program.op[0].row == row::relu;
}

/**
 * y = act(z) for rows [row, row + rows) of the panel's columns, and slopes[row][tileColumns] = act'(z) if there are
 * tangents.
 */
static void finishPrimal(const DenseCall& d, const Products& products, int64_t row, int64_t rows, int64_t column,
                         int64_t columns, float* z, float* slopes, float* scratch) {
  const bool relu = isRelu(d.p.activation), packed = d.p.packedY != 0;
  if (d.activation && !relu) return finishByProgram(d, products, row, rows, column, columns, z, slopes, scratch);
  if (!relu && d.b == nullptr && d.p.in > 0 && !products.apart) return;
  const auto finish = relu     ? packed ? finishLines<true, true> : finishLines<true, false>
                      : packed ? finishLines<false, true>
                               : finishLines<false, false>;
  finish(d, products, row, rows, column, columns, slopes);
}

/** The vectors b_kq [out] that factors of every ẇ_k have on the right, and the ḃ_k that are drawn, side by side. */
static int64_t factorCount(const DenseParameters& p) {
  const bool drawn = p.bDot.kind == TangentKind::gaussian || p.bDot.kind == TangentKind::rademacher;
  return p.directions * ((p.wDot.kind == TangentKind::lowRank ? p.wDot.rank : 0) + (drawn ? 1 : 0));
}

static int64_t factorFloats(const DenseParameters& p) { return roundUp(factorCount(p) * p.out, 16); }

/** Draws factors [begin, end): first those of ẇ, then the ḃ_k. */
static void drawFactors(const DenseCall& d, int64_t begin, int64_t end) {
  const DenseParameters& p = d.p;
  const int64_t right = p.wDot.kind == TangentKind::lowRank ? p.directions * p.wDot.rank : 0;
  for (int64_t f = begin; f < end; ++f) {
    const bool factor = f < right;
    Draw draw = factor ? drawOf(d, p.wDot, f) : drawOf(d, p.bDot, f - right);
    if (factor) draw.stream = rightStream;
    fillTangentPanel(factor ? TangentKind::rademacher : p.bDot.kind, draw, p.out, 0, 1, 0, p.out, d.factors + f * p.out,
                     p.out);
  }
}

/** Where the ḃ_k of a panel's columns lie, if there are any. */
PUSHFORWARD_INLINE const float* biasTangent(const DenseCall& d, int64_t k, int64_t column) {
  const DenseParameters& p = d.p;
  if (p.bDot.kind == TangentKind::given) return d.bDot + k * p.out + column;
  if (p.bDot.kind != TangentKind::gaussian && p.bDot.kind != TangentKind::rademacher) return nullptr;
  return d.factors + (p.directions * (d.lowRank ? p.wDot.rank : 0) + k) * p.out + column;
}

/** ẏ_k = slope ⊙ (ẏ_k + ḃ_k + Σ_q projection_kq b_kqᵀ); what no row changes is loaded before, as in finishLines. */
static void finishTangent(const DenseCall& d, const Products& products, int64_t k, int64_t row, int64_t rows,
                          int64_t column, int64_t columns, const float* slopes) {
  const DenseParameters& p = d.p;
  const int64_t out = p.out, all = p.rows * p.directions, stride = products.stride, rank = d.lowRank ? p.wDot.rank : 0;
  const bool ready = p.in > 0 && (d.stacked || d.denseTangent);  // ẏ holds the products
  const bool slope = d.slope;
  const int32_t packed = p.packedYDot;
  const float* bias = biasTangent(d, k, column);
  if (ready && rank == 0 && bias == nullptr && !slope && !products.apart) return;
  const float *from = products.dots + k * products.direction, *projection = d.projection + k * rank * p.rows + row,
              *factors = d.factors + k * rank * out + column;
  float* yDot = d.yDot;
  Float added[tileVectors] = {}, first[tileVectors] = {};
  for (int64_t j = 0; j < columns; j += lanes) {
    added[j / lanes] = bias == nullptr ? broadcast(-0.0f) : loadFirst(bias + j, columns - j);
    if (rank > 0) first[j / lanes] = loadFirst(factors + j, columns - j);
  }
  const Results results(yDot, packed, all, out, column, columns);
  row += k * p.rows;
  for (int64_t i = 0; i < rows; ++i, from += stride, slopes += tileColumns) {
    alignas(64) float line[tileColumns];
#pragma GCC unroll 4
    for (int64_t v = 0; v < tileVectors; ++v) {
      const int64_t j = v * lanes;
      if (j >= columns) break;
      float* to = yDot + (row + i) * out + column + j;
      if (packed == 0) __builtin_prefetch(to + ahead * out, 1);
      Float sum = ready ? loadFirst(from + j, columns - j) : Float{};
      if (rank > 0) sum = multiplyAdd(broadcast(projection[i]), first[v], sum);
      for (int64_t q = 1; q < rank; ++q)
        sum = multiplyAdd(broadcast(projection[q * p.rows + i]), loadFirst(factors + q * out + j, columns - j), sum);
      sum = sum + added[v];
      if (slope) sum = sum * load(slopes + j);
      if (packed != 0)
        store(line + j, sum);
      else
        storeFirst(to, sum, columns - j);
    }
    if (packed != 0) results.store(row + i, line);
  }
}

/** Adds Σ_f (x·a_f) b_fᵀ to z, and the same of ẋ_k to ẋ_k w. */
static void finishKept(const DenseCall& d, const Products& products, int64_t row, int64_t rows, int64_t column) {
  const int64_t all = d.p.rows, tangents = all * d.p.directions;
  addKept(products.z, products.stride, rows, column, d.kept, d.keptProjection + row, all);
  const float* projection = d.keptProjection + d.kept.count * all + row;
  for (int64_t k = 0; d.stacked && k < d.p.directions; ++k)
    addKept(products.dots + k * products.direction, products.stride, rows, column, d.kept, projection + k * all,
            tangents);
}

/** Of rows [row, row + rows), which `products` begins with. */
static void epilogue(const DenseCall& d, const Products& products, int64_t row, int64_t rows, int64_t column,
                     int64_t columns, float* scratch) {
  float* slopes = scratch + maximum(panelFloats, microScratch);
  float* z = slopes + roundUp(minimum(d.p.rows, epilogueRows) * tileColumns, 16);
  for (int64_t i = 0; i < rows; i += epilogueRows) {
    const int64_t count = minimum(epilogueRows, rows - i);
    const Products some = products.at(i);
    if (d.kept.count > 0) finishKept(d, some, row + i, count, column);
    finishPrimal(d, some, row + i, count, column, columns, z, slopes, scratch);
    if (d.yDot != nullptr)
      for (int64_t k = 0; k < d.p.directions; ++k) finishTangent(d, some, k, row + i, count, column, columns, slopes);
  }
}

/**
 * Sign words of a block of columns of every rademacher ẇ_k that a thread keeps, [K][in][4]; none if they are too many: then a panel
 * draws its own, and four times too many.
 */
PUSHFORWARD_INLINE int64_t signWords(const DenseParameters& p) {
  const int64_t words = 4 * p.directions * p.in;
  return p.wDot.kind == TangentKind::rademacher && words <= 65536 ? words : 0;
}

// Rows of products that a thread keeps apart, 128 KB.
constexpr int64_t apartRows = 1024;

/** Floats of a thread's scratch before its products: a panel, or what the epilogue needs at another time. */
PUSHFORWARD_INLINE int64_t finishFloats(const DenseParameters& p) {
  const int64_t slopes = minimum(p.rows, epilogueRows) * tileColumns;
  return maximum(panelFloats, microScratch) + roundUp(slopes, 16) + mostMicroElements;
}
PUSHFORWARD_INLINE int64_t apartFloats(const DenseParameters& p) {
  return roundUp(minimum(p.rows * (1 + p.directions), apartRows) * tileColumns, 16);
}
PUSHFORWARD_INLINE int64_t threadFloats(const DenseParameters& p) {
  return finishFloats(p) + apartFloats(p) + (signWords(p) > 0 ? roundUp(signWords(p) + signSlack, 16) : 0);
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
