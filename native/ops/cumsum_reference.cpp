// The oracle of cumsum and argmax: one line of elements after another.
#include "ops/cumsum.h"

#include <cmath>

#include "core/kernel.h"

namespace pushforward {

namespace {

/** f(first element of a line, its number). */
template <class F>
void forEachLine(const AlongParameters& p, const F& f) {
  for (int64_t o = 0; o < p.outer; ++o)
    for (int64_t i = 0; i < p.inner; ++i) f(o * p.size * p.inner + i, o * p.inner + i);
}

void cumsum(const KernelCall& call) {
  const auto& p = *static_cast<const AlongParameters*>(call.parameters);
  const double* x = static_cast<const double*>(call.operands[0]);
  double* y = static_cast<double*>(call.operands[1]);
  forEachLine(p, [&](int64_t first, int64_t) {
    double total = 0;
    for (int64_t k = 0; k < p.size; ++k) {
      int64_t at = first + (p.reverse ? p.size - 1 - k : k) * p.inner;
      total += x[at];
      y[at] = total;
    }
  });
}

void argmax(const KernelCall& call) {
  const auto& p = *static_cast<const AlongParameters*>(call.parameters);
  const double* x = static_cast<const double*>(call.operands[0]);
  int32_t* y = static_cast<int32_t*>(call.operands[1]);
  forEachLine(p, [&](int64_t first, int64_t line) {
    int64_t best = 0;
    for (int64_t k = 0; k < p.size; ++k) {
      double value = x[first + k * p.inner], top = x[first + best * p.inner];
      if (value > top || (std::isnan(value) && !std::isnan(top))) best = k;
    }
    y[line] = static_cast<int32_t>(best);
  });
}

PUSHFORWARD_REFERENCE_KERNEL(cumsum, cumsum)
PUSHFORWARD_REFERENCE_KERNEL(argmax, argmax)

}  // namespace

}  // namespace pushforward
