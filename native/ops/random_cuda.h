// Argument of random_kernel.
#pragma once
#include "cuda/step_state.h"
#include "ops/random.h"

namespace pushforward::cuda {

struct RandomArguments {
  RandomParameters p;
  const StepState* state;
  float* y;
};

}  // namespace pushforward::cuda
