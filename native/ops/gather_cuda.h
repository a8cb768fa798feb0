// Arguments of the kernels of gather, scatter_add and one_hot.
#pragma once
#include "ops/gather.h"

namespace pushforward::cuda {

/** Elements of 32 bits; `outside` is what an index outside the table gives. */
struct GatherArguments {
  GatherParameters p;
  const uint32_t* table;
  const int32_t* indices;
  uint32_t* rows;
  uint32_t outside;
};

struct ScatterAddArguments {
  GatherParameters p;
  const float* rows;
  const int32_t* indices;
  float* table;
};

struct OneHotArguments {
  OneHotParameters p;
  const int32_t* indices;
  float* y;
};

constexpr int scatterWarps = 8;  // of a block

}  // namespace pushforward::cuda
