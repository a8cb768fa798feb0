// matmul: y[t] = A[t] B[t], a tile of one matrix, or of a piece of its depth, a block.
#include "cuda/tile_product.cuh"
#include "ops/matmul_cuda.h"

namespace pushforward::cuda {

extern "C" __global__ void __launch_bounds__(productThreads, productBlocks) matmul_kernel(const MatmulArguments args) {
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
  const int64_t begin = blockIdx.y * args.split.piece,
                end = begin + args.split.piece < p.k ? begin + args.split.piece : p.k;
  TileSums sums;
  sums.clear();
  const RowsOperand a(left, p.k, firstRow, p.m), bTransposed(right, p.k, firstColumn, p.n);
  const ColumnsOperand aTransposed(left, p.m, firstRow, p.m), b(right, p.n, firstColumn, p.n);
  if (p.transposeA && p.transposeB)
    addProduct(tiles, aTransposed, bTransposed, begin, end, sums);
  else if (p.transposeA)
    addProduct(tiles, aTransposed, b, begin, end, sums);
  else if (p.transposeB)
    addProduct(tiles, a, bTransposed, begin, end, sums);
  else
    addProduct(tiles, a, b, begin, end, sums);
  sums.store(args.y + blockIdx.y * args.count + t * p.m * p.n, firstRow, p.m, firstColumn, p.n);
}

}  // namespace pushforward::cuda
