// random on CUDA.
#include "cuda/launch.h"
#include "ops/random_cuda.h"

namespace pushforward::cuda {

namespace {

void random(const KernelCall& call) {
  const auto& p = *static_cast<const RandomParameters*>(call.parameters);
  constexpr uint32_t threads = 256;
  const int64_t quads = p.directions * p.rows * ((p.n + 3) / 4);
  if (quads <= 0) return;
  launch(call, {"random_kernel", {blocksOf(quads, threads), 1, 1}, threads, 0},
         RandomArguments{p, stateOf(call), operandOf<float>(call, 0)});
}

PUSHFORWARD_CUDA_KERNEL(random, random, nullptr)

}  // namespace

}  // namespace pushforward::cuda
