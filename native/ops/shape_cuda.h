// Arguments of the kernels of strided_copy and fill: elements of 32 bits.
#pragma once
#include "ops/shape.h"

namespace pushforward::cuda {

struct StridedCopyArguments {
  StridedCopyParameters p;
  int64_t count;
  const uint32_t* in;  // at its first element
  uint32_t* out;
};

struct CopyAxis {
  int64_t size, from, to;
};

/** Rows, along which the input is contiguous, become columns, along which the output is; `outer` are the other axes. */
struct TransposeArguments {
  CopyAxis rows, columns;
  int64_t rowTiles, columnTiles;
  int32_t outerRank;
  CopyAxis outer[maxRank];
  const uint32_t* in;
  uint32_t* out;
};

constexpr int transposeTile = 32;
constexpr int transposeRows = 8;  // of threads

struct FillArguments {
  int64_t count;
  uint32_t* out;
  uint32_t value;
};

}  // namespace pushforward::cuda
