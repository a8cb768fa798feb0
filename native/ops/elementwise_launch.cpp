// chain on CUDA: a thread for each element.
#include "cuda/elements.h"
#include "cuda/micro.cuh"
#include "ops/elementwise_cuda.h"

namespace pushforward::cuda {

namespace {

void chain(const KernelCall& call) {
  const auto& p = *static_cast<const ChainParameters*>(call.parameters);
  ChainArguments a{p, product(p.shape, p.rank), {}, {}};
  if (a.count == 0) return;
  for (int i = 0; i < p.program.inputs; ++i) a.inputs[i] = call.operands[i];
  for (int o = 0; o < p.program.outputs; ++o) a.outputs[o] = call.operands[p.program.inputs + o];
  const uint32_t registers = static_cast<uint32_t>(microSlots(p.program) * sizeof(float));
  launch(call, {"chain_kernel", {blocksOf(a.count, elementThreads), 1, 1}, elementThreads, elementThreads * registers},
         a);
}

PUSHFORWARD_CUDA_KERNEL(chain, chain, nullptr)

}  // namespace

}  // namespace pushforward::cuda
