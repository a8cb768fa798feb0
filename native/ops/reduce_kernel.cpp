// sum, mean and max.
#include "ops/reduce_max.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

void sum(const KernelCall& call) {
  const Reduction r(*static_cast<const ReduceParameters*>(call.parameters));
  const float* x = static_cast<const float*>(call.operands[0]);
  float* y = static_cast<float*>(call.operands[1]);
  if (r.reduced == 0) {
    for (int64_t o = 0; o < r.outputs; ++o) y[o] = 0;
    return;
  }
  const SumOp last{static_cast<float>(r.p.divisor)};
  if (splitOf(r).pieces)
    reduceSplit(call, r, x, y, static_cast<float*>(call.scratch), SumOp{1}, last);
  else
    reduceAll(call, r, x, y, last);
}

void max(const KernelCall& call) {
  const Reduction r(*static_cast<const ReduceParameters*>(call.parameters));
  const float* x = static_cast<const float*>(call.operands[0]);
  float* y = static_cast<float*>(call.operands[1]);
  if (r.reduced == 0) return;
  if (splitOf(r).pieces)
    reduceSplit(call, r, x, y, static_cast<float*>(call.scratch), MaxOp{}, MaxOp{});
  else
    reduceAll(call, r, x, y, MaxOp{});
}

size_t scratch(const void* parameters, int) {
  const Reduction r(*static_cast<const ReduceParameters*>(parameters));
  return r.reduced == 0 ? 0 : static_cast<size_t>(splitScratch(r)) * sizeof(float);
}

PUSHFORWARD_CPU_KERNEL(sum, sum, scratch)
PUSHFORWARD_CPU_KERNEL(mean, sum, scratch)
PUSHFORWARD_CPU_KERNEL(max, max, scratch)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
