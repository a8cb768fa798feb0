// Parameter blocks of strided_copy and fill, by which transpose, broadcast, concat, slice and pad move all data.
#pragma once
#include "core/kernel.h"

namespace pushforward {

/**
 * out[outputOffset + Σ i·outputStride] = in[inputOffset + Σ i·inputStride] for every index i < shape. Operands in,
 * out; strides and offsets in elements, input strides 0 where broadcast. Axes are collapsed as far as the strides
 * allow (innermost last) and rank is at least 1; a size of 0 means nothing to do. `integer`: elements are int32,
 * else the device's real.
 */
struct StridedCopyParameters {
  int32_t rank;
  int32_t integer;
  int64_t shape[maxRank];
  int64_t inputStride[maxRank], outputStride[maxRank];
  int64_t inputOffset, outputOffset;
};

/** out[i] = value for i < count. Operand out. */
struct FillParameters {
  int64_t count;
  double value;
  int32_t integer;
};

/** to_planes, from_planes: a weight [rows, n] between rows and planes (core/weight_layout.h) of panels of `columns`. */
struct PlanesParameters {
  int64_t rows, n, columns;
};

}  // namespace pushforward
