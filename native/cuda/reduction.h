// How a block is divided among the outputs of a reduction; host and device.
#pragma once
#include "cuda/launch.h"

namespace pushforward::cuda {

constexpr int reductionThreads = 256;

/**
 * A block makes reductionThreads / lanes outputs. `columns`: neighbouring threads make neighbouring outputs, because those are what lies
 * side by side; else they share an output, whose elements do.
 */
struct ReductionShape {
  int32_t lanes;  // a power of two
  int32_t columns;
};

/** At least 1, at most `most`, both powers of two. */
constexpr int32_t powerOfTwo(int64_t atLeast, int32_t most) {
  int32_t power = 1;
  while (power < atLeast && power < most) power *= 2;
  return power;
}

/** `reduced` elements for each output; where they are not adjacent, `adjacent` outputs are. From the shape alone. */
constexpr ReductionShape reductionShape(int64_t reduced, bool columns, int64_t adjacent) {
  if (!columns) return {powerOfTwo((reduced + 3) / 4, reductionThreads), 0};
  return {powerOfTwo(reduced, reductionThreads / powerOfTwo(adjacent, 32)), 1};
}

constexpr uint32_t reductionBlocks(const ReductionShape& shape, int64_t outputs) {
  return blocksOf(outputs, reductionThreads / shape.lanes);
}

}  // namespace pushforward::cuda
