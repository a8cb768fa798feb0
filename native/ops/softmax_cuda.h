// Arguments of the kernels of softmax, log_softmax, softmax_cross_entropy, pick and unpick.
#pragma once
#include "cuda/reduction.h"
#include "ops/softmax.h"

namespace pushforward::cuda {

struct SoftmaxArguments {
  SoftmaxParameters p;
  ReductionShape shape;
  const float* x;
  float* y;
};

struct CrossEntropyArguments {
  PickParameters p;
  ReductionShape shape;
  const float* x;
  const int32_t* labels;
  float* y;
};

/** From x to y; which of them has classes is the kernel's affair. */
struct PickArguments {
  PickParameters p;
  const float* from;
  const int32_t* labels;
  float* to;
};

}  // namespace pushforward::cuda
