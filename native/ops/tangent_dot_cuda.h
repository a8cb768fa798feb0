// Argument of tangent_dot_kernel and tangent_dot_sum_kernel.
#pragma once
#include "cuda/step_state.h"
#include "ops/tangent_dot.h"

namespace pushforward::cuda {

constexpr int tangentDotThreads = 256;

/** Operands s, v and y of tangent_dot.h; `sums` [directions, strips]. */
struct TangentDotArguments {
  TangentDotParameters p;
  const StepState* state;
  const float *s, *v;
  float* y;
  double* sums;
  int32_t strips;
};

}  // namespace pushforward::cuda
