// dense: the products, the projections on low-rank factors, and the epilogue, which conv2d shares.
#include "cuda/micro.cuh"
#include "ops/layer.cuh"

namespace pushforward::cuda {

namespace dense {

/** x [rows, in]. */
struct Matrix {
  struct Row {
    const float* begin;
  };
  using Place = int64_t;
  int64_t rows, in;

  __device__ __forceinline__ int64_t size() const { return rows * in; }
  __device__ __forceinline__ Row row(const float* x, int64_t r) const { return {x + r * in}; }
  __device__ __forceinline__ Place place(int64_t d) const { return d; }
  __device__ __forceinline__ float at(const Row& row, Place d) const { return row.begin[d]; }
};

/** v = Σ over pieces of stacked row `row`, or what lies in `raw`. */
__device__ __forceinline__ void loadSums(const LayerArguments& a, int64_t row, const float* raw, const Quad& at,
                                         float v[4]) {
#pragma unroll
  for (int i = 0; i < quadColumns; ++i) v[i] = 0.0f;
  const int64_t stackedRows = a.stackedGroups * a.rows;
  for (int s = 0; s < a.split.count; ++s) {
    const float* from = a.sums == nullptr ? raw + at.column : a.sums + (s * stackedRows + row) * a.out + at.column;
#pragma unroll
    for (int i = 0; i < quadColumns; ++i)
      if (at.column + i < a.out) v[i] += from[i];
  }
}

__device__ __forceinline__ void addRow(const float* from, int64_t out, int64_t column, float v[4]) {
#pragma unroll
  for (int i = 0; i < quadColumns; ++i)
    if (column + i < out) v[i] += from[column + i];
}

/** v += (x Σ_q a_q b_qᵀ)/√rank */
__device__ __forceinline__ void addLowRank(const LayerArguments& a, int64_t k, const Quad& at, float v[4]) {
  const int rank = a.wDotKind.rank;
  const Draw draw = drawOf(a.wDotKind, a.state->run, k);
  const float scale = lowRankScale(rank);
#pragma unroll 1
  for (int q = 0; q < rank; ++q) {
    float right[quadColumns];
    rademacherQuad(factorOf(draw, rightStream, rank, q), a.out, {0, at.column}, right);
    const float left = scale * a.projections[(k * rank + q) * a.rows + at.row];
#pragma unroll
    for (int i = 0; i < quadColumns; ++i) v[i] = fmaf(left, right[i], v[i]);
  }
}

__device__ __forceinline__ void addBiasTangent(const LayerArguments& a, int64_t k, int64_t column, float v[4]) {
  if (a.bDotKind.kind == TangentKind::zero) return;
  if (!layer::isDrawn(a.bDotKind.kind)) return addRow(a.bDot + k * a.out, a.out, column, v);
  float drawn[quadColumns];
  tangentQuad(a.bDotKind.kind, drawOf(a.bDotKind, a.state->run, k), a.out, {0, column}, drawn);
#pragma unroll
  for (int i = 0; i < quadColumns; ++i) v[i] += drawn[i];
}

/** program(x[i]) for a quad in a column of shared memory, which the registers follow: a loop, so that the interpreter stands there once. */
__device__ __forceinline__ void applyQuad(const MicroProgram& program, float* column, float v[4]) {
  const MicroRegisters registers(program, column + quadColumns * blockDim.x);
  float* own = column + threadIdx.x;
#pragma unroll
  for (int i = 0; i < quadColumns; ++i) own[i * blockDim.x] = v[i];
#pragma unroll 1
  for (int i = 0; i < quadColumns; ++i) own[i * blockDim.x] = registers.of(own[i * blockDim.x]);
#pragma unroll
  for (int i = 0; i < quadColumns; ++i) v[i] = own[i * blockDim.x];
}

__device__ __forceinline__ void storeQuad(float* row, int64_t out, int64_t column, const float v[4]) {
#pragma unroll
  for (int i = 0; i < quadColumns; ++i)
    if (column + i < out) row[column + i] = v[i];
}

}  // namespace dense

extern "C" __global__ void __launch_bounds__(productThreads, productBlocks)
    dense_product_kernel(const LayerArguments a) {
  __shared__ ProductTiles tiles;
  layer::multiply(a, dense::Matrix{a.rows, a.in}, tiles);
}

extern "C" __global__ void __launch_bounds__(projectThreads) dense_project_kernel(const LayerArguments a) {
  layer::project(a, dense::Matrix{a.rows, a.in});
}

/** A quad of z a thread, and the same quad of every direction. */
extern "C" __global__ void layer_epilogue_kernel(const LayerArguments a) {
  extern __shared__ float dynamicShared[];
  const int64_t index = gridIndex();
  const Quad at = quadAt(index, a.out);
  if (at.row >= a.rows) return;
  float *y = a.y + at.row * a.out, z[quadColumns], slope[quadColumns];
  dense::loadSums(a, at.row, y, at, z);
  if (a.b != nullptr) dense::addRow(a.b, a.out, at.column, z);
#pragma unroll
  for (int i = 0; i < quadColumns; ++i) slope[i] = z[i];
  if (a.directions > 0 && microRuns(a.slope)) dense::applyQuad(a.slope, dynamicShared, slope);
  if (microRuns(a.activation)) dense::applyQuad(a.activation, dynamicShared, z);
  dense::storeQuad(y, a.out, at.column, z);
  for (int64_t k = 0; k < a.directions; ++k) {
    const int64_t row = k * a.rows + at.row;
    float *yDot = a.yDot + row * a.out, v[quadColumns] = {0.0f, 0.0f, 0.0f, 0.0f};
    if (a.stackedGroups > 1) dense::loadSums(a, a.rows + row, yDot, at, v);
    if (a.wDotKind.kind == TangentKind::lowRank) dense::addLowRank(a, k, at, v);
    dense::addBiasTangent(a, k, at.column, v);
    if (microRuns(a.slope))
#pragma unroll
      for (int i = 0; i < quadColumns; ++i) v[i] *= slope[i];
    dense::storeQuad(yDot, a.out, at.column, v);
  }
}

}  // namespace pushforward::cuda
