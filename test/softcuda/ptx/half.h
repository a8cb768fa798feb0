#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

namespace softcuda {

// 16-bit floating-point formats: binary16 has 5 exponent bits and 10 of mantissa, bfloat16 8 and 7.
template <int exponentBits, int mantissaBits>
struct Format {
  static constexpr int kBias = (1 << (exponentBits - 1)) - 1;
  static constexpr uint16_t kInfinity = static_cast<uint16_t>(((1 << exponentBits) - 1) << mantissaBits);
  static constexpr uint16_t kNaN = 0x7FFF;
  static constexpr uint16_t kMax = kInfinity - 1;

  static float decode(uint16_t bits) {
    if constexpr (exponentBits == 8) {
      uint32_t u = static_cast<uint32_t>(bits) << 16;
      float x;
      std::memcpy(&x, &u, 4);
      return x;
    } else {
      uint32_t exponent = bits >> mantissaBits & ((1 << exponentBits) - 1), mantissa = bits & ((1 << mantissaBits) - 1);
      uint32_t u = (exponent + 127 - kBias) << 23 | mantissa << (23 - mantissaBits);
      if (exponent == (1 << exponentBits) - 1) u = 0x7F800000u | mantissa << (23 - mantissaBits);
      float denormal = static_cast<float>(mantissa) * 0x1p-24f, x;
      if (exponent == 0) std::memcpy(&u, &denormal, 4);
      u |= (bits & 0x8000u) << 16;
      std::memcpy(&x, &u, 4);
      return x;
    }
  }

  // To nearest, ties to even, or towards zero.
  static uint16_t encode(double x, bool nearest = true) {
    if (x != x) return kNaN;
    uint64_t u;
    std::memcpy(&u, &x, 8);
    uint16_t sign = static_cast<uint16_t>(u >> 48 & 0x8000);
    int exponent = static_cast<int>(u >> 52 & 0x7FF) - 1023;
    if (exponent == 1024) return sign | kInfinity;
    if ((u & ~(uint64_t{1} << 63)) == 0) return sign;
    uint64_t mantissa = (u & ((uint64_t{1} << 52) - 1)) | uint64_t{1} << 52;
    int drop = 52 - mantissaBits, least = 1 - kBias;
    if (exponent < least) drop += least - exponent;  // denormal
    if (drop > 54) return sign;                      // below half of the smallest denormal
    uint64_t kept = mantissa >> drop, half = uint64_t{1} << (drop - 1), rest = mantissa & ((half << 1) - 1);
    if (nearest && (rest > half || (rest == half && (kept & 1)))) ++kept;
    uint64_t biased = exponent < least ? 0 : static_cast<uint64_t>(exponent + kBias - 1);
    uint64_t r = (biased << mantissaBits) + kept;  // a carry out of the mantissa raises the exponent
    if (r >= kInfinity) return sign | (nearest ? kInfinity : kMax);
    return static_cast<uint16_t>(sign | r);
  }
};
using Half = Format<5, 10>;
using Bfloat = Format<8, 7>;

// a + b in double, inexact results made odd, so that a second rounding is right.
inline double addToOdd(double a, double b) {
  double s = a + b;
  if (!std::isfinite(s)) return s;
  double t = s - a, error = (a - (s - t)) + (b - t);
  if (error == 0) return s;
  uint64_t u;
  std::memcpy(&u, &s, 8);
  if (!(u & 1)) u += (error > 0) == (s > 0) ? 1 : -1;
  std::memcpy(&s, &u, 8);
  return s;
}

}  // namespace softcuda
