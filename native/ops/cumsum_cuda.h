// Argument of the kernels of cumsum; argmax is a reduction (ops/reduce_launch.cpp).
#pragma once
#include "ops/cumsum.h"

namespace pushforward::cuda {

struct CumsumArguments {
  AlongParameters p;
  const float* x;
  float* y;
};

constexpr int cumsumWarps = 8;  // of a block of cumsum_rows_kernel

}  // namespace pushforward::cuda
