// cumsum on CUDA: a warp for each line where its elements are adjacent, else a thread.
#include "cuda/elements.h"
#include "ops/cumsum_cuda.h"

namespace pushforward::cuda {

namespace {

void cumsum(const KernelCall& call) {
  const auto& p = *static_cast<const AlongParameters*>(call.parameters);
  const CumsumArguments a{p, operandOf<const float>(call, 0), operandOf<float>(call, 1)};
  if (p.outer * p.inner * p.size == 0) return;
  if (p.inner == 1)
    launch(call, {"cumsum_rows_kernel", {blocksOf(p.outer, cumsumWarps), 1, 1}, cumsumWarps * 32, 0}, a);
  else
    launchElements(call, "cumsum_columns_kernel", p.outer * p.inner, a);
}

PUSHFORWARD_CUDA_KERNEL(cumsum, cumsum, nullptr)

}  // namespace

}  // namespace pushforward::cuda
