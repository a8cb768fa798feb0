// conv2d_primal, conv2d_pushforward and both pullbacks on CUDA.
#include "cuda/partials.h"
#include "ops/conv2d_cuda.h"
#include "ops/layer_launch.h"

namespace pushforward::cuda {

namespace {

LayerArguments argumentsOf(const void* parameters, bool pushforward) {
  const auto& p = *static_cast<const Conv2dParameters*>(parameters);
  const Conv2dShape& c = p.shape;
  return layerOf(p, pushforward, c.batch * c.outHeight * c.outWidth, c.kernel[0] * c.kernel[1] * c.channels, c.filters);
}

template <bool pushforward>
size_t conv2dScratch(const void* parameters, int) {
  return layerScratch(argumentsOf(parameters, pushforward));
}

template <bool pushforward>
void conv2d(const KernelCall& call) {
  Conv2dArguments a{argumentsOf(call.parameters, pushforward),
                    static_cast<const Conv2dParameters*>(call.parameters)->shape};
  setOperands(call, pushforward, a.layer);
  launchLayer(call, {"conv2d_product_kernel", "conv2d_project_kernel"}, a.layer, a);
}

/** A pullback as a product [rows, columns] over `depth`. */
struct Pullback {
  int64_t rows, columns, tiles;
  DepthSplit split;

  Pullback(int64_t rows, int64_t columns, int64_t depth)
      : rows(rows),
        columns(columns),
        tiles(tilesOf(rows, tileRows) * tilesOf(columns, tileColumns)),
        split(splitDepth(tiles, depth)) {}
};

Pullback inputPullback(const Conv2dShape& c) {
  return {c.batch * c.height * c.width, c.channels, c.kernel[0] * c.kernel[1] * c.filters};
}

Pullback filterPullback(const Conv2dShape& c) {
  return {c.kernel[0] * c.kernel[1] * c.channels, c.filters, c.batch * c.outHeight * c.outWidth};
}

template <Pullback pullbackOf(const Conv2dShape&)>
size_t pullbackScratch(const void* parameters, int) {
  const Pullback pullback = pullbackOf(*static_cast<const Conv2dShape*>(parameters));
  return partialBytes(pullback.split, pullback.rows * pullback.columns);
}

void launchPullback(const KernelCall& call, const char* kernel, const Pullback& pullback) {
  if (pullback.tiles == 0) return;
  float* y = operandOf<float>(call, 2);
  launch(call,
         {kernel,
          {static_cast<uint32_t>(pullback.tiles), static_cast<uint32_t>(pullback.split.count), 1},
          productThreads,
          0},
         Conv2dPullbackArguments{
             *static_cast<const Conv2dShape*>(call.parameters), tilesOf(pullback.columns, tileColumns), pullback.split,
             operandOf<const float>(call, 0), operandOf<const float>(call, 1), partialsOf(call, pullback.split, y)});
  sumPartials(call, pullback.split, pullback.rows * pullback.columns, y);
}

void conv2dInputPullback(const KernelCall& call) {
  launchPullback(call, "conv2d_input_pullback_kernel",
                 inputPullback(*static_cast<const Conv2dShape*>(call.parameters)));
}

void conv2dFilterPullback(const KernelCall& call) {
  launchPullback(call, "conv2d_filter_pullback_kernel",
                 filterPullback(*static_cast<const Conv2dShape*>(call.parameters)));
}

PUSHFORWARD_CUDA_KERNEL(conv2d_primal, conv2d<false>, conv2dScratch<false>)
PUSHFORWARD_CUDA_KERNEL(conv2d_pushforward, conv2d<true>, conv2dScratch<true>)
PUSHFORWARD_CUDA_KERNEL(conv2d_input_pullback, conv2dInputPullback, pullbackScratch<inputPullback>)
PUSHFORWARD_CUDA_KERNEL(conv2d_filter_pullback, conv2dFilterPullback, pullbackScratch<filterPullback>)

}  // namespace

}  // namespace pushforward::cuda
