// Arguments of the kernels around a step (step.cu), and the table of a run that they read.
#pragma once
#include "cuda/step_state.h"

namespace pushforward::cuda {

/** A column of a resident set. */
struct BatchColumn {
  const void* data;
  double scale;
  int32_t kind;  // ColumnKind
};
enum ColumnKind : int32_t { columnOfBytes, columnOfFloat32, columnOfInt32 };

/**
 * In device memory, written before the first step of a piece of a run; so the captured graph of a step is the same for every run. Rows of
 * rates, indices and results are those of steps from `firstIndex` on.
 */
struct RunTable {
  int64_t firstIndex;
  uint32_t firstStep;      // the training step of index 0
  int64_t batch;           // examples of a step
  const double* rates;     // nullptr: 0
  const int32_t* indices;  // of examples: [steps, batch]
  const BatchColumn* columns;
  uint32_t* results;  // [steps, words of all outputs]
};

struct BeginStepArguments {
  const RunTable* table;
  StepState* state;
};

/** to[b, i] = column[indices[b], i] · scale, b < batch: `count` elements in all. */
struct BatchArguments {
  const RunTable* table;
  const StepState* state;
  void* to;
  int64_t count;
  int32_t column;
};

/** An output of a step, `words` of 32 bits, into its place in the row of results. */
struct RecordOutputArguments {
  const RunTable* table;
  const StepState* state;
  const uint32_t* from;
  int64_t words, offset, rowWords;
};

constexpr int maxStepGuards = 64;

/** Tests guards; the `last` of a step's calls counts it. */
struct EndStepArguments {
  StepState* state;
  const float* at[maxStepGuards];
  int64_t count[maxStepGuards];
  int32_t guards;
  int32_t last;
};

}  // namespace pushforward::cuda
