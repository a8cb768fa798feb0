// Argument of matmul_kernel.
#pragma once
#include "cuda/tile_product.h"
#include "ops/matmul.h"

namespace pushforward::cuda {

/** A block of grid [tiles of all matrices, pieces]; piece s of the result lies s·count elements further on. */
struct MatmulArguments {
  MatmulParameters p;
  int64_t rowTiles, columnTiles, count;
  DepthSplit split;
  const float *a, *b;
  float* y;
};

}  // namespace pushforward::cuda
