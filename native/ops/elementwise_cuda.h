// Argument of chain_kernel.
#pragma once
#include "ops/elementwise.h"

namespace pushforward::cuda {

struct ChainArguments {
  ChainParameters p;
  int64_t count;
  const void* inputs[maxMicroInputs];
  void* outputs[maxMicroOutputs];
};

}  // namespace pushforward::cuda
