// Arguments of the attention kernels. A block has a tile of queries (of keys: k̄ and v̄) of one index of the batch, and at most 64 columns of
// its result.
#pragma once
#include "cuda/tile_product.h"
#include "ops/attention.h"

namespace pushforward::cuda {

/**
 * Of attention_kernel (grid: batch, tiles of queries, tiles of e), which writes y and, where `rows` [2, batch, n] is there, max s and
 * Σ exp(s − max s) of each query; then of attention_tangent_kernel (directions in front), which reads them, and y, and writes ẏ.
 */
struct AttentionArguments {
  AttentionParameters p;
  const float *q, *k, *v, *mask, *qDot, *kDot, *vDot;
  float *y, *yDot, *rows;
};

/**
 * Of attention_rows_kernel (grid: batch, tiles of queries), which fills `rows` [3, batch, n]: max s, Σ exp(s − max s) and Σ P z, z = ȳ vᵀ;
 * then of attention_query_pullback_kernel (batch, tiles of queries, tiles of d), attention_key_pullback_kernel (batch, tiles of keys, tiles
 * of d) and attention_value_pullback_kernel (batch, tiles of keys, tiles of e).
 */
struct AttentionPullbackArguments {
  AttentionParameters p;
  const float *q, *k, *v, *yBar, *mask;
  float *qBar, *kBar, *vBar, *rows;
};

}  // namespace pushforward::cuda
