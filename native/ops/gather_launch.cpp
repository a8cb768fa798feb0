// gather, scatter_add and one_hot on CUDA.
#include <cstring>
#include <limits>

#include "cuda/elements.h"
#include "ops/gather_cuda.h"

namespace pushforward::cuda {

namespace {

uint32_t outsideOf(bool integer) {
  const int32_t lowest = std::numeric_limits<int32_t>::min();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  uint32_t bits;
  std::memcpy(&bits, integer ? static_cast<const void*>(&lowest) : &nan, sizeof bits);
  return bits;
}

void gather(const KernelCall& call) {
  const auto& p = *static_cast<const GatherParameters*>(call.parameters);
  launchElements(call, "gather_kernel", p.outer * p.count * p.inner,
                 GatherArguments{p, operandOf<const uint32_t>(call, 0), operandOf<const int32_t>(call, 1),
                                 operandOf<uint32_t>(call, 2), outsideOf(p.integer)});
}

void scatterAdd(const KernelCall& call) {
  const auto& p = *static_cast<const GatherParameters*>(call.parameters);
  const int64_t warps = p.size * ((p.outer * p.inner + 31) / 32);
  if (warps == 0) return;
  launch(call, {"scatter_add_kernel", {blocksOf(warps, scatterWarps), 1, 1}, scatterWarps * 32, 0},
         ScatterAddArguments{p, operandOf<const float>(call, 0), operandOf<const int32_t>(call, 1),
                             operandOf<float>(call, 2)});
}

void oneHot(const KernelCall& call) {
  const auto& p = *static_cast<const OneHotParameters*>(call.parameters);
  launchElements(call, "one_hot_kernel", p.count * p.classes,
                 OneHotArguments{p, operandOf<const int32_t>(call, 0), operandOf<float>(call, 1)});
}

PUSHFORWARD_CUDA_KERNEL(gather, gather, nullptr)
PUSHFORWARD_CUDA_KERNEL(scatter_add, scatterAdd, nullptr)
PUSHFORWARD_CUDA_KERNEL(one_hot, oneHot, nullptr)

}  // namespace

}  // namespace pushforward::cuda
