// The kernels of a layer, templates over what its rows are: `Input` is a matrix or the patches of images.
#pragma once
#include "cuda/device.cuh"
#include "cuda/draw.cuh"
#include "cuda/tile_product.cuh"
#include "ops/layer_cuda.h"

namespace pushforward::cuda::layer {

__device__ __forceinline__ bool isDrawn(TangentKind kind) {
  return kind == TangentKind::gaussian || kind == TangentKind::rademacher;
}

/**
 * Rows [first, end) of x and the tangents that stand behind it, as the left operand of a product. Input has size(), the elements of x; a
 * Row row(x, r), which begins with an address; a Place place(d) at depth d; and at(row, place).
 */
template <class Input>
struct StackedRows {
  const Input& input;
  typename Input::Row row[4];
  unsigned valid = 0;  // bit i: row i is not beyond the last

  __device__ __forceinline__ StackedRows(const Input& input, const float* x, const float* xDot, int64_t rows,
                                         int64_t first, int64_t end)
      : input(input) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int64_t stacked = first + threadIdx.x / tileDepth + i * (productThreads / tileDepth);
      const int64_t group = stacked < rows ? 0 : quotient(stacked, rows);
      if (stacked < end) valid |= 1u << i;
      row[i] =
          input.row(group == 0 ? x : xDot + (group - 1) * input.size(), stacked < end ? stacked - group * rows : 0);
    }
  }

  __device__ __forceinline__ void fetch(int64_t depth, int64_t end, float held[4]) const {
    const int64_t d = depth + threadIdx.x % tileDepth;
    const typename Input::Place place = input.place(d < end ? d : 0);
#pragma unroll
    for (int i = 0; i < 4; ++i) held[i] = (valid >> i & 1u) != 0 && d < end ? input.at(row[i], place) : 0.0f;
  }

  __device__ __forceinline__ void place(const float held[4], OperandTile& tile) const {
#pragma unroll
    for (int i = 0; i < 4; ++i)
      tile.at[threadIdx.x % tileDepth][threadIdx.x / tileDepth + i * (productThreads / tileDepth)] = held[i];
  }
};

/** Columns from `column` on of a matrix [·, n]: read where it is given, else drawn. */
struct WeightColumns {
  const float* given;
  TangentKind kind;
  Draw draw;
  int64_t n, column;

  __device__ __forceinline__ void fetch(int64_t depth, int64_t end, float held[4]) const {
    const int64_t d = depth + threadIdx.x / 16, first = column + threadIdx.x % 16 * 4;
    if (d >= end || first >= n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) held[i] = 0.0f;
    } else if (given != nullptr) {
#pragma unroll
      for (int i = 0; i < 4; ++i) held[i] = first + i < n ? given[d * n + first + i] : 0.0f;
    } else {
      tangentQuad(kind, draw, n, {d, first}, held);
    }
  }

  __device__ __forceinline__ void place(const float held[4], OperandTile& tile) const {
    *reinterpret_cast<float4*>(&tile.at[threadIdx.x / 16][threadIdx.x % 16 * 4]) =
        make_float4(held[0], held[1], held[2], held[3]);
  }
};

/** A tile of the stacked products, or of a piece of their depth. Grid: tiles, pieces. */
template <class Input>
__device__ __forceinline__ void multiply(const LayerArguments& a, const Input& input, ProductTiles& tiles) {
  const int64_t rowTile = blockIdx.x / a.columnTiles, column = (blockIdx.x - rowTile * a.columnTiles) * tileColumns;
  const int64_t groupTiles = a.acrossGroups ? a.rowTiles : tilesOf(a.rows, tileRows), group = rowTile / groupTiles;
  const int64_t first = group * a.rows + (rowTile - group * groupTiles) * tileRows;
  const int64_t end = a.acrossGroups ? a.stackedGroups * a.rows : (group + 1) * a.rows;
  const int64_t begin = blockIdx.y * a.split.piece, last = begin + a.split.piece < a.in ? begin + a.split.piece : a.in;
  TileSums sums;
  sums.clear();
  if (group == 0 || a.xDotKind.kind != TangentKind::zero)
    addProduct(tiles, StackedRows<Input>(input, a.x, a.xDot, a.rows, first, end),
               WeightColumns{a.w, TangentKind::given, {}, a.out, column}, begin, last, sums);
  if (group > 0) {  // not across groups: ẇ is drawn or given
    const bool drawn = isDrawn(a.wDotKind.kind);
    addProduct(tiles, StackedRows<Input>(input, a.x, nullptr, a.rows, first - group * a.rows, a.rows),
               WeightColumns{drawn ? nullptr : a.wDot + (group - 1) * a.in * a.out, a.wDotKind.kind,
                             drawOf(a.wDotKind, a.state->run, group - 1), a.out, column},
               begin, last, sums);
  }
  const int64_t stackedRows = a.stackedGroups * a.rows;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int64_t row = first + TileSums::row() + i;
    if (row >= end) continue;
    float* to = a.sums != nullptr ? a.sums + (blockIdx.y * stackedRows + row) * a.out
                : row < a.rows    ? a.y + row * a.out
                                  : a.yDot + (row - a.rows) * a.out;
#pragma unroll
    for (int j = 0; j < 4; ++j)
      if (column + TileSums::column() + j < a.out) to[column + TileSums::column() + j] = sums.at[i][j];
  }
}

/** projections[kq, row] = Σ_i a_kq[i] x[row, i]: four rows a warp, a block of signs, 128 elements, at a time. */
template <class Input>
__device__ __forceinline__ void project(const LayerArguments& a, const Input& input) {
  const int64_t blocks = tilesOf(a.rows, projectedRows), factor = blockIdx.x / blocks;
  const int64_t first = (blockIdx.x - factor * blocks) * projectedRows + threadIdx.x / warpLanes * rowsPerWarp;
  const int rank = a.wDotKind.rank;
  const Draw draw =
      factorOf(drawOf(a.wDotKind, a.state->run, factor / rank), leftStream, rank, static_cast<int>(factor % rank));
  typename Input::Row row[rowsPerWarp];
  float sum[rowsPerWarp];
#pragma unroll
  for (int r = 0; r < rowsPerWarp; ++r) {
    row[r] = input.row(a.x, first + r < a.rows ? first + r : 0);
    sum[r] = 0.0f;
  }
  for (int64_t d = threadIdx.x % warpLanes * quadColumns; d < a.in; d += warpLanes * quadColumns) {
    float sign[quadColumns];
    rademacherQuad(draw, a.in, {0, d}, sign);
#pragma unroll
    for (int i = 0; i < quadColumns; ++i) {
      if (d + i >= a.in) break;
      const typename Input::Place place = input.place(d + i);
#pragma unroll
      for (int r = 0; r < rowsPerWarp; ++r) sum[r] = fmaf(sign[i], input.at(row[r], place), sum[r]);
    }
  }
#pragma unroll
  for (int r = 0; r < rowsPerWarp; ++r) {
    const float total = warpSum(sum[r]);
    if (threadIdx.x % warpLanes == 0 && first + r < a.rows) a.projections[factor * a.rows + first + r] = total;
  }
}

}  // namespace pushforward::cuda::layer
