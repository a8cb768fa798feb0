// sgd, adam and adamW on CUDA.
#include "ops/update_cuda.h"

namespace pushforward::cuda {

namespace {

template <UpdateRule rule>
void update(const KernelCall& call) {
  const auto& p = *static_cast<const UpdateParameters*>(call.parameters);
  if (p.rows * p.n == 0) return;
  const auto in = [&](int i) { return operandOf<const float>(call, i); };
  const UpdateArguments a{p,
                          rule,
                          guardsOf(call, p, updateGuardOperand),
                          operandOf<float>(call, 0),
                          operandOf<float>(call, 1),
                          operandOf<float>(call, 2),
                          in(3),
                          in(4),
                          in(5),
                          in(6)};
  if (p.gradient == GradientKind::product) {
    const int64_t tiles = tilesOf(p.rows, tileRows) * tilesOf(p.n, tileColumns);
    return launch(call, {"update_product_kernel", {static_cast<uint32_t>(tiles), 1, 1}, productThreads, 0}, a);
  }
  constexpr uint32_t threads = 256;
  launch(call, {"update_kernel", {blocksOf(p.rows * tilesOf(p.n, 4), threads), 1, 1}, threads, 0}, a);
}

PUSHFORWARD_CUDA_KERNEL(sgd, update<UpdateRule::sgd>, nullptr)
PUSHFORWARD_CUDA_KERNEL(adam, update<UpdateRule::adam>, nullptr)
PUSHFORWARD_CUDA_KERNEL(adamW, update<UpdateRule::adamW>, nullptr)

}  // namespace

}  // namespace pushforward::cuda
