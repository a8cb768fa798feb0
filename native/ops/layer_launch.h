// Host code of dense and conv2d: the tiles of a layer's products, its scratch, and its three launches.
#pragma once
#include "cuda/launch.h"
#include "cuda/micro.cuh"
#include "ops/layer_cuda.h"

namespace pushforward::cuda {

inline bool isDrawnOrGiven(TangentKind kind) { return kind != TangentKind::zero && kind != TangentKind::lowRank; }

/** Everything but operands; p is DenseParameters or Conv2dParameters, whose tangents a primal leaves alone. */
template <class P>
LayerArguments layerOf(const P& p, bool pushforward, int64_t rows, int64_t in, int64_t out) {
  LayerArguments a{};
  a.rows = rows, a.in = in, a.out = out;
  a.activation = p.activation;
  if (pushforward) {
    a.directions = p.directions, a.slope = p.slope;
    a.xDotKind = p.xDot, a.wDotKind = p.wDot, a.bDotKind = p.bDot;
  }
  const bool hasProduct = a.xDotKind.kind != TangentKind::zero || isDrawnOrGiven(a.wDotKind.kind);
  a.stackedGroups = hasProduct ? 1 + a.directions : 1;
  a.acrossGroups = !isDrawnOrGiven(a.wDotKind.kind);
  a.rowTiles = a.acrossGroups ? tilesOf(a.stackedGroups * rows, tileRows) : a.stackedGroups * tilesOf(rows, tileRows);
  a.columnTiles = tilesOf(out, tileColumns);
  a.split = splitDepth(a.rowTiles * a.columnTiles, in);
  return a;
}

inline int64_t sumsFloats(const LayerArguments& a) {
  return a.split.count > 1 ? (a.split.count * a.stackedGroups * a.rows * a.out + 15) / 16 * 16 : 0;
}

inline int64_t projectionFloats(const LayerArguments& a) {
  return a.wDotKind.kind == TangentKind::lowRank ? a.directions * int64_t{a.wDotKind.rank} * a.rows : 0;
}

inline size_t layerScratch(const LayerArguments& a) {
  return sizeof(float) * static_cast<size_t>(sumsFloats(a) + projectionFloats(a));
}

struct LayerKernels {
  const char *product, *project;
};

/** x, w, b, y without directions; else x, w, b, ẋ, ẇ, ḃ, y, ẏ. */
inline void setOperands(const KernelCall& call, bool pushforward, LayerArguments& a) {
  a.state = stateOf(call);
  a.x = operandOf<const float>(call, 0), a.w = operandOf<const float>(call, 1), a.b = operandOf<const float>(call, 2);
  if (pushforward) {
    a.xDot = operandOf<const float>(call, 3), a.wDot = operandOf<const float>(call, 4);
    a.bDot = operandOf<const float>(call, 5), a.yDot = operandOf<float>(call, 7);
  }
  a.y = operandOf<float>(call, pushforward ? 6 : 3);
  a.sums = a.split.count > 1 ? static_cast<float*>(call.scratch) : nullptr;
  a.projections = static_cast<float*>(call.scratch) + sumsFloats(a);
}

constexpr uint32_t epilogueThreads = 128;

inline bool needsEpilogue(const LayerArguments& a) {
  return a.split.count > 1 || a.b != nullptr || microRuns(a.activation) || microRuns(a.slope) ||
         a.stackedGroups != 1 + a.directions || a.wDotKind.kind == TangentKind::lowRank ||
         a.bDotKind.kind != TangentKind::zero;
}

/** `arguments` begins with the layer: LayerArguments, or what a kernel of patches takes. */
template <class Arguments>
void launchLayer(const KernelCall& call, const LayerKernels& kernels, const LayerArguments& a,
                 const Arguments& arguments) {
  if (a.rows * a.out == 0) return;
  launch(call,
         {kernels.product,
          {static_cast<uint32_t>(a.rowTiles * a.columnTiles), static_cast<uint32_t>(a.split.count), 1},
          productThreads,
          0},
         arguments);
  if (projectionFloats(a) > 0) {
    const int64_t factors = a.directions * int64_t{a.wDotKind.rank};
    launch(
        call,
        {kernels.project, {static_cast<uint32_t>(factors * tilesOf(a.rows, projectedRows)), 1, 1}, projectThreads, 0},
        arguments);
  }
  if (!needsEpilogue(a)) return;
  const int slots = microSlots(a.activation) > microSlots(a.slope) ? microSlots(a.activation) : microSlots(a.slope);
  const int64_t quads = a.rows * tilesOf(a.out, 4);
  launch(call,
         {"layer_epilogue_kernel",
          {blocksOf(quads, epilogueThreads), 1, 1},
          epilogueThreads,
          static_cast<uint32_t>(sizeof(float)) * epilogueThreads * static_cast<uint32_t>(4 + slots)},
         a);
}

}  // namespace pushforward::cuda
