// z = x w + b, y = act(z); ẏ_k = act'(z) ⊙ (ẋ_k w + x ẇ_k + ḃ_k), in float64, as the formula says: the judge of
// dense_kernel.cpp.
#include <vector>

#include "ops/dense.h"
#include "ops/elementwise_reference.h"
#include "ops/tangent_reference.h"

namespace pushforward::reference {

static double apply(const MicroProgram& program, double z, double otherwise) {
  return program.ops + program.immediates > 0 ? evaluateMicroProgram(program, z) : otherwise;
}

/** z [rows, out] += x [rows, in] w [in, out]. */
static void addProduct(const double* x, const double* w, int64_t rows, int64_t in, int64_t out, double* z) {
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < in; ++i)
      for (int64_t j = 0; j < out; ++j) z[row * out + j] += x[row * in + i] * w[i * out + j];
}

static std::vector<double> preActivation(const DenseParameters& p, const double* x, const double* w, const double* b) {
  std::vector<double> z(static_cast<size_t>(p.rows * p.out));
  addProduct(x, w, p.rows, p.in, p.out, z.data());
  if (b != nullptr)
    for (int64_t i = 0; i < p.rows * p.out; ++i) z[static_cast<size_t>(i)] += b[i % p.out];
  return z;
}

static void densePrimal(const KernelCall& call) {
  const DenseParameters& p = *static_cast<const DenseParameters*>(call.parameters);
  const auto at = [&](int i) { return static_cast<double*>(call.operands[i]); };
  const std::vector<double> z = preActivation(p, at(0), at(1), at(2));
  for (size_t i = 0; i < z.size(); ++i) at(3)[i] = apply(p.activation, z[i], z[i]);
}

static void densePushforward(const KernelCall& call) {
  const DenseParameters& p = *static_cast<const DenseParameters*>(call.parameters);
  const auto at = [&](int i) { return static_cast<double*>(call.operands[i]); };
  const double *x = at(0), *w = at(1), *xDot = at(3);
  const std::vector<double> z = preActivation(p, x, w, at(2));
  for (size_t i = 0; i < z.size(); ++i) at(6)[i] = apply(p.activation, z[i], z[i]);
  for (int64_t k = 0; k < p.directions; ++k) {
    std::vector<double> zDot(z.size());
    if (p.xDot.kind != TangentKind::zero) addProduct(xDot + k * p.rows * p.in, w, p.rows, p.in, p.out, zDot.data());
    const std::vector<double> wDot = tangentOf(p.wDot, *call.state, at(4), k, p.in, p.out);
    if (p.wDot.kind != TangentKind::zero) addProduct(x, wDot.data(), p.rows, p.in, p.out, zDot.data());
    const std::vector<double> bDot = tangentOf(p.bDot, *call.state, at(5), k, 1, p.out);
    for (size_t i = 0; i < z.size(); ++i) {
      const double sum = zDot[i] + (bDot.empty() ? 0.0 : bDot[i % static_cast<size_t>(p.out)]);
      at(7)[static_cast<size_t>(k) * z.size() + i] = apply(p.slope, z[i], 1.0) * sum;
    }
  }
}

PUSHFORWARD_REFERENCE_KERNEL(dense_primal, densePrimal)
PUSHFORWARD_REFERENCE_KERNEL(dense_pushforward, densePushforward)

}  // namespace pushforward::reference
