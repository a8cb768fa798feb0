// Arguments of norm_kernel and norm_project_kernel: a row a block.
#pragma once
#include "ops/norm.h"

namespace pushforward::cuda {

constexpr int maxNormThreads = 512;

struct NormArguments {
  NormParameters p;
  const float *x, *scale, *shift;
  float* y;
};

struct NormProjectArguments {
  NormParameters p;
  const float *z, *x;
  float* y;
};

}  // namespace pushforward::cuda
