// A tile of a product A B, 64 × 64 elements by 256 threads, 4 × 4 a thread: tiles of both operands go through shared memory, 16 deep, while
// the next are on their way in registers. Every element is one chain of fused multiply-adds in the order of depth.
#pragma once
#include "cuda/step_state.h"
#include "cuda/tile_product.h"

namespace pushforward::cuda {

/** tile[d][i]: element i (a row of A, a column of B) at depth d. The padding spreads a column over the banks. */
struct OperandTile {
  float at[tileDepth][tileRows + 4];
};
static_assert(tileRows == tileColumns, "one tile serves both operands");

struct ProductTiles {
  OperandTile a, b;
};

/** This thread's elements of a product's tile: rows 4·(thread / 16) + i, columns 4·(thread % 16) + j. */
struct TileSums {
  float at[4][4];

  __device__ __forceinline__ static int row() { return threadIdx.x / 16 * 4; }
  __device__ __forceinline__ static int column() { return threadIdx.x % 16 * 4; }

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) at[i][j] = 0.0f;
  }

  /** Into y [rows, columns], of which the tile begins at (firstRow, firstColumn). */
  __device__ __forceinline__ void store(float* y, int64_t firstRow, int64_t rows, int64_t firstColumn,
                                        int64_t columns) const {
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int64_t r = firstRow + row() + i, c = firstColumn + column() + j;
        if (r < rows && c < columns) y[r * columns + c] = at[i][j];
      }
  }

  __device__ __forceinline__ void add(const OperandTile& left, const OperandTile& right) {
#pragma unroll
    for (int d = 0; d < tileDepth; ++d) {
      const float4 a = *reinterpret_cast<const float4*>(&left.at[d][row()]);
      const float4 b = *reinterpret_cast<const float4*>(&right.at[d][column()]);
      const float x[4] = {a.x, a.y, a.z, a.w}, y[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) at[i][j] = fmaf(x[i], y[j], at[i][j]);
    }
  }
};

/**
 * sums += A B over depths [begin, end). An operand has fetch(depth, end, held): this thread's four elements of the tile that begins at
 * `depth`, zero beyond `end`; and place(held, tile). Every thread of the block must come here.
 */
template <class A, class B>
__device__ __forceinline__ void addProduct(ProductTiles& tiles, const A& a, const B& b, int64_t begin, int64_t end,
                                           TileSums& sums) {
  float left[4], right[4];
  if (begin < end) {
    a.fetch(begin, end, left);
    b.fetch(begin, end, right);
  }
#pragma unroll 1
  for (int64_t depth = begin; depth < end; depth += tileDepth) {
    __syncthreads();
    a.place(left, tiles.a);
    b.place(right, tiles.b);
    __syncthreads();
    if (depth + tileDepth < end) {
      a.fetch(depth + tileDepth, end, left);
      b.fetch(depth + tileDepth, end, right);
    }
    sums.add(tiles.a, tiles.b);
  }
}

/**
 * Elements [first, first + 64), those below `count`, of a matrix that lies row by row. Its rows are the elements and its columns the depth,
 * or, with `depthInRows`, the other way round. Neighbours in memory go to neighbouring threads.
 */
template <bool depthInRows>
struct MatrixOperand {
  static constexpr int elementStep = depthInRows ? 0 : productThreads / tileDepth;
  static constexpr int depthStep = depthInRows ? productThreads / tileRows : 0;
  const float* data;
  int64_t pitch;  // from row to row
  int valid;

  __device__ __forceinline__ MatrixOperand(const float* matrix, int64_t pitch, int64_t first, int64_t count)
      : data(matrix + (depthInRows ? first : first * pitch)),
        pitch(pitch),
        valid(static_cast<int>(count - first < tileRows ? count - first : tileRows)) {}

  /** Of this thread's first element. */
  __device__ __forceinline__ static int element() {
    return depthInRows ? threadIdx.x % tileRows : threadIdx.x / tileDepth;
  }
  __device__ __forceinline__ static int depthIndex() {
    return depthInRows ? threadIdx.x / tileRows : threadIdx.x % tileDepth;
  }

  __device__ __forceinline__ void fetch(int64_t depth, int64_t end, float held[4]) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int e = element() + i * elementStep;
      const int64_t d = depth + depthIndex() + i * depthStep;
      held[i] = e < valid && d < end ? data[depthInRows ? d * pitch + e : e * pitch + d] : 0.0f;
    }
  }

  __device__ __forceinline__ void place(const float held[4], OperandTile& tile) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) tile.at[depthIndex() + i * depthStep][element() + i * elementStep] = held[i];
  }
};

using RowsOperand = MatrixOperand<false>;
using ColumnsOperand = MatrixOperand<true>;

}  // namespace pushforward::cuda
