// Code that nvcc makes of mathematical functions, against the host's library.
#include <cmath>

#include "harness.h"

using namespace softcuda;
using namespace softcuda::test;

namespace {

double normalQuantile(double p) {  // by bisection of the distribution function
  double low = -40, high = 40;
  for (int n = 0; n < 200; ++n) {
    double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < p ? low : high) = middle;
  }
  return (low + high) / 2;
}

struct Row {
  const char* kernel;
  double (*reference)(double);
  double low, high;
};
const Row kRows[] = {
    {"k_sinf", std::sin, -30, 30},
    {"k_cosf", std::cos, -30, 30},
    {"k_tanf", std::tan, -1.5, 1.5},
    {"k_expf", std::exp, -80, 80},
    {"k_exp2f", std::exp2, -120, 120},
    {"k_expm1f", std::expm1, -5, 20},
    {"k_logf", std::log, 1e-3, 1e6},
    {"k_log1pf", std::log1p, -0.9, 100},
    {"k_log2f", std::log2, 1e-3, 1e6},
    {"k_tanhf", std::tanh, -10, 10},
    {"k_sinhf", std::sinh, -10, 10},
    {"k_atanf", std::atan, -100, 100},
    {"k_asinf", std::asin, -1, 1},
    {"k_erff", std::erf, -4, 4},
    {"k_erfcf", std::erfc, -4, 6},
    {"k_lgammaf", std::lgamma, 3, 100},
    {"k_tgammaf", std::tgamma, 0.1, 20},
    {"k_cbrtf", std::cbrt, -1000, 1000},
    {"k_rsqrtf", [](double x) { return 1 / std::sqrt(x); }, 1e-3, 1e6},
    {"k_normcdfinvf", normalQuantile, 1e-4, 0.9999},
    {"k_roundf", std::round, -1000, 1000},
    {"k_powf", [](double x) { return std::pow(std::fabs(x), static_cast<double>(1.7f)); }, -100, 100},
    {"k_fmodf", [](double x) { return std::fmod(x, static_cast<double>(0.7f)); }, -100, 100},
    {"k_atan2f", [](double x) { return std::atan2(x, static_cast<double>(0.3f)); }, -100, 100},
    {"k_sin", [](double x) { return std::sin(1e6 * x); }, -30, 30},
    {"k_exp", std::exp, -80, 80},
    {"k_log", std::log, 1e-3, 1e6},
    {"k_divide", [](double x) { return 1 / (x + 3); }, -30, 30},
    {"k_sqrt", std::sqrt, 0, 1e6},
    {"k_large_sine", [](double x) { return std::sin(static_cast<double>(static_cast<float>(x) * 1e8f)); }, -30, 30},
};

TEST(functions) {
  for (const char* file : {"mathematics"}) {
    Device d = Device::fromKernels(file);
    constexpr int n = 1000;
    for (const Row& row : kRows) {
      std::vector<float> x(n);
      for (int i = 0; i < n; ++i) x[i] = static_cast<float>(row.low + (row.high - row.low) * (i + 0.37) / n);
      uint64_t dx = d.put(x, "x"), dy = d.empty(n * 4, "y");
      d.launch(row.kernel, {8}, {128}, dx, dy, n);
      std::vector<float> y = d.get<float>(dy, n);
      double worst = 0;  // in units in the last place; CUDA's own tables promise up to 7
      for (int i = 0; i < n; ++i) {
        float expected = static_cast<float>(row.reference(x[i]));
        double unit = std::nextafter(std::fabs(expected), INFINITY) - std::fabs(expected);
        worst = std::max(worst, std::fabs(static_cast<double>(y[i]) - row.reference(x[i])) / unit);
      }
      if (!(worst < 8)) std::printf("%s: %g units in the last place\n", row.kernel, worst), ++failures;
    }
  }
}

TEST(philox_known_answer) {
  Device d = Device::fromKernels("mathematics");
  uint64_t y = d.empty(16 * 128, "y");
  d.launch("philox", {2}, {64}, y, 0xA4093822u, 0x299F31D0u);
  std::vector<uint32_t> got = d.get<uint32_t>(y, 512);
  for (uint32_t i = 0; i < 128; ++i) {
    uint32_t c[4] = {i % 64, i / 64, 7, 9}, key[2] = {0xA4093822u, 0x299F31D0u};
    for (int r = 0; r < 10; ++r) {
      uint64_t p = uint64_t{0xD2511F53u} * c[0], q = uint64_t{0xCD9E8D57u} * c[2];
      uint32_t next[4] = {static_cast<uint32_t>(q >> 32) ^ c[1] ^ key[0], static_cast<uint32_t>(q),
                          static_cast<uint32_t>(p >> 32) ^ c[3] ^ key[1], static_cast<uint32_t>(p)};
      std::memcpy(c, next, sizeof c);
      key[0] += 0x9E3779B9u, key[1] += 0xBB67AE85u;
    }
    for (int k = 0; k < 4; ++k) EXPECT(got[i * 4 + k] == c[k]);
  }
}

}  // namespace
