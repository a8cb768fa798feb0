// Tangents and shuffles written out for JavaScript: what any kernel would have generated, by the scalar law.
#pragma once
#include <string>

#include "core/type.h"

namespace pushforward {

/** kind gaussian, rademacher or lowRank (of a tensor of rank ≤ 1: plain rademacher); `out` holds shape.count() floats. */
void writeTangent(const std::string& kind, int rank, const Shape& shape, uint32_t parameter, const uint32_t key[2],
                  uint32_t step, uint32_t direction, float* out);

/** A permutation of 0 … n − 1, stream 3 of `epoch`. */
void shuffleExamples(int64_t n, const uint32_t key[2], uint32_t epoch, int32_t* out);

}  // namespace pushforward
