// Parameter block of keepFactors and mergeFactors.
#pragma once
#include "core/kernel.h"
#include "core/tangent.h"
#include "core/weight_layout.h"

namespace pushforward {

/**
 * Of a weight w [rows, n], rows a multiple of 16, n of 32, and what is kept of its updates: factors a_f [rows] and b_f [n], f < state.kept <
 * capacity. In lines of as many elements as a panel has columns: line i of all a_f, f < capacity, then line i + 1; behind them b_f likewise.
 *   keepFactors: operands kept, c.  a_f = −rate·c·a, b_f = b for f = state.kept, a and b the factors of the running step's direction 0
 *   mergeFactors: operands w, kept.  w += Σ_f a_f b_fᵀ
 * A step whose guards are not finite is not counted: what it kept is written over.
 */
struct KeptParameters {
  int64_t rows, n;
  int32_t capacity;
  TangentOperand tangent;
  WeightLayout layout;  // of w
};

}  // namespace pushforward
