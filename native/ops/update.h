// Parameter block of the optimizer updates sgd, adam and adamW.
#pragma once
#include "core/kernel.h"
#include "core/tangent.h"
#include "core/weight_layout.h"

namespace pushforward {

/**
 * given: operand `gradient`, shaped as the parameter. directional: g = (1/K) Σ_k c_k v_k, v_k regenerated, plus `gradient` where that is
 * there too. product: g = xᵀ δ with
 * x [inner, rows] and δ [inner, n] (the weight pullback of a dense layer), computed panel by panel, never stored whole.
 */
enum class GradientKind : int32_t { given = 0, directional = 1, product = 2 };

/**
 * The parameter is seen as [rows, n] (rank ≤ 1: one row); its state lies in panels
 * where it lies in panels or planes, a given gradient always row by row. Operands: parameter, first, second, gradient, c, x, delta, guard…
 * (nullptr where absent): first is the momentum or Adam's m, second Adam's v, both shaped as the parameter and updated in place;
 * guards are `guards` scalars-or-vectors of `guardCount[i]` reals each: when one of them is not finite nothing is written.
 *   sgd:   g += weightDecay·p; with momentum: m = momentum·m + g, g = nesterov ? g + momentum·m : m; p −= rate·g
 *   adam:  m = β₁m + (1−β₁)g, v = β₂v + (1−β₂)g², p −= rate·m̂/(√v̂ + ε), m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ), t = step + 1
 *   adamW: p −= rate·weightDecay·p first, then as adam.
 */
struct UpdateParameters {
  int64_t rows, n;
  GradientKind gradient;
  int32_t directions;
  TangentOperand tangent;
  int64_t inner;
  double momentum, weightDecay, beta1, beta2, epsilon;
  int32_t nesterov, ownRate;  // ownRate: `rate` stands for the run's
  double rate;
  WeightLayout layout;
  int32_t guards;
  int64_t guardCount[4];
};

constexpr int updateGuardOperand = 7;

}  // namespace pushforward
