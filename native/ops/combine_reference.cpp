// combine in float64: every tangent written out whole, their products element by element, the system by elimination.
#include "ops/combine.h"

#include <cmath>
#include <limits>
#include <vector>

#include "ops/tangent_reference.h"

namespace pushforward::reference {

using Row = std::vector<double>;

/** G_kl = v_k·v_l */
static std::vector<Row> gramOf(const CombineParameters& p, const RunState& state) {
  const size_t count = static_cast<size_t>(p.directions);
  std::vector<Row> gram(count, Row(count));
  for (int64_t t = 0; t < p.tangents; ++t) {
    const DrawnTangent& tangent = tangentsOf(p)[t];
    std::vector<Row> v;
    for (int k = 0; k < p.directions; ++k)
      v.push_back(tangentOf(tangent.law, state, nullptr, k, tangent.rows, tangent.n));
    for (size_t k = 0; k < count; ++k)
      for (size_t l = 0; l < count; ++l)
        for (size_t i = 0; i < v[k].size(); ++i) gram[k][l] += v[k][i] * v[l][i];
  }
  return gram;
}

/** x of a x = c, by elimination of one column after another; NaN where a is singular. */
static Row solve(std::vector<Row> a, Row c) {
  const size_t count = c.size();
  const std::vector<Row> whole = a;
  for (size_t k = 0; k < count; ++k) {
    if (!(a[k][k] > singularPivot * whole[k][k])) return Row(count, std::numeric_limits<double>::quiet_NaN());
    for (size_t i = 0; i < count; ++i) {
      if (i == k) continue;
      const double factor = a[i][k] / a[k][k];
      for (size_t j = k; j < count; ++j) a[i][j] -= factor * a[k][j];
      c[i] -= factor * c[k];
    }
  }
  for (size_t k = 0; k < count; ++k) c[k] /= a[k][k];
  return c;
}

static void combine(const KernelCall& call) {
  const auto& p = *static_cast<const CombineParameters*>(call.parameters);
  const double* c = static_cast<const double*>(call.operands[0]);
  double* out = static_cast<double*>(call.operands[1]);
  const size_t count = static_cast<size_t>(p.directions);
  const std::vector<Row> gram = gramOf(p, *call.state);
  Row combined(c, c + count);
  if (p.project != 0) {
    combined = solve(gram, combined);
    for (double& each : combined) each *= p.directions;
  }
  double squares = 0;
  for (size_t k = 0; k < count; ++k)
    for (size_t l = 0; l < count; ++l) squares += combined[k] * gram[k][l] * combined[l];
  const double norm = std::sqrt(squares) / p.directions;
  const double scale = p.clip > 0 && norm > p.clip ? p.clip / norm : 1;
  for (size_t k = 0; k < count; ++k) out[k] = combined[k] * scale;
}

PUSHFORWARD_REFERENCE_KERNEL(combine, combine)

}  // namespace pushforward::reference
