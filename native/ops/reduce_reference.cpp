// The oracle of the reductions: for every output, one loop over the elements reduced, in row-major order.
#include <cmath>

#include "core/kernel.h"
#include "ops/reduce.h"

namespace pushforward {

namespace {

int64_t countOf(int rank, const int64_t* shape) {
  int64_t count = 1;
  for (int axis = 0; axis < rank; ++axis) count *= shape[axis];
  return count;
}

/** Where the element with this row-major index lies. */
int64_t offsetOf(int64_t index, int rank, const int64_t* shape, const int64_t* stride) {
  int64_t offset = 0;
  for (int axis = rank - 1; axis >= 0; --axis) {
    offset += index % shape[axis] * stride[axis];
    index /= shape[axis];
  }
  return offset;
}

/** The elements of x that make one output. */
struct Elements {
  const ReduceParameters& p;
  const double* x;
  int64_t base;
  int64_t count;

  int64_t place(int64_t i) const { return base + offsetOf(i, p.reduceRank, p.reduceShape, p.reduceStride); }
  double operator[](int64_t i) const { return x[place(i)]; }
};

template <class F>
void forEachOutput(const KernelCall& call, const F& reduce) {
  const auto& p = *static_cast<const ReduceParameters*>(call.parameters);
  const double* x = static_cast<const double*>(call.operands[0]);
  double* y = static_cast<double*>(call.operands[1]);
  int64_t outputs = countOf(p.outerRank, p.outerShape), count = countOf(p.reduceRank, p.reduceShape);
  for (int64_t o = 0; o < outputs; ++o)
    reduce(Elements{p, x, offsetOf(o, p.outerRank, p.outerShape, p.outerStride), count}, y, o);
}

double sumOf(const Elements& elements) {
  double total = 0;
  for (int64_t i = 0; i < elements.count; ++i) total += elements[i];
  return total;
}

/** The first maximum, or the first NaN. */
int64_t indexOfMax(const Elements& elements) {
  int64_t best = 0;
  for (int64_t i = 0; i < elements.count; ++i) {
    if (std::isnan(elements[i])) return i;
    if (elements[i] > elements[best]) best = i;
  }
  return best;
}

void sum(const KernelCall& call) {
  forEachOutput(call, [](const Elements& elements, double* y, int64_t o) { y[o] = sumOf(elements); });
}

void mean(const KernelCall& call) {
  forEachOutput(call,
                [](const Elements& elements, double* y, int64_t o) { y[o] = sumOf(elements) / elements.p.divisor; });
}

void max(const KernelCall& call) {
  forEachOutput(call, [](const Elements& elements, double* y, int64_t o) { y[o] = elements[indexOfMax(elements)]; });
}

void maxMask(const KernelCall& call) {
  forEachOutput(call, [](const Elements& elements, double* y, int64_t) {
    int64_t best = indexOfMax(elements);
    for (int64_t i = 0; i < elements.count; ++i) y[elements.place(i)] = i == best ? 1 : 0;
  });
}

void logSumExp(const KernelCall& call) {
  forEachOutput(call, [](const Elements& elements, double* y, int64_t o) {
    double top = elements[indexOfMax(elements)], total = 0;
    y[o] = top;
    if (!std::isfinite(top)) return;  // −inf: all are; +inf and NaN: so is the result
    for (int64_t i = 0; i < elements.count; ++i) total += std::exp(elements[i] - top);
    y[o] = top + std::log(total);
  });
}

PUSHFORWARD_REFERENCE_KERNEL(sum, sum)
PUSHFORWARD_REFERENCE_KERNEL(mean, mean)
PUSHFORWARD_REFERENCE_KERNEL(max, max)
PUSHFORWARD_REFERENCE_KERNEL(max_mask, maxMask)
PUSHFORWARD_REFERENCE_KERNEL(log_sum_exp, logSumExp)

}  // namespace

}  // namespace pushforward
