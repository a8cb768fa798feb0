// strided_copy: out[Σ i·outputStride] = in[Σ i·inputStride]. fill: out[i] = value.
#include "cuda/device.cuh"
#include "ops/shape_cuda.h"

namespace pushforward::cuda {

extern "C" __global__ void strided_copy_kernel(const StridedCopyArguments a) {
  for (int64_t i = gridIndex(); i < a.count; i += gridStride()) {
    int64_t from = 0, to = 0, rest = i;
    for (int axis = a.p.rank - 1; axis >= 0; --axis) {
      const int64_t outer = axis == 0 ? 0 : rest / a.p.shape[axis], index = rest - outer * a.p.shape[axis];
      from += index * a.p.inputStride[axis];
      to += index * a.p.outputStride[axis];
      rest = outer;
    }
    a.out[to] = a.in[from];
  }
}

// A block for each tile of 32 × 32: read along its rows, written along its columns, each in whole lines. A row of the tile takes 33 words
// of shared memory, so that a column of it lies in 32 banks.
extern "C" __global__ void transpose_kernel(const TransposeArguments a) {
  __shared__ uint32_t tile[transposeTile][transposeTile + 1];
  int64_t rest = blockIdx.x / a.columnTiles;
  const int64_t column = (blockIdx.x - rest * a.columnTiles) * transposeTile;
  const int64_t plane = rest / a.rowTiles, row = (rest - plane * a.rowTiles) * transposeTile;
  int64_t from = 0, to = 0;
  rest = plane;
  for (int axis = a.outerRank - 1; axis >= 0; --axis) {
    const int64_t outer = axis == 0 ? 0 : rest / a.outer[axis].size, index = rest - outer * a.outer[axis].size;
    from += index * a.outer[axis].from;
    to += index * a.outer[axis].to;
    rest = outer;
  }
  const int x = threadIdx.x % transposeTile;
  for (int y = threadIdx.x / transposeTile; y < transposeTile; y += transposeRows)
    if (row + x < a.rows.size && column + y < a.columns.size)
      tile[y][x] = a.in[from + row + x + (column + y) * a.columns.from];
  __syncthreads();
  for (int y = threadIdx.x / transposeTile; y < transposeTile; y += transposeRows)
    if (row + y < a.rows.size && column + x < a.columns.size)
      a.out[to + (row + y) * a.rows.to + column + x] = tile[x][y];
}

extern "C" __global__ void fill_kernel(const FillArguments a) {
  for (int64_t i = gridIndex(); i < a.count; i += gridStride()) a.out[i] = a.value;
}

}  // namespace pushforward::cuda
