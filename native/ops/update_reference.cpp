// sgd, adam, adamW in float64, as update.h writes them: the judge of update_kernel.cpp. The gradient is made whole
// first.
#include <cmath>
#include <vector>

#include "core/philox.h"
#include "ops/bf16_reference.h"
#include "ops/update.h"

namespace pushforward::reference {

/** g += (1/K) Σ_k c_k v_k */
static void directional(const UpdateParameters& p, const RunState& state, const double* c, std::vector<double>& g) {
  std::vector<double> v(g.size());
  for (int k = 0; k < p.directions; ++k) {
    const Draw draw = {
        {state.key[0], state.key[1]}, p.tangent.parameter, p.tangent.stream, static_cast<uint32_t>(k), state.step};
    if (p.tangent.kind == TangentKind::lowRank)
      fillLowRank(draw, p.tangent.rank, p.rows, p.n, 0, p.rows, v.data());
    else if (p.tangent.kind == TangentKind::gaussian)
      fillGaussian(draw, p.n, 0, p.rows, v.data());
    else
      fillRademacher(draw, p.n, 0, p.rows, v.data());
    for (size_t i = 0; i < g.size(); ++i) g[i] += c[k] * v[i] / p.directions;
  }
}

/** g = xᵀ δ */
static void product(const UpdateParameters& p, const double* x, const double* delta, std::vector<double>& g) {
  for (int64_t t = 0; t < p.inner; ++t)
    for (int64_t i = 0; i < p.rows; ++i)
      for (int64_t j = 0; j < p.n; ++j) g[static_cast<size_t>(i * p.n + j)] += x[t * p.rows + i] * delta[t * p.n + j];
}

template <bool bf16>
static std::vector<double> gradientOf(const KernelCall& call) {
  const UpdateParameters& p = *static_cast<const UpdateParameters*>(call.parameters);
  const auto at = [&](int i) { return static_cast<const double*>(call.operands[i]); };
  std::vector<double> g(static_cast<size_t>(p.rows * p.n));
  switch (p.gradient) {
    case GradientKind::given:
      g.assign(at(3), at(3) + g.size());
      break;
    case GradientKind::directional:
      if (at(3) != nullptr) g.assign(at(3), at(3) + g.size());
      directional(p, *call.state, at(4), g);
      break;
    case GradientKind::product:
      product(p, Operand<bf16>(at(5), p.inner * p.rows).data(), Operand<bf16>(at(6), p.inner * p.n).data(), g);
      break;
  }
  return g;
}

static bool allFinite(const KernelCall& call) {
  const UpdateParameters& p = *static_cast<const UpdateParameters*>(call.parameters);
  for (int i = 0; i < p.guards; ++i)
    for (int64_t j = 0; j < p.guardCount[i]; ++j)
      if (!std::isfinite(static_cast<const double*>(call.operands[updateGuardOperand + i])[j])) return false;
  return true;
}

template <bool bf16>
static void sgd(const KernelCall& call) {
  const UpdateParameters& p = *static_cast<const UpdateParameters*>(call.parameters);
  double *parameter = static_cast<double*>(call.operands[0]), *momentum = static_cast<double*>(call.operands[1]);
  if (!allFinite(call)) return;
  const std::vector<double> gradient = gradientOf<bf16>(call);
  const double rate = p.ownRate != 0 ? p.rate : call.state->rate;
  for (size_t i = 0; i < gradient.size(); ++i) {
    double g = gradient[i] + p.weightDecay * parameter[i];
    if (momentum != nullptr) {
      momentum[i] = p.momentum * momentum[i] + g;
      g = p.nesterov != 0 ? g + p.momentum * momentum[i] : momentum[i];
    }
    parameter[i] -= rate * g;
  }
}

template <bool bf16>
static void adamWith(const KernelCall& call, double weightDecay) {
  const UpdateParameters& p = *static_cast<const UpdateParameters*>(call.parameters);
  double *parameter = static_cast<double*>(call.operands[0]), *first = static_cast<double*>(call.operands[1]),
         *second = static_cast<double*>(call.operands[2]);
  if (!allFinite(call)) return;
  const std::vector<double> gradient = gradientOf<bf16>(call);
  const double t = call.state->step + 1.0, rate = call.state->rate;
  for (size_t i = 0; i < gradient.size(); ++i) {
    const double g = gradient[i];
    parameter[i] -= rate * weightDecay * parameter[i];
    first[i] = p.beta1 * first[i] + (1 - p.beta1) * g;
    second[i] = p.beta2 * second[i] + (1 - p.beta2) * g * g;
    const double m = first[i] / (1 - std::pow(p.beta1, t)), v = second[i] / (1 - std::pow(p.beta2, t));
    parameter[i] -= rate * m / (std::sqrt(v) + p.epsilon);
  }
}

template <bool bf16>
static void adam(const KernelCall& call) {
  adamWith<bf16>(call, 0.0);
}

template <bool bf16>
static void adamW(const KernelCall& call) {
  adamWith<bf16>(call, static_cast<const UpdateParameters*>(call.parameters)->weightDecay);
}

PUSHFORWARD_REFERENCE_PRODUCT(sgd, sgd)
PUSHFORWARD_REFERENCE_PRODUCT(adam, adam)
PUSHFORWARD_REFERENCE_PRODUCT(adamW, adamW)

}  // namespace pushforward::reference
