// Argument of assign_kernel.
#pragma once
#include "cuda/guards.h"

namespace pushforward::cuda {

/** to[i] = from[i], i < count: elements of 32 bits. */
struct AssignArguments {
  int64_t count;
  const uint32_t* from;
  uint32_t* to;
  Guards guards;
};

}  // namespace pushforward::cuda
