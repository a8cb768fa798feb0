// c[i, j] (+)= Σ_p a[i, p] b[p, j]: packing, and the loop over the tiles of a panel. Formulas and layouts stand in
// product.h.
#include "cpu/gemm/product.h"

#include "cpu/gemm/bf16.h"
#include "cpu/gemm/transpose.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

/**
 * Steps of depth that a whole vector may be read and written for where each has `count` elements of it, side by side in the result: what
 * it holds beyond them belongs to the next steps, which follow.
 */
PUSHFORWARD_INLINE int64_t wholeSteps(int64_t depth, int64_t count) { return depth + 1 - ceilDivide(lanes, count); }

/** At most `lanes` lines; `compact`: steps follow one another in out. */
PUSHFORWARD_INLINE void transposeLines(const float* from, int64_t stride, int count, int64_t depth, float* out,
                                       int64_t outStride, bool compact) {
  int64_t at[lanes];
  for (int i = 0; i < lanes; ++i) at[i] = (i < count ? i : count - 1) * stride;
  int64_t p = 0;
  const auto steps = [&](bool whole) __attribute__((always_inline)) {
    const auto line = [&](int i) __attribute__((always_inline)) { return from + at[i] + p; };
    transposeQuads(line, [&](int q, Float x) __attribute__((always_inline)) {
      float* to = out + (p + q) * outStride;
      if (whole)
        store(to, x);
      else
        storePartial(to, x, count);
    });
  };
  const int64_t whole = compact || count == lanes ? wholeSteps(depth, count) : 0;
  for (; p + 4 <= whole; p += 4) {
    // The next lines, a page or so on, where no hardware prefetcher follows: a cache line of each in sixteen steps.
    for (int64_t t = 0; t < lanes / 4; ++t)
      __builtin_prefetch(from + at[p % 16 / 4 * (lanes / 4) + t] + count * stride + p, 0, 2);
    steps(true);
  }
  for (; p + 4 <= depth; p += 4) steps(false);
  for (; p < depth; ++p)
    for (int t = 0; t < count; ++t) out[t + p * outStride] = from[at[t] + p];
}

constexpr int64_t stepsAhead = 8;  // that are fetched where steps lie a page or so apart

void packLines(Matrix lines, int64_t count, int64_t depth, float* out, int64_t outStride) {
  const float* from = lines.data;
  const int64_t line = lines.rowStride, step = lines.columnStride;
  if (line == 1) {
    const int64_t whole = count / lanes * lanes;
    const int rest = static_cast<int>(count - whole);
    for (int64_t p = 0; p < depth; ++p, from += step, out += outStride) {
      for (int64_t i = 0; i < count; i += 16) __builtin_prefetch(from + stepsAhead * step + i);
      for (int64_t i = 0; i < whole; i += lanes) store(out + i, load(from + i));
      if (rest > 0) storePartial(out + whole, loadPartial(from + whole, rest), rest);
    }
    return;
  }
  int64_t i = 0;
  if (step == 1)
    for (; i < count; i += lanes)
      transposeLines(from + i * line, line, static_cast<int>(minimum(lanes, count - i)), depth, out + i, outStride,
                     count <= lanes && outStride == count);
  for (; i < count; ++i)
    for (int64_t p = 0; p < depth; ++p) out[i + p * outStride] = from[i * line + p * step];
}

/** Rows that lie side by side: a step of several blocks at a time, as memory has it. */
static void packNeighbours(Matrix a, int64_t rows, int64_t first, int64_t last, int64_t depth, float* out) {
  static_assert(tileRows <= lanes, "a block is a vector");
  constexpr int64_t together = 8;
  for (int64_t i = first; i < last; i += together) {
    const int64_t blocks = minimum(together, last - i);
    int64_t row[together + 1];
    for (int64_t t = 0; t <= blocks; ++t) row[t] = blockBegin(rows, i + t);
    const auto step = [&](int64_t p, bool whole) __attribute__((always_inline)) {
      const float* from = a.data + p * a.columnStride;
      for (int64_t j = row[0]; j < row[blocks]; j += 16) __builtin_prefetch(from + stepsAhead * a.columnStride + j);
      for (int64_t t = 0; t < blocks; ++t) {
        const int count = static_cast<int>(row[t + 1] - row[t]);
        float* to = out + row[t] * depth + p * count;
        if (whole)
          store(to, load(from + row[t]));
        else
          storePartial(to, loadPartial(from + row[t], count), count);
      }
    };
    const int64_t whole = wholeSteps(depth, rows / blockCount(rows));
    int64_t p = 0;
    for (; p < whole; ++p) step(p, true);
    for (; p < depth; ++p) step(p, false);
  }
}

void packRows(Matrix a, int64_t rows, int64_t first, int64_t last, int64_t depth, float* out) {
  if (a.rowStride == 1) return packNeighbours(a, rows, first, last, depth, out);
  for (int64_t i = first; i < last; ++i) {
    const int64_t row = blockBegin(rows, i), count = blockBegin(rows, i + 1) - row;
    packLines(a.at(row, 0), count, depth, out + row * depth, count);
  }
}

