// Sums of pieces: products whose depth was cut leave `pieces` tensors of `count` elements, one after the other.
#pragma once
#include "cuda/launch.h"
#include "cuda/tile_product.h"

namespace pushforward::cuda {

/** to[i] = Σ_s partials[s·count + i], in order of s. */
struct SumPartialsArguments {
  int64_t count;
  int32_t pieces;
  const float* partials;
  float* to;
};

inline size_t partialBytes(const DepthSplit& split, int64_t count) {
  return split.count > 1 ? sizeof(float) * static_cast<size_t>(split.count) * static_cast<size_t>(count) : 0;
}

/** Where a product of `count` elements goes: into y, or into pieces that sumPartials adds. */
inline float* partialsOf(const KernelCall& call, const DepthSplit& split, float* y) {
  return split.count > 1 ? static_cast<float*>(call.scratch) : y;
}

inline void sumPartials(const KernelCall& call, const DepthSplit& split, int64_t count, float* y) {
  if (split.count <= 1) return;
  constexpr uint32_t threads = 256;
  launch(call, {"sum_partials_kernel", {blocksOf(count, threads), 1, 1}, threads, 0},
         SumPartialsArguments{count, split.count, static_cast<const float*>(call.scratch), y});
}

}  // namespace pushforward::cuda
