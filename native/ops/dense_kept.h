// What kept factors (ops/kept.h) add to the products of a dense layer: x (w + Σ_f a_f b_fᵀ) = x w + Σ_f (x·a_f) b_fᵀ, of ẋ_k likewise.
#pragma once
#include "cpu/gemm/bf16.h"
#include "ops/kept_lines.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

/** Two vectors of a row from column `column` on; rows end with the first where they are no multiple of two. */
struct FloatRows {
  const float* x;
  int64_t in;

  __attribute__((always_inline)) void at(int64_t row, int64_t column, Float& first, Float& second) const {
    const float* from = x + row * in + column;
    first = load(from);
    second = column + lanes < in ? load(from + lanes) : Float{};
  }
};

#if PUSHFORWARD_LANES == 16
/** The same of rows that are packed for tiles of bf16. */
struct TileRows {
  const float* x;
  int64_t rows, in;

  __attribute__((always_inline)) void at(int64_t row, int64_t column, Float& first, Float& second) const {
    const float* line = tileLines(const_cast<float*>(x), rows, in, column).at(row);
    separateNeighbours(load(reinterpret_cast<const uint32_t*>(line)), first, second);
  }
};
#endif

/** out[f·stride + row] = Σ_i x[row, i] a_f[i] for `rows` rows and `factors` factors from `f` on. */
template <int rows, int factors, class Rows>
PUSHFORWARD_INLINE void projectBlock(const Rows& x, int64_t row, int64_t in, const Kept& kept, int64_t f, float* out,
                                     int64_t stride) {
  Float sum[rows][factors];
#pragma GCC unroll 4
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int g = 0; g < factors; ++g) sum[r][g] = Float{};
  for (int64_t i = 0; i < in; i += tileColumns) {
    const float* left = kept.leftAt(i) + f * tileColumns;
    Float first[rows], second[rows];
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) x.at(row + r, i, first[r], second[r]);
#pragma GCC unroll 4
    for (int g = 0; g < factors; ++g, left += tileColumns) {
      const Float a = load(left), b = load(left + lanes);
#pragma GCC unroll 4
      for (int r = 0; r < rows; ++r) sum[r][g] = multiplyAdd(second[r], b, multiplyAdd(first[r], a, sum[r][g]));
    }
  }
  for (int g = 0; g < factors; ++g)
    for (int r = 0; r < rows; ++r) out[(f + g) * stride + row + r] = horizontalSum(sum[r][g]);
}

/** The same of rows [begin, end) and all factors. */
template <class Rows>
static void projectOnKept(const Rows& x, int64_t begin, int64_t end, int64_t in, const Kept& kept, float* out,
                          int64_t stride) {
  constexpr int together = lanes == 16 ? 4 : 2;
  int64_t row = begin;
  for (; row + together <= end; row += together) {
    int64_t f = 0;
    for (; f + together <= kept.count; f += together)
      projectBlock<together, together>(x, row, in, kept, f, out, stride);
    for (; f < kept.count; ++f) projectBlock<together, 1>(x, row, in, kept, f, out, stride);
  }
  for (; row < end; ++row)
    for (int64_t f = 0; f < kept.count; ++f) projectBlock<1, 1>(x, row, in, kept, f, out, stride);
}

/** z[i·stride + j] += Σ_f projection[f·projectionStride + i] b_f[column + j] for `rows` rows and a panel of columns. */
template <int rows>
PUSHFORWARD_INLINE void addKeptBlock(float* z, int64_t stride, const float* right, int64_t count,
                                     const float* projection, int64_t projectionStride) {
  Float sum[rows][tileVectors];
#pragma GCC unroll 4
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < tileVectors; ++v) sum[r][v] = load(z + r * stride + v * lanes);
  for (int64_t f = 0; f < count; ++f, right += tileColumns, projection += projectionStride) {
    const Float b[tileVectors] = {load(right), load(right + lanes)};
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) {
      const Float c = broadcast(projection[r]);
#pragma GCC unroll 2
      for (int v = 0; v < tileVectors; ++v) sum[r][v] = multiplyAdd(c, b[v], sum[r][v]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < tileVectors; ++v) store(z + r * stride + v * lanes, sum[r][v]);
}

static void addKept(float* z, int64_t stride, int64_t rows, int64_t column, const Kept& kept, const float* projection,
                    int64_t projectionStride) {
  constexpr int together = 4;
  const float* right = kept.rightAt(column);
  int64_t i = 0;
  for (; i + together <= rows; i += together)
    addKeptBlock<together>(z + i * stride, stride, right, kept.count, projection + i, projectionStride);
  for (; i < rows; ++i) addKeptBlock<1>(z + i * stride, stride, right, kept.count, projection + i, projectionStride);
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