void packColumns(Matrix b, int64_t columns, int64_t depth, float* out) {
  packLines({b.data, b.columnStride, b.rowStride}, columns, depth, out, tileColumns);
  padPanel(out, columns, depth);
}

/** tileColumns steps of a vector of lines that lie one after another. */
static void transposePanelLines(const float* from, float* out) {
  for (int64_t p = 0; p < tileColumns; p += 4) {
    const auto line = [&](int i) __attribute__((always_inline)) { return from + i * tileColumns + p; };
    transposeQuads(line, [&](int q, Float x) __attribute__((always_inline)) { store(out + (p + q) * tileColumns, x); });
  }
}

void packPanelRows(const Weights& b, const Piece& piece, float* out) {
  for (int64_t done = 0; done < piece.depth;) {
    const int64_t at = piece.top + done, panel = at / tileColumns * tileColumns;
    const int64_t wide = minimum(tileColumns, b.out - panel), count = minimum(panel + wide - at, piece.depth - done);
    const float* from = b.data + panel * b.in + piece.column * wide;
    const int64_t whole = count == tileColumns ? piece.columns / lanes * lanes : 0;
    float* to = out + done * tileColumns;
    for (int64_t i = 0; i < whole; i += lanes) transposePanelLines(from + i * tileColumns, to + i);
    if (whole < piece.columns)
      packLines({from + whole * wide + (at - panel), wide, 1}, piece.columns - whole, count, to + whole, tileColumns);
    done += count;
  }
  padPanel(out, piece.columns, piece.depth);
}

void padPanel(float* panel, int64_t columns, int64_t depth) {
  const int64_t end = roundUp(columns, lanes);
  if (columns == end) return;
  for (int64_t p = 0; p < depth; ++p)
    for (int64_t j = columns; j < end; ++j) panel[p * tileColumns + j] = 0.0f;
}

/** Tiles of 1 … tileRows rows; of one vector and of two. */
struct Tiles {
  TileFunction of[tileRows][tileVectors];

  template <int rows>
  constexpr void fill() {
    of[rows - 1][0] = &multiplyTile<rows, 1>;
    of[rows - 1][1] = &multiplyTile<rows, 2>;
    if constexpr (rows > 1) fill<rows - 1>();
  }
  constexpr Tiles() : of() { fill<tileRows>(); }
};
static constexpr Tiles tiles;
static_assert(tileVectors == 2, "what the table holds");

void multiplyPanel(const float* a, int64_t rows, int64_t first, int64_t last, int64_t depth, Panel b, int64_t columns,
                   float* c, int64_t cStride, bool accumulate, const NextPanel& next) {
  const int64_t vectors = ceilDivide(columns, lanes), blocks = blockCount(rows);
  for (int64_t i = first, row = first * rows / blocks; i < last; ++i) {
    const int64_t end = (i + 1) * rows / blocks, count = end - row;
    const float* block = a + row * depth;
    Prefetch fetch = fetchOf(next, i - first, last - first, depth, block);
    fetch.written = next.written == nullptr ? c + row * cStride : next.written + row * next.writtenStride;
    fetch.writtenStride = next.written == nullptr ? cStride : next.writtenStride;
    tiles.of[count - 1][vectors - 1](depth, block, b.data, b.stride, c + row * cStride, cStride,
                                     static_cast<int>(columns), accumulate, fetch);
    row = end;
  }
}

/** Eight rows hide the latency of a multiply-add, and as many lines of A a page apart still fit one set of an L1 cache. */
template <int rows>
static void multiplyNarrowRows(const float* a, int64_t aStride, int64_t depth, const float* b, int columns, float* c,
                               int64_t cStride, bool accumulate) {
  Float sum[rows];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) sum[i] = Float{};
  for (int64_t p = 0; p < depth; ++p) {
    const Float right = load(b + p * lanes);
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) sum[i] = multiplyAdd(broadcast(a[i * aStride + p]), right, sum[i]);
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
    float* to = c + i * cStride;
    storePartial(to, accumulate ? loadPartial(to, columns) + sum[i] : sum[i], columns);
  }
}

void multiplyNarrow(const float* a, int64_t aStride, int64_t rows, int64_t depth, const float* b, int64_t columns,
                    float* c, int64_t cStride, bool accumulate) {
  constexpr int together = 8;
  const int wide = static_cast<int>(columns);
  int64_t i = 0;
  for (; i + together <= rows; i += together)
    multiplyNarrowRows<together>(a + i * aStride, aStride, depth, b, wide, c + i * cStride, cStride, accumulate);
  for (; i < rows; ++i)
    multiplyNarrowRows<1>(a + i * aStride, aStride, depth, b, wide, c + i * cStride, cStride, accumulate);
}

