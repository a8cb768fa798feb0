// Arguments of conv2d's kernels.
#pragma once
#include "ops/conv2d.h"
#include "ops/layer_cuda.h"

namespace pushforward::cuda {

/** Of conv2d_product_kernel and conv2d_project_kernel. */
struct Conv2dArguments {
  LayerArguments layer;
  Conv2dShape shape;
};

/** x̄ or w̄ as a product of matrices, or as pieces of its depth, one after the other. Grid: tiles, pieces. */
struct Conv2dPullbackArguments {
  Conv2dShape shape;
  int64_t columnTiles;
  DepthSplit split;
  const float *left, *right;  // δ, w; or x, δ
  float* y;
};

}  // namespace pushforward::cuda
