// Argument of update_kernel and update_product_kernel.
#pragma once
#include "cuda/guards.h"
#include "cuda/tile_product.h"
#include "ops/update.h"

namespace pushforward::cuda {

enum class UpdateRule : int32_t { sgd, adam, adamW };

/** The operands of update.h: nullptr where absent. */
struct UpdateArguments {
  UpdateParameters p;
  UpdateRule rule;
  Guards guards;
  float *parameter, *first, *second;
  const float *gradient, *c, *x, *delta;
};

}  // namespace pushforward::cuda
