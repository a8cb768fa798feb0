// Parameter block of random: tensors drawn by the law of DESIGN section 4 (docs/guide/random.md).
#pragma once
#include "core/kernel.h"
#include "core/tangent.h"

namespace pushforward {

enum class Distribution : int32_t { uniform = 0, gaussian = 1, rademacher = 2 };

/**
 * Operand: the output, seen as [directions, rows, n]; direction k has counter word 2 = stream·2²⁴ + firstDirection + k. Low-rank tangents
 * (rank > 0) are written out whole: V_k = (1/√rank) Σ_q a_q b_qᵀ, streams 5 and 6. `fixedStep` ≥ 0 replaces the run's step (initialisation
 * uses 0). Values are multiplied by `scale` last, in the device's precision. panelColumns > 0: the output, of one direction, is a weight in
 * panels of so many columns.
 */
struct RandomParameters {
  int64_t rows, n;
  int32_t directions, firstDirection;
  Distribution distribution;
  uint32_t parameter, stream;
  int32_t rank;
  int64_t fixedStep;
  double scale;
  int64_t panelColumns;
};

}  // namespace pushforward
