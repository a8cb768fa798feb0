// z = x w + b, y = act(z); ẏ_k = act'(z) ⊙ (ẋ_k w + x ẇ_k + ḃ_k), in float64, as the formula says: the judge of
// dense_kernel.cpp.
#include <vector>

#include "ops/bf16_reference.h"
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

template <bool bf16>
static void densePrimal(const KernelCall& call) {
  const DenseParameters& p = *static_cast<const DenseParameters*>(call.parameters);
  const auto at = [&](int i) { return static_cast<double*>(call.operands[i]); };
  const Operand<bf16> x(at(0), p.rows * p.in), w(at(1), p.in * p.out);
  const std::vector<double> z = preActivation(p, x.data(), w.data(), at(2));
  for (size_t i = 0; i < z.size(); ++i) at(3)[i] = apply(p.activation, z[i], z[i]);
}

template <bool bf16>
static void densePushforward(const KernelCall& call) {
  const DenseParameters& p = *static_cast<const DenseParameters*>(call.parameters);
  const auto at = [&](int i) { return static_cast<double*>(call.operands[i]); };
  const Operand<bf16> x(at(0), p.rows * p.in), w(at(1), p.in * p.out), xDot(at(3), p.directions * p.rows * p.in);
  const std::vector<double> z = preActivation(p, x.data(), w.data(), at(2));
  for (size_t i = 0; i < z.size(); ++i) at(6)[i] = apply(p.activation, z[i], z[i]);
  for (int64_t k = 0; k < p.directions; ++k) {
    std::vector<double> zDot(z.size());
    if (p.xDot.kind != TangentKind::zero)
      addProduct(xDot.data() + k * p.rows * p.in, w.data(), p.rows, p.in, p.out, zDot.data());
    const std::vector<double> wDot = tangentOf(p.wDot, *call.state, at(4), k, p.in, p.out);
    if (p.wDot.kind == TangentKind::lowRank) {
      addProduct(at(0), wDot.data(), p.rows, p.in, p.out, zDot.data());  // projections on the factors are not rounded
    } else if (p.wDot.kind != TangentKind::zero) {
      addProduct(x.data(), Operand<bf16>(wDot.data(), p.in * p.out).data(), p.rows, p.in, p.out, zDot.data());
    }
    const std::vector<double> bDot = tangentOf(p.bDot, *call.state, at(5), k, 1, p.out);
    for (size_t i = 0; i < z.size(); ++i) {
      const double sum = zDot[i] + (bDot.empty() ? 0.0 : bDot[i % static_cast<size_t>(p.out)]);
      at(7)[static_cast<size_t>(k) * z.size() + i] = apply(p.slope, z[i], 1.0) * sum;
    }
  }
}

PUSHFORWARD_REFERENCE_PRODUCT(dense_primal, densePrimal)
PUSHFORWARD_REFERENCE_PRODUCT(dense_pushforward, densePushforward)

}  // namespace pushforward::reference
