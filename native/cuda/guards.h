// Guards of a kernel that writes the store: where one is not finite, or a step before was stopped, it writes nothing.
#pragma once
#include "cuda/launch.h"

namespace pushforward::cuda {

constexpr int maxGuards = 4;

struct Guards {
  const StepState* state;
  const float* at[maxGuards];
  int64_t count[maxGuards];
  int32_t guards;
};

/** Those of a parameter block `p`, which are the operands from `first` on. */
template <class P>
Guards guardsOf(const KernelCall& call, const P& p, int first) {
  static_assert(sizeof(p.guardCount) <= sizeof(Guards::count), "room for every guard");
  Guards guards{stateOf(call), {}, {}, p.guards};
  for (int i = 0; i < p.guards; ++i) {
    guards.at[i] = operandOf<const float>(call, first + i);
    guards.count[i] = p.guardCount[i];
  }
  return guards;
}

#if defined(__CUDACC__)
__device__ __forceinline__ bool allFinite(const Guards& guards) {
  if (guards.state->stopped) return false;
  for (int i = 0; i < guards.guards; ++i)
    for (int64_t j = 0; j < guards.count[i]; ++j)
      if (!isfinite(guards.at[i][j])) return false;
  return true;
}
#endif

}  // namespace pushforward::cuda
