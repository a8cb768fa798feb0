// Arguments of the kernels of dense and conv2d, which is a dense layer over patches: a row is a pixel of the result, its elements are what
// the filter covers there, and a filter is a matrix [kernel·channels, filters].
#pragma once
#include "core/micro_program.h"
#include "core/tangent.h"
#include "cuda/step_state.h"
#include "cuda/tile_product.h"

namespace pushforward::cuda {

/**
 * z = x w + b, y = act(z); ẏ_k = act'(z) ⊙ (ẋ_k w + x ẇ_k + ḃ_k), k < K, as in dense.h. The rows of x and of all ẋ_k are the rows of one
 * stacked operand, row·(1 + k). First its products with w, and x ẇ_k, go to `sums` [pieces, stacked rows, out], or, in one piece, raw to y and
 * ẏ; then the epilogue adds the pieces, bias and low-rank part, and applies activation and slope.
 */
struct LayerArguments {
  int64_t rows, in, out;
  int32_t directions;
  int32_t stackedGroups;  // of `rows` rows each: 1, or 1 + K where tangents have a product
  // Whether a tile may hold rows of several groups: where w is all that they are multiplied by.
  int32_t acrossGroups;
  int64_t rowTiles, columnTiles;
  DepthSplit split;
  TangentOperand xDotKind, wDotKind, bDotKind;
  const StepState* state;
  const float *x, *w, *b, *xDot, *wDot, *bDot;
  float *y, *yDot, *sums;
  float* projections;  // [K, rank, rows]: x a_kq
  MicroProgram activation, slope;
};

/** Of a block that projects rows on a factor: 4 a warp. */
constexpr int projectThreads = 256, rowsPerWarp = 4, projectedRows = projectThreads / 32 * rowsPerWarp;

}  // namespace pushforward::cuda
