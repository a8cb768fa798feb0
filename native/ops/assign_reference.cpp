// The oracle of assign under guards.
#include <cmath>
#include <cstring>

#include "ops/assign.h"

namespace pushforward {

namespace {

void assign(const KernelCall& call) {
  const auto& p = *static_cast<const AssignParameters*>(call.parameters);
  for (int i = 0; i < p.guards; ++i) {
    const double* guard = static_cast<const double*>(call.operands[assignGuardOperand + i]);
    for (int64_t j = 0; j < p.guardCount[i]; ++j)
      if (!std::isfinite(guard[j])) return;
  }
  std::memcpy(call.operands[0], call.operands[1],
              static_cast<size_t>(p.count) * (p.integer ? sizeof(int32_t) : sizeof(double)));
}

PUSHFORWARD_REFERENCE_KERNEL(assign, assign)

}  // namespace

}  // namespace pushforward
