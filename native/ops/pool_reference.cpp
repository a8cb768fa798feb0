// Pools in float64, as pool.h writes them: the judge of pool_kernel.cpp.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/kernel.h"
#include "ops/pool.h"

namespace pushforward {

namespace {

/** f(element of y, element of x, pixel of x) for every element of every window; `begin(element of y)` before its first. */
template <class Begin, class F>
void forEachElement(const PoolParameters& p, const Begin& begin, const F& f) {
  for (int64_t n = 0; n < p.batch; ++n)
    for (int64_t oy = 0; oy < p.outHeight; ++oy)
      for (int64_t ox = 0; ox < p.outWidth; ++ox)
        for (int64_t c = 0; c < p.channels; ++c) {
          const int64_t out = ((n * p.outHeight + oy) * p.outWidth + ox) * p.channels + c;
          begin(out);
          const int64_t y = oy * p.stride[0] - p.padding[0], x = ox * p.stride[1] - p.padding[1];
          for (int64_t iy = std::max<int64_t>(y, 0); iy < std::min(y + p.window[0], p.height); ++iy)
            for (int64_t ix = std::max<int64_t>(x, 0); ix < std::min(x + p.window[1], p.width); ++ix)
              f(out, ((n * p.height + iy) * p.width + ix) * p.channels + c, iy * p.width + ix);
        }
}

const PoolParameters& parametersOf(const KernelCall& call) {
  return *static_cast<const PoolParameters*>(call.parameters);
}
const double* input(const KernelCall& call, int i) { return static_cast<const double*>(call.operands[i]); }
double* output(const KernelCall& call, int i) { return static_cast<double*>(call.operands[i]); }

/** Where an index of example n mod indexBatch stands for an element of y. */
int32_t indexAt(const KernelCall& call, int64_t out) {
  const PoolParameters& p = parametersOf(call);
  const int64_t all = p.indexBatch * p.outHeight * p.outWidth * p.channels;
  return static_cast<const int32_t*>(call.operands[1])[out % all];
}

void zero(double* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] = 0;
}
int64_t imageCount(const PoolParameters& p) { return p.batch * p.height * p.width * p.channels; }

void maxPool2d(const KernelCall& call) {
  const double* x = input(call, 0);
  double* y = output(call, 1);
  forEachElement(
      parametersOf(call), [&](int64_t out) { y[out] = -std::numeric_limits<double>::infinity(); },
      [&](int64_t out, int64_t in, int64_t) {
        if (x[in] > y[out] || std::isnan(x[in])) y[out] = x[in];  // nothing is greater than NaN
      });
}

void maxPool2dIndices(const KernelCall& call) {
  const double* x = input(call, 0);
  int32_t* indices = static_cast<int32_t*>(call.operands[1]);
  double best = 0;
  bool any = false;
  forEachElement(
      parametersOf(call), [&](int64_t) { any = false; },
      [&](int64_t out, int64_t in, int64_t pixel) {
        if (any && !(x[in] > best) && !(std::isnan(x[in]) && !std::isnan(best))) return;
        any = true;
        best = x[in];
        indices[out] = static_cast<int32_t>(pixel);
      });
}

void maxPool2dPushforward(const KernelCall& call) {
  const PoolParameters& p = parametersOf(call);
  const double *x = input(call, 0), *xDot = input(call, 1);
  double *y = output(call, 2), *yDot = output(call, 3);
  const int64_t results = p.batch * p.outHeight * p.outWidth * p.channels;
  bool any = false;
  forEachElement(
      p, [&](int64_t) { any = false; },
      [&](int64_t out, int64_t in, int64_t) {
        if (any && !(x[in] > y[out]) && !(std::isnan(x[in]) && !std::isnan(y[out]))) return;
        any = true;
        y[out] = x[in];
        for (int64_t k = 0; k < p.directions; ++k) yDot[k * results + out] = xDot[k * imageCount(p) + in];
      });
}

void maxPool2dPullback(const KernelCall& call) {
  const double *x = input(call, 0), *yBar = input(call, 1);
  double* xBar = output(call, 2);
  zero(xBar, imageCount(parametersOf(call)));
  int64_t best = -1;  // where this window's ȳ lies
  forEachElement(
      parametersOf(call), [&](int64_t) { best = -1; },
      [&](int64_t out, int64_t in, int64_t) {
        if (best >= 0) {
          if (!(x[in] > x[best]) && !(std::isnan(x[in]) && !std::isnan(x[best]))) return;
          xBar[best] = 0;
        }
        best = in;
        xBar[best] = yBar[out];
      });
}

void poolGather(const KernelCall& call) {
  const double* x = input(call, 0);
  double* y = output(call, 2);
  forEachElement(
      parametersOf(call), [&](int64_t out) { y[out] = std::numeric_limits<double>::quiet_NaN(); },
      [&](int64_t out, int64_t in, int64_t pixel) {
        if (indexAt(call, out) == pixel) y[out] = x[in];
      });
}

void poolScatter(const KernelCall& call) {
  const double* y = input(call, 0);
  double* x = output(call, 2);
  zero(x, imageCount(parametersOf(call)));
  forEachElement(
      parametersOf(call), [](int64_t) {},
      [&](int64_t out, int64_t in, int64_t pixel) {
        if (indexAt(call, out) == pixel) x[in] += y[out];
      });
}

void avgPool2d(const KernelCall& call) {
  const PoolParameters& p = parametersOf(call);
  const double* x = input(call, 0);
  double* y = output(call, 1);
  forEachElement(p, [&](int64_t out) { y[out] = 0; }, [&](int64_t out, int64_t in, int64_t) { y[out] += x[in]; });
  const double size = static_cast<double>(p.window[0] * p.window[1]);
  for (int64_t i = 0; i < p.batch * p.outHeight * p.outWidth * p.channels; ++i) y[i] /= size;
}

void avgPool2dPullback(const KernelCall& call) {
  const PoolParameters& p = parametersOf(call);
  const double* y = input(call, 0);
  double* x = output(call, 1);
  const double size = static_cast<double>(p.window[0] * p.window[1]);
  zero(x, imageCount(p));
  forEachElement(p, [](int64_t) {}, [&](int64_t out, int64_t in, int64_t) { x[in] += y[out] / size; });
}

PUSHFORWARD_REFERENCE_KERNEL(max_pool2d, maxPool2d)
PUSHFORWARD_REFERENCE_KERNEL(max_pool2d_indices, maxPool2dIndices)
PUSHFORWARD_REFERENCE_KERNEL(max_pool2d_pushforward, maxPool2dPushforward)
PUSHFORWARD_REFERENCE_KERNEL(max_pool2d_pullback, maxPool2dPullback)
PUSHFORWARD_REFERENCE_KERNEL(pool_gather, poolGather)
PUSHFORWARD_REFERENCE_KERNEL(pool_scatter, poolScatter)
PUSHFORWARD_REFERENCE_KERNEL(avg_pool2d, avgPool2d)
PUSHFORWARD_REFERENCE_KERNEL(avg_pool2d_pullback, avgPool2dPullback)

}  // namespace

}  // namespace pushforward
