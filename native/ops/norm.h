// Parameter block of norm and norm_project: what layerNorm and rmsNorm are made of.
#pragma once
#include "core/kernel.h"

namespace pushforward {

/**
 * x is [rows, n]; of each row μ = mean x (0 unless `centre`), r = 1/√(mean (x − μ)² + epsilon), x̂ = r (x − μ). Operands:
 * norm x, scale [n], shift [n] (nullptr where absent), y = x̂ ⊙ scale + shift; norm_project z [repeats, rows, n], x,
 * y = r (z − mean z − x̂ mean(x̂ ⊙ z)), without mean z unless `centre`.
 */
struct NormParameters {
  int64_t rows, n, repeats;
  double epsilon;
  int32_t centre;
};

}  // namespace pushforward
