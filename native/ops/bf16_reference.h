// Operands of products as bf16 in the reference kernels: the judge of cpu/gemm/bf16.h, written down once more.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

namespace pushforward::reference {

/** x with 8 significant bits, to nearest, ties away from zero; beyond the range of float32 infinite, below it zero. */
inline double roundToBf16(double x) {
  if (x == 0 || !std::isfinite(x)) return x;
  int exponent = 0;
  const double fraction = std::frexp(x, &exponent);  // [1/2, 1)
  const double y = std::ldexp(std::round(fraction * 256), exponent - 8);
  if (std::fabs(y) >= std::ldexp(1, 128)) return std::copysign(HUGE_VAL, x);
  return std::fabs(y) < std::ldexp(1, -126) ? std::copysign(0, x) : y;
}

/** n numbers as a product takes them: rounded at bf16, else as they are. Absent ones stay so. */
template <bool bf16>
class Operand {
 public:
  Operand(const double* x, int64_t n) : data_(x) {
    if (!bf16 || x == nullptr) return;
    rounded_.reserve(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) rounded_.push_back(roundToBf16(x[i]));
    data_ = rounded_.data();
  }
  Operand(const Operand&) = delete;
  Operand& operator=(const Operand&) = delete;
  const double* data() const { return data_; }

 private:
  std::vector<double> rounded_;
  const double* data_;
};

// Kernel `name` and kernel `name`_bf16 of a function that is a template over whether it rounds.
#define PUSHFORWARD_REFERENCE_PRODUCT(name, function) \
  PUSHFORWARD_REFERENCE_KERNEL(name, function<false>) \
  PUSHFORWARD_REFERENCE_KERNEL(name##_bf16, function<true>)

}  // namespace pushforward::reference