// Columns of a single row at once: 256 bytes of each row of b, where registers allow.
constexpr int rowVectors = lanes == 16 ? 4 : 8;
// What is fetched ahead: rows that may be a page apart, where no hardware prefetcher follows; floats of a panel, and of the next, which lies
// behind it.
constexpr int64_t rowsAhead = 8, panelAhead = 1024;

struct Exact {
  static float of(float x) { return x; }
  __attribute__((always_inline)) static Float of(Float x) { return x; }
};
struct Rounded {
  static float of(float x) { return roundBf16(x); }
  __attribute__((always_inline)) static Float of(Float x) { return roundBf16(x); }
};

/**
 * y = x B for `vectors` registers of columns, fewer `columns` than lanes only with one; sums of panelDepth, added in
 * order.
 */
template <class Operand, int vectors>
PUSHFORWARD_INLINE void multiplyRowBy(const float* x, int64_t xStride, Matrix b, int64_t k, float* y, int columns) {
  Float total[vectors];
#pragma GCC unroll 8
  for (int v = 0; v < vectors; ++v) total[v] = Float{};
  const float* from = b.data;
  const int64_t ahead = maximum(rowsAhead, panelAhead / maximum(b.rowStride, 1)) * b.rowStride;
  for (int64_t begin = 0; begin < k; begin += panelDepth) {
    Float sum[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) sum[v] = Float{};
    for (int64_t p = begin; p < minimum(begin + panelDepth, k); ++p, from += b.rowStride) {
#pragma GCC unroll 4
      for (int line = 0; line < vectors * lanes; line += 16) __builtin_prefetch(from + ahead + line, 0, 2);
      const Float left = broadcast(Operand::of(x[p * xStride]));
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v)
        sum[v] = multiplyAdd(left, Operand::of(columns == lanes ? load(from + v * lanes) : loadPartial(from, columns)),
                             sum[v]);
    }
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) total[v] += sum[v];
  }
#pragma GCC unroll 8
  for (int v = 0; v < vectors; ++v)
    if (columns == lanes)
      store(y + v * lanes, total[v]);
    else
      storePartial(y, total[v], columns);
}

template <class Operand>
PUSHFORWARD_INLINE void multiplyRowOf(const float* x, int64_t xStride, Matrix b, int64_t columns, int64_t k, float* y) {
  if (b.columnStride == 1) {
    int64_t j = 0;
    for (; j + rowVectors * lanes <= columns; j += rowVectors * lanes)
      multiplyRowBy<Operand, rowVectors>(x, xStride, b.at(0, j), k, y + j, lanes);
    for (; j + tileColumns <= columns; j += tileColumns)
      multiplyRowBy<Operand, tileVectors>(x, xStride, b.at(0, j), k, y + j, lanes);
    for (; j < columns; j += lanes)
      multiplyRowBy<Operand, 1>(x, xStride, b.at(0, j), k, y + j, static_cast<int>(minimum(lanes, columns - j)));
    return;
  }
  constexpr int64_t together = 4 * lanes;  // four accumulators hide the latency of a multiply-add
  if (b.rowStride == 1 && xStride == 1) {
    for (int64_t j = 0; j < columns; ++j) {
      const float* from = b.data + j * b.columnStride;
      Float sum0{}, sum1{}, sum2{}, sum3{};
      int64_t p = 0;
      for (; p + together <= k; p += together) {
        sum0 = multiplyAdd(Operand::of(load(x + p)), Operand::of(load(from + p)), sum0);
        sum1 = multiplyAdd(Operand::of(load(x + p + lanes)), Operand::of(load(from + p + lanes)), sum1);
        sum2 = multiplyAdd(Operand::of(load(x + p + 2 * lanes)), Operand::of(load(from + p + 2 * lanes)), sum2);
        sum3 = multiplyAdd(Operand::of(load(x + p + 3 * lanes)), Operand::of(load(from + p + 3 * lanes)), sum3);
      }
      for (; p < k; p += lanes) {
        const int count = static_cast<int>(minimum(lanes, k - p));
        sum0 = multiplyAdd(Operand::of(loadPartial(x + p, count)), Operand::of(loadPartial(from + p, count)), sum0);
      }
      y[j] = horizontalSum((sum0 + sum1) + (sum2 + sum3));
    }
    return;
  }
  for (int64_t j = 0; j < columns; ++j) {
    float sum = 0.0f;
    for (int64_t p = 0; p < k; ++p)
      sum += Operand::of(x[p * xStride]) * Operand::of(b.data[p * b.rowStride + j * b.columnStride]);
    y[j] = sum;
  }
}

void multiplyRow(const float* x, int64_t xStride, Matrix b, int64_t columns, int64_t k, float* y) {
  multiplyRowOf<Exact>(x, xStride, b, columns, k, y);
}

void multiplyRowBf16(const float* x, int64_t xStride, Matrix b, int64_t columns, int64_t k, float* y) {
  multiplyRowOf<Rounded>(x, xStride, b, columns, k, y);
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
