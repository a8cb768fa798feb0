// Parameter block of the pools' kernels.
#pragma once
#include "core/kernel.h"

namespace pushforward {

/**
 * x [batch, height, width, channels], y [batch, outHeight, outWidth, channels]; window (oy, ox) begins at pixel (oy·stride − padding, …) of x.
 * Pairs are along y, then x. An index is iy·width + ix of a pixel, [indexBatch, outHeight, outWidth, channels], and belongs to every example
 * n with n mod indexBatch = its own (examples of K tangents stand one behind the other). Operands:
 *   max_pool2d x, y · max_pool2d_indices x, indices · pool_gather x, indices, y · pool_scatter y, indices, x · avg_pool2d x, y ·
 *   avg_pool2d_pullback y, x · max_pool2d_pullback, max_pool2d_gated_pullback x, ȳ, x̄, stride ≥ window · max_pool2d_pushforward x, ẋ [directions, …], y, ẏ [directions, …]
 * pool_gather makes NaN of an index that lies outside its window, pool_scatter drops it.
 */
struct PoolParameters {
  int64_t batch, height, width, channels;
  int64_t outHeight, outWidth;
  int64_t window[2], stride[2], padding[2];
  int64_t indexBatch;
  int64_t directions;  // of max_pool2d_pushforward
};

}  // namespace pushforward
