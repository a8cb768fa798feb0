// Arguments of combine's kernels, and how the Gram matrix is divided among blocks; host and device.
#pragma once
#include "cuda/step_state.h"
#include "ops/combine.h"

namespace pushforward::cuda {

constexpr int gramThreads = 256, gramSide = 16, solveThreads = 1024, mostDirections = 1024;

/** Words of one side of a tile: of `side` directions, tileWords / side each. */
constexpr int tileWords = 2048;

/** Adds G of one parameter's tangents to `grams` [strips, K, K], upper triangle; of the factors to the first alone. */
struct GramArguments {
  DrawnTangent tangent;
  const StepState* state;
  double* grams;
  int32_t directions;
  int32_t side;    // directions of a tile: a power of two, at most gramSide
  int64_t chunks;  // pieces of tileWords / side words, which strips take in turn
};

struct ClearArguments {
  int64_t count;
  double* grams;
};

struct SolveArguments {
  int32_t directions, project, strips;
  double clip;
  double* grams;
  const float* given;
  float* combined;
};

}  // namespace pushforward::cuda
