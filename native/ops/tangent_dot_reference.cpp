// tangentDot in float64, every tangent written out whole.
#include "ops/tangent_dot.h"

#include "ops/tangent_reference.h"

namespace pushforward::reference {

static void tangentDot(const KernelCall& call) {
  const auto& p = *static_cast<const TangentDotParameters*>(call.parameters);
  const double *s = static_cast<const double*>(call.operands[0]), *v = static_cast<const double*>(call.operands[1]);
  double* y = static_cast<double*>(call.operands[2]);
  for (int k = 0; k < p.directions; ++k) {
    const std::vector<double> tangent = tangentOf(p.law, *call.state, v, k, p.rows, p.n);
    y[k] = 0;
    for (size_t i = 0; i < tangent.size(); ++i) y[k] += s[i] * tangent[i];
  }
}

PUSHFORWARD_REFERENCE_KERNEL(tangentDot, tangentDot)

}  // namespace pushforward::reference
