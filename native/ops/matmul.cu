// matmul: y[t] = A[t] B[t], a tile of one matrix, or of a piece of its depth, a block.
#include "cuda/tile_product.cuh"
#include "ops/matmul_cuda.h"

namespace pushforward::cuda {

extern "C" __global__ void __launch_bounds__(productThreads) matmul_kernel(const MatmulArguments args) {
  __shared__ ProductTiles tiles;
  const MatmulParameters& p = args.p;
  const int64_t tilesOfOne = args.rowTiles * args.columnTiles, t = blockIdx.x / tilesOfOne;
  const int64_t tile = blockIdx.x - t * tilesOfOne, rowTile = tile / args.columnTiles;
  const int64_t firstRow = rowTile * tileRows, firstColumn = (tile - rowTile * args.columnTiles) * tileColumns;
  const float *left = args.a, *right = args.b;
  int64_t rest = t;
  for (int axis = p.batchRank - 1; axis >= 0; --axis) {
    const int64_t above = rest / p.batchShape[axis], index = rest - above * p.batchShape[axis];
    left += index * p.aStride[axis];
    right += index * p.bStride[axis];
    rest = above;
  }
  const StridedOperand a(left, firstRow, p.m, p.transposeA ? 1 : p.k, p.transposeA ? p.m : 1);
  const StridedOperand b(right, firstColumn, p.n, p.transposeB ? p.k : 1, p.transposeB ? 1 : p.n);
  const int64_t begin = blockIdx.y * args.split.piece, end = begin + args.split.piece;
  TileSums sums;
  sums.clear();
  addProduct(tiles, a, b, begin, end < p.k ? end : p.k, sums);
  sums.store(args.y + blockIdx.y * args.count + t * p.m * p.n, firstRow, p.m, firstColumn, p.n);
}

}  // namespace pushforward::cuda
