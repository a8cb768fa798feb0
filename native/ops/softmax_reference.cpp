// The oracle of softmax, log_softmax, softmax_cross_entropy, pick and unpick: one row after another.
#include <cmath>
#include <limits>

#include "core/kernel.h"
#include "ops/softmax.h"

namespace pushforward {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

double maximumOf(const double* x, int64_t size, int64_t stride) {
  double top = x[0];
  for (int64_t i = 0; i < size; ++i) {
    double value = x[i * stride];
    if (std::isnan(value)) return value;
    if (value > top) top = value;
  }
  return top;
}

double logSumExpOf(const double* x, int64_t size, int64_t stride) {
  double top = maximumOf(x, size, stride), total = 0;
  if (!std::isfinite(top)) return top;
  for (int64_t i = 0; i < size; ++i) total += std::exp(x[i * stride] - top);
  return top + std::log(total);
}

template <class F>
void forEachRow(const KernelCall& call, const F& f) {
  const auto& p = *static_cast<const SoftmaxParameters*>(call.parameters);
  const double* x = static_cast<const double*>(call.operands[0]);
  double* y = static_cast<double*>(call.operands[1]);
  if (p.size == 0) return;
  for (int64_t o = 0; o < p.outer; ++o)
    for (int64_t i = 0; i < p.inner; ++i) {
      int64_t base = o * p.size * p.inner + i;
      f(x + base, y + base, p.size, p.inner);
    }
}

void softmax(const KernelCall& call) {
  forEachRow(call, [](const double* x, double* y, int64_t size, int64_t stride) {
    double top = maximumOf(x, size, stride), total = 0;
    for (int64_t i = 0; i < size; ++i) total += std::exp(x[i * stride] - top);
    for (int64_t i = 0; i < size; ++i) y[i * stride] = std::exp(x[i * stride] - top) / total;
  });
}

void logSoftmax(const KernelCall& call) {
  forEachRow(call, [](const double* x, double* y, int64_t size, int64_t stride) {
    double top = maximumOf(x, size, stride), total = 0;
    for (int64_t i = 0; i < size; ++i) total += std::exp(x[i * stride] - top);
    for (int64_t i = 0; i < size; ++i) y[i * stride] = (x[i * stride] - top) - std::log(total);
  });
}

int32_t labelOf(const KernelCall& call, const PickParameters& p, int64_t row) {
  return static_cast<const int32_t*>(call.operands[1])[row % p.labels];
}

bool valid(const PickParameters& p, int32_t label) { return label >= 0 && label < p.classes; }

void softmaxCrossEntropy(const KernelCall& call) {
  const auto& p = *static_cast<const PickParameters*>(call.parameters);
  const double* x = static_cast<const double*>(call.operands[0]);
  double* y = static_cast<double*>(call.operands[2]);
  for (int64_t row = 0; row < p.rows; ++row) {
    int32_t label = labelOf(call, p, row);
    const double* logits = x + row * p.classes;
    y[row] = valid(p, label) ? logSumExpOf(logits, p.classes, 1) - logits[label] : nan;
  }
}

void pick(const KernelCall& call) {
  const auto& p = *static_cast<const PickParameters*>(call.parameters);
  const double* x = static_cast<const double*>(call.operands[0]);
  double* y = static_cast<double*>(call.operands[2]);
  for (int64_t row = 0; row < p.rows; ++row) {
    int32_t label = labelOf(call, p, row);
    y[row] = valid(p, label) ? x[row * p.classes + label] : nan;
  }
}

void unpick(const KernelCall& call) {
  const auto& p = *static_cast<const PickParameters*>(call.parameters);
  const double* y = static_cast<const double*>(call.operands[0]);
  double* x = static_cast<double*>(call.operands[2]);
  for (int64_t row = 0; row < p.rows; ++row) {
    int32_t label = labelOf(call, p, row);
    for (int64_t c = 0; c < p.classes; ++c) x[row * p.classes + c] = !valid(p, label) ? nan : c == label ? y[row] : 0;
  }
}

PUSHFORWARD_REFERENCE_KERNEL(softmax, softmax)
PUSHFORWARD_REFERENCE_KERNEL(log_softmax, logSoftmax)
PUSHFORWARD_REFERENCE_KERNEL(softmax_cross_entropy, softmaxCrossEntropy)
PUSHFORWARD_REFERENCE_KERNEL(pick, pick)
PUSHFORWARD_REFERENCE_KERNEL(unpick, unpick)

}  // namespace

}  // namespace pushforward
