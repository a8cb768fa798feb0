// The oracle of norm and norm_project: one row after another, two passes for mean and variance.
#include "ops/norm.h"

#include <cmath>

#include "core/kernel.h"

namespace pushforward {

namespace {

struct Row {
  double mean, scale;  // x̂ = (x − mean) scale
};

double meanOf(const double* x, int64_t n) {
  double total = 0;
  for (int64_t i = 0; i < n; ++i) total += x[i];
  return total / static_cast<double>(n);
}

Row rowOf(const NormParameters& p, const double* x) {
  double mean = p.centre ? meanOf(x, p.n) : 0, squares = 0;
  for (int64_t i = 0; i < p.n; ++i) squares += (x[i] - mean) * (x[i] - mean);
  return {mean, 1 / std::sqrt(squares / static_cast<double>(p.n) + p.epsilon)};
}

void norm(const KernelCall& call) {
  const auto& p = *static_cast<const NormParameters*>(call.parameters);
  const double* x = static_cast<const double*>(call.operands[0]);
  const double* scale = static_cast<const double*>(call.operands[1]);
  const double* shift = static_cast<const double*>(call.operands[2]);
  double* y = static_cast<double*>(call.operands[3]);
  for (int64_t at = 0; at < p.rows * p.n; at += p.n) {
    Row row = rowOf(p, x + at);
    for (int64_t i = 0; i < p.n; ++i) {
      double value = (x[at + i] - row.mean) * row.scale;
      if (scale) value *= scale[i];
      if (shift) value += shift[i];
      y[at + i] = value;
    }
  }
}

void normProject(const KernelCall& call) {
  const auto& p = *static_cast<const NormParameters*>(call.parameters);
  const double* z = static_cast<const double*>(call.operands[0]);
  const double* x = static_cast<const double*>(call.operands[1]);
  double* y = static_cast<double*>(call.operands[2]);
  for (int64_t at = 0; at < p.repeats * p.rows * p.n; at += p.n) {
    const double* own = x + at % (p.rows * p.n);
    Row row = rowOf(p, own);
    double mean = p.centre ? meanOf(z + at, p.n) : 0, along = 0;
    for (int64_t i = 0; i < p.n; ++i) along += (own[i] - row.mean) * row.scale * z[at + i];
    along /= static_cast<double>(p.n);
    for (int64_t i = 0; i < p.n; ++i)
      y[at + i] = row.scale * (z[at + i] - mean - (own[i] - row.mean) * row.scale * along);
  }
}

PUSHFORWARD_REFERENCE_KERNEL(norm, norm)
PUSHFORWARD_REFERENCE_KERNEL(norm_project, normProject)

}  // namespace

}  // namespace pushforward
