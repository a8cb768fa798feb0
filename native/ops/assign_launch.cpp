// assign under guards on CUDA.
#include "ops/assign.h"
#include "ops/assign_cuda.h"

namespace pushforward::cuda {

namespace {

void assign(const KernelCall& call) {
  const auto& p = *static_cast<const AssignParameters*>(call.parameters);
  constexpr uint32_t threads = 256;
  const AssignArguments arguments{p.count, operandOf<const uint32_t>(call, 1), operandOf<uint32_t>(call, 0),
                                  guardsOf(call, p, assignGuardOperand)};
  launch(call, {"assign_kernel", {blocksOf(p.count, threads), 1, 1}, threads, 0}, arguments);
}

PUSHFORWARD_CUDA_KERNEL(assign, assign, nullptr)

}  // namespace

}  // namespace pushforward::cuda
