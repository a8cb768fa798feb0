// softmax, log_softmax, softmax_cross_entropy, pick and unpick on CUDA.
#include "cuda/elements.h"
#include "ops/softmax_cuda.h"

namespace pushforward::cuda {

namespace {

void alongRows(const KernelCall& call, const char* kernel) {
  const auto& p = *static_cast<const SoftmaxParameters*>(call.parameters);
  const int64_t lines = p.outer * p.inner;
  if (lines == 0 || p.size == 0) return;
  const SoftmaxArguments a{p, reductionShape(p.size, p.inner > 1, p.inner), operandOf<const float>(call, 0),
                           operandOf<float>(call, 1)};
  launch(call, {kernel, {reductionBlocks(a.shape, lines), 1, 1}, reductionThreads, 0}, a);
}

void softmax(const KernelCall& call) { alongRows(call, "softmax_kernel"); }
void logSoftmax(const KernelCall& call) { alongRows(call, "log_softmax_kernel"); }

void softmaxCrossEntropy(const KernelCall& call) {
  const auto& p = *static_cast<const PickParameters*>(call.parameters);
  if (p.rows == 0) return;
  const CrossEntropyArguments a{p, reductionShape(p.classes, false, 1), operandOf<const float>(call, 0),
                                operandOf<const int32_t>(call, 1), operandOf<float>(call, 2)};
  launch(call, {"softmax_cross_entropy_kernel", {reductionBlocks(a.shape, p.rows), 1, 1}, reductionThreads, 0}, a);
}

PickArguments pickArguments(const KernelCall& call, const PickParameters& p) {
  return {p, operandOf<const float>(call, 0), operandOf<const int32_t>(call, 1), operandOf<float>(call, 2)};
}

void pick(const KernelCall& call) {
  const auto& p = *static_cast<const PickParameters*>(call.parameters);
  launchElements(call, "pick_kernel", p.rows, pickArguments(call, p));
}

void unpick(const KernelCall& call) {
  const auto& p = *static_cast<const PickParameters*>(call.parameters);
  launchElements(call, "unpick_kernel", p.rows * p.classes, pickArguments(call, p));
}

PUSHFORWARD_CUDA_KERNEL(softmax, softmax, nullptr)
PUSHFORWARD_CUDA_KERNEL(log_softmax, logSoftmax, nullptr)
PUSHFORWARD_CUDA_KERNEL(softmax_cross_entropy, softmaxCrossEntropy, nullptr)
PUSHFORWARD_CUDA_KERNEL(pick, pick, nullptr)
PUSHFORWARD_CUDA_KERNEL(unpick, unpick, nullptr)

}  // namespace

}  // namespace pushforward::cuda
