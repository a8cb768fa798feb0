// random in float64, element by element.
#include "core/philox.h"
#include "ops/random.h"

namespace pushforward::reference {

static void random(const KernelCall& call) {
  const RandomParameters& p = *static_cast<const RandomParameters*>(call.parameters);
  double* y = static_cast<double*>(call.operands[0]);
  const int64_t count = p.rows * p.n;
  for (int k = 0; k < p.directions; ++k, y += count) {
    const Draw draw = {{call.state->key[0], call.state->key[1]},
                       p.parameter,
                       p.stream,
                       static_cast<uint32_t>(p.firstDirection + k),
                       p.fixedStep >= 0 ? static_cast<uint32_t>(p.fixedStep) : call.state->step};
    if (p.rank > 0)
      fillLowRank(draw, p.rank, p.rows, p.n, 0, p.rows, y);
    else if (p.distribution == Distribution::uniform)
      fillUniform(draw, p.n, 0, p.rows, y);
    else if (p.distribution == Distribution::gaussian)
      fillGaussian(draw, p.n, 0, p.rows, y);
    else
      fillRademacher(draw, p.n, 0, p.rows, y);
    for (int64_t i = 0; i < count; ++i) y[i] *= p.scale;
  }
}

PUSHFORWARD_REFERENCE_KERNEL(random, random)

}  // namespace pushforward::reference
