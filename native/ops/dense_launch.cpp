// dense_primal and dense_pushforward on CUDA.
#include "ops/dense.h"
#include "ops/layer_launch.h"

namespace pushforward::cuda {

namespace {

LayerArguments argumentsOf(const void* parameters, bool pushforward) {
  const auto& p = *static_cast<const DenseParameters*>(parameters);
  return layerOf(p, pushforward, p.rows, p.in, p.out);
}

template <bool pushforward>
size_t denseScratch(const void* parameters, int) {
  return layerScratch(argumentsOf(parameters, pushforward));
}

template <bool pushforward>
void dense(const KernelCall& call) {
  LayerArguments a = argumentsOf(call.parameters, pushforward);
  setOperands(call, pushforward, a);
  launchLayer(call, {"dense_product_kernel", "dense_project_kernel"}, a, a);
}

PUSHFORWARD_CUDA_KERNEL(dense_primal, dense<false>, denseScratch<false>)
PUSHFORWARD_CUDA_KERNEL(dense_pushforward, dense<true>, denseScratch<true>)

}  // namespace

}  // namespace pushforward::cuda
