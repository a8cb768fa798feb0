// matmul on CUDA.
#include "cuda/partials.h"
#include "ops/matmul_cuda.h"

namespace pushforward::cuda {

namespace {

/** Of all matrices together. */
struct Tiling {
  int64_t rowTiles, columnTiles, tiles, count;
  DepthSplit split;

  explicit Tiling(const MatmulParameters& p)
      : rowTiles(tilesOf(p.m, tileRows)), columnTiles(tilesOf(p.n, tileColumns)) {
    int64_t batch = 1;
    for (int axis = 0; axis < p.batchRank; ++axis) batch *= p.batchShape[axis];
    tiles = batch * rowTiles * columnTiles;
    count = batch * p.m * p.n;
    split = splitDepth(tiles, p.k);
  }
};

size_t matmulScratch(const void* parameters, int) {
  const Tiling tiling(*static_cast<const MatmulParameters*>(parameters));
  return partialBytes(tiling.split, tiling.count);
}

void matmul(const KernelCall& call) {
  const auto& p = *static_cast<const MatmulParameters*>(call.parameters);
  const Tiling tiling(p);
  if (tiling.tiles == 0) return;
  float* y = operandOf<float>(call, 2);
  const MatmulArguments arguments{p,
                                  tiling.rowTiles,
                                  tiling.columnTiles,
                                  tiling.count,
                                  tiling.split,
                                  operandOf<const float>(call, 0),
                                  operandOf<const float>(call, 1),
                                  partialsOf(call, tiling.split, y)};
  launch(call,
         {"matmul_kernel",
          {static_cast<uint32_t>(tiling.tiles), static_cast<uint32_t>(tiling.split.count), 1},
          productThreads,
          0},
         arguments);
  sumPartials(call, tiling.split, tiling.count, y);
}

PUSHFORWARD_CUDA_KERNEL(matmul, matmul, matmulScratch)

}  // namespace

}  // namespace pushforward::cuda
