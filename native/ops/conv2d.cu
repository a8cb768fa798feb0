// conv2d as products of matrices whose rows are never written out: the layer's kernels over patches (its epilogue is dense's), and both
// pullbacks.
#include "ops/conv2d_cuda.h"
#include "ops/conv2d_patches.cuh"
#include "ops/layer.cuh"

namespace pushforward::cuda {

extern "C" __global__ void __launch_bounds__(productThreads, productBlocks)
    conv2d_product_kernel(const Conv2dArguments a) {
  __shared__ ProductTiles tiles;
  layer::multiply(a.layer, conv2d::Patches{a.shape}, tiles);
}

extern "C" __global__ void __launch_bounds__(projectThreads) conv2d_project_kernel(const Conv2dArguments a) {
  layer::project(a.layer, conv2d::Patches{a.shape});
}

/** x̄ [pixels of x, channels] = Σ over (tap, filter) δ w. */
extern "C" __global__ void __launch_bounds__(productThreads, productBlocks)
    conv2d_input_pullback_kernel(const Conv2dPullbackArguments a) {
  __shared__ ProductTiles tiles;
  const Conv2dShape& c = a.shape;
  const int64_t rowTile = blockIdx.x / a.columnTiles, column = (blockIdx.x - rowTile * a.columnTiles) * tileColumns;
  const int64_t rows = conv2d::inputPixels(c), depth = conv2d::taps(c) * c.filters, begin = blockIdx.y * a.split.piece;
  TileSums sums;
  sums.clear();
  addProduct(tiles, layer::StackedRows<conv2d::Deltas>({c}, a.left, nullptr, rows, rowTile * tileRows, rows),
             conv2d::FilterColumns{c, a.right, column}, begin,
             begin + a.split.piece < depth ? begin + a.split.piece : depth, sums);
  sums.store(a.y + blockIdx.y * rows * c.channels, rowTile * tileRows, rows, column, c.channels);
}

/** w̄ [tap·channels, filters] = Σ over the pixels of y xᵀ δ. */
extern "C" __global__ void __launch_bounds__(productThreads, productBlocks)
    conv2d_filter_pullback_kernel(const Conv2dPullbackArguments a) {
  __shared__ ProductTiles tiles;
  const Conv2dShape& c = a.shape;
  const int64_t rowTile = blockIdx.x / a.columnTiles, column = (blockIdx.x - rowTile * a.columnTiles) * tileColumns;
  const int64_t rows = conv2d::taps(c) * c.channels, depth = conv2d::outputPixels(c),
                begin = blockIdx.y * a.split.piece;
  TileSums sums;
  sums.clear();
  addProduct(tiles, conv2d::PatchColumns(c, a.left, rowTile * tileRows),
             ColumnsOperand(a.right, c.filters, column, c.filters), begin,
             begin + a.split.piece < depth ? begin + a.split.piece : depth, sums);
  sums.store(a.y + blockIdx.y * rows * c.filters, rowTile * tileRows, rows, column, c.filters);
}

}  // namespace pushforward::cuda
