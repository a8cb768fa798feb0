// Pools on CUDA: a thread for each element of what is written.
#include "cuda/elements.h"
#include "ops/pool_cuda.h"
#include "ops/shape_cuda.h"

namespace pushforward::cuda {

namespace {

PoolArguments argumentsOf(const KernelCall& call) {
  const auto& p = *static_cast<const PoolParameters*>(call.parameters);
  PoolArguments a{};
  a.p = p;
  a.imageCount = p.batch * p.height * p.width * p.channels;
  a.resultCount = p.batch * p.outHeight * p.outWidth * p.channels;
  return a;
}

void maxPool2d(const KernelCall& call) {
  PoolArguments a = argumentsOf(call);
  a.x = operandOf<const float>(call, 0);
  a.y = operandOf<float>(call, 1);
  launchElements(call, "max_pool2d_kernel", a.resultCount, a);
}

void maxPool2dIndices(const KernelCall& call) {
  PoolArguments a = argumentsOf(call);
  a.x = operandOf<const float>(call, 0);
  a.indicesOut = operandOf<int32_t>(call, 1);
  launchElements(call, "max_pool2d_indices_kernel", a.resultCount, a);
}

void maxPool2dPushforward(const KernelCall& call) {
  PoolArguments a = argumentsOf(call);
  a.x = operandOf<const float>(call, 0);
  a.xDot = operandOf<const float>(call, 1);
  a.y = operandOf<float>(call, 2);
  a.yDot = operandOf<float>(call, 3);
  launchElements(call, "max_pool2d_pushforward_kernel", a.resultCount, a);
}

/** Windows do not overlap: zeros, then one element of each window. */
void maxPool2dPullback(const KernelCall& call) {
  PoolArguments a = argumentsOf(call);
  a.x = operandOf<const float>(call, 0);
  a.yBar = operandOf<const float>(call, 1);
  a.xBar = operandOf<float>(call, 2);
  launchElements(call, "fill_kernel", a.imageCount, FillArguments{a.imageCount, operandOf<uint32_t>(call, 2), 0});
  launchElements(call, "max_pool2d_pullback_kernel", a.resultCount, a);
}

void poolGather(const KernelCall& call) {
  PoolArguments a = argumentsOf(call);
  a.x = operandOf<const float>(call, 0);
  a.indices = operandOf<const int32_t>(call, 1);
  a.y = operandOf<float>(call, 2);
  launchElements(call, "pool_gather_kernel", a.resultCount, a);
}

void poolScatter(const KernelCall& call) {
  PoolArguments a = argumentsOf(call);
  a.yBar = operandOf<const float>(call, 0);
  a.indices = operandOf<const int32_t>(call, 1);
  a.xBar = operandOf<float>(call, 2);
  launchElements(call, "pool_scatter_kernel", a.imageCount, a);
}

void avgPool2d(const KernelCall& call) {
  PoolArguments a = argumentsOf(call);
  a.x = operandOf<const float>(call, 0);
  a.y = operandOf<float>(call, 1);
  launchElements(call, "avg_pool2d_kernel", a.resultCount, a);
}

void avgPool2dPullback(const KernelCall& call) {
  PoolArguments a = argumentsOf(call);
  a.yBar = operandOf<const float>(call, 0);
  a.xBar = operandOf<float>(call, 1);
  launchElements(call, "avg_pool2d_pullback_kernel", a.imageCount, a);
}

PUSHFORWARD_CUDA_KERNEL(max_pool2d, maxPool2d, nullptr)
PUSHFORWARD_CUDA_KERNEL(max_pool2d_indices, maxPool2dIndices, nullptr)
PUSHFORWARD_CUDA_KERNEL(max_pool2d_pushforward, maxPool2dPushforward, nullptr)
PUSHFORWARD_CUDA_KERNEL(max_pool2d_pullback, maxPool2dPullback, nullptr)
PUSHFORWARD_CUDA_KERNEL(pool_gather, poolGather, nullptr)
PUSHFORWARD_CUDA_KERNEL(pool_scatter, poolScatter, nullptr)
PUSHFORWARD_CUDA_KERNEL(avg_pool2d, avgPool2d, nullptr)
PUSHFORWARD_CUDA_KERNEL(avg_pool2d_pullback, avgPool2dPullback, nullptr)

}  // namespace

}  // namespace pushforward::cuda
