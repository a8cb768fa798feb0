// Convolutions in float64, as conv2d.h writes them: the judge of conv2d_kernel.cpp and conv2d_pullback_kernel.cpp.
#include <vector>

#include "ops/bf16_reference.h"
#include "ops/conv2d.h"
#include "ops/elementwise_reference.h"
#include "ops/tangent_reference.h"

namespace pushforward::reference {

static double apply(const MicroProgram& program, double z, double otherwise) {
  return program.ops + program.immediates > 0 ? evaluateMicroProgram(program, z) : otherwise;
}

/** f(pixel of y, pixel of x, tap) for all that meet inside of x; a pixel counts all channels, a tap all [channels, filters]. */
template <class F>
static void forEachMeeting(const Conv2dShape& c, const F& f) {
  for (int64_t n = 0; n < c.batch; ++n)
    for (int64_t oy = 0; oy < c.outHeight; ++oy)
      for (int64_t ox = 0; ox < c.outWidth; ++ox)
        for (int64_t ky = 0; ky < c.kernel[0]; ++ky)
          for (int64_t kx = 0; kx < c.kernel[1]; ++kx) {
            const int64_t iy = oy * c.stride[0] + ky * c.dilation[0] - c.padding[0];
            const int64_t ix = ox * c.stride[1] + kx * c.dilation[1] - c.padding[1];
            if (iy < 0 || iy >= c.height || ix < 0 || ix >= c.width) continue;
            f((n * c.outHeight + oy) * c.outWidth + ox, (n * c.height + iy) * c.width + ix, ky * c.kernel[1] + kx);
          }
}

static int64_t pixelsOf(const Conv2dShape& c) { return c.batch * c.height * c.width * c.channels; }
static int64_t filterOf(const Conv2dShape& c) { return c.kernel[0] * c.kernel[1] * c.channels * c.filters; }
static int64_t outputOf(const Conv2dShape& c) { return c.batch * c.outHeight * c.outWidth * c.filters; }

/** z += x * w */
static void addConvolution(const Conv2dShape& c, const double* x, const double* w, double* z) {
  forEachMeeting(c, [&](int64_t out, int64_t in, int64_t tap) {
    for (int64_t i = 0; i < c.channels; ++i)
      for (int64_t j = 0; j < c.filters; ++j)
        z[out * c.filters + j] += x[in * c.channels + i] * w[(tap * c.channels + i) * c.filters + j];
  });
}

static std::vector<double> preActivation(const Conv2dShape& c, const double* x, const double* w, const double* b) {
  std::vector<double> z(static_cast<size_t>(c.batch * c.outHeight * c.outWidth * c.filters));
  addConvolution(c, x, w, z.data());
  if (b != nullptr)
    for (size_t i = 0; i < z.size(); ++i) z[i] += b[i % static_cast<size_t>(c.filters)];
  return z;
}

template <bool bf16>
static void conv2dPrimal(const KernelCall& call) {
  const Conv2dParameters& p = *static_cast<const Conv2dParameters*>(call.parameters);
  const auto at = [&](int i) { return static_cast<double*>(call.operands[i]); };
  const Operand<bf16> x(at(0), pixelsOf(p.shape)), w(at(1), filterOf(p.shape));
  const std::vector<double> z = preActivation(p.shape, x.data(), w.data(), at(2));
  for (size_t i = 0; i < z.size(); ++i) at(3)[i] = apply(p.activation, z[i], z[i]);
}

template <bool bf16>
static void conv2dPushforward(const KernelCall& call) {
  const Conv2dParameters& p = *static_cast<const Conv2dParameters*>(call.parameters);
  const Conv2dShape& c = p.shape;
  const auto at = [&](int i) { return static_cast<double*>(call.operands[i]); };
  const Operand<bf16> x(at(0), pixelsOf(c)), w(at(1), filterOf(c)), xDot(at(3), p.directions * pixelsOf(c));
  const std::vector<double> z = preActivation(c, x.data(), w.data(), at(2));
  for (size_t i = 0; i < z.size(); ++i) at(6)[i] = apply(p.activation, z[i], z[i]);
  const int64_t depth = c.kernel[0] * c.kernel[1] * c.channels;
  for (int64_t k = 0; k < p.directions; ++k) {
    std::vector<double> zDot(z.size());
    if (p.xDot.kind != TangentKind::zero) addConvolution(c, xDot.data() + k * pixelsOf(c), w.data(), zDot.data());
    const std::vector<double> wDot = tangentOf(p.wDot, *call.state, at(4), k, depth, c.filters);
    if (p.wDot.kind == TangentKind::lowRank)
      addConvolution(c, at(0), wDot.data(), zDot.data());  // projections on the factors are not rounded
    else if (p.wDot.kind != TangentKind::zero)
      addConvolution(c, x.data(), Operand<bf16>(wDot.data(), filterOf(c)).data(), zDot.data());
    const std::vector<double> bDot = tangentOf(p.bDot, *call.state, at(5), k, 1, c.filters);
    for (size_t i = 0; i < z.size(); ++i) {
      const double sum = zDot[i] + (bDot.empty() ? 0.0 : bDot[i % static_cast<size_t>(c.filters)]);
      at(7)[static_cast<size_t>(k) * z.size() + i] = apply(p.slope, z[i], 1.0) * sum;
    }
  }
}

template <bool bf16>
static void conv2dInputPullback(const KernelCall& call) {
  const Conv2dShape& c = *static_cast<const Conv2dShape*>(call.parameters);
  const Operand<bf16> deltas(static_cast<const double*>(call.operands[0]), outputOf(c)),
      filter(static_cast<const double*>(call.operands[1]), filterOf(c));
  const double *delta = deltas.data(), *w = filter.data();
  double* xBar = static_cast<double*>(call.operands[2]);
  for (int64_t i = 0; i < pixelsOf(c); ++i) xBar[i] = 0;
  forEachMeeting(c, [&](int64_t out, int64_t in, int64_t tap) {
    for (int64_t i = 0; i < c.channels; ++i)
      for (int64_t j = 0; j < c.filters; ++j)
        xBar[in * c.channels + i] += delta[out * c.filters + j] * w[(tap * c.channels + i) * c.filters + j];
  });
}

template <bool bf16>
static void conv2dFilterPullback(const KernelCall& call) {
  const Conv2dShape& c = *static_cast<const Conv2dShape*>(call.parameters);
  const Operand<bf16> pixels(static_cast<const double*>(call.operands[0]), pixelsOf(c)),
      deltas(static_cast<const double*>(call.operands[1]), outputOf(c));
  const double *x = pixels.data(), *delta = deltas.data();
  double* wBar = static_cast<double*>(call.operands[2]);
  for (int64_t i = 0; i < filterOf(c); ++i) wBar[i] = 0;
  forEachMeeting(c, [&](int64_t out, int64_t in, int64_t tap) {
    for (int64_t i = 0; i < c.channels; ++i)
      for (int64_t j = 0; j < c.filters; ++j)
        wBar[(tap * c.channels + i) * c.filters + j] += x[in * c.channels + i] * delta[out * c.filters + j];
  });
}

PUSHFORWARD_REFERENCE_PRODUCT(conv2d_primal, conv2dPrimal)
PUSHFORWARD_REFERENCE_PRODUCT(conv2d_pushforward, conv2dPushforward)
PUSHFORWARD_REFERENCE_PRODUCT(conv2d_input_pullback, conv2dInputPullback)
PUSHFORWARD_REFERENCE_PRODUCT(conv2d_filter_pullback, conv2dFilterPullback)

}  // namespace pushforward::reference
