// assign under guards: state is small, so one thread copies it.
#include "ops/assign.h"

#include "cpu/vector.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

void assign(const KernelCall& call) {
  const auto& p = *static_cast<const AssignParameters*>(call.parameters);
  for (int i = 0; i < p.guards; ++i) {
    const float* guard = static_cast<const float*>(call.operands[assignGuardOperand + i]);
    for (int64_t j = 0; j < p.guardCount[i]; ++j)
      if (!(guard[j] - guard[j] == 0.0f)) return;
  }
  static_assert(sizeof(float) == sizeof(int32_t), "one copy serves both");
  __builtin_memcpy(call.operands[0], call.operands[1], static_cast<size_t>(p.count) * sizeof(float));
}

PUSHFORWARD_CPU_KERNEL(assign, assign, nullptr)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
