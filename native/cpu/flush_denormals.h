// Denormal results become zero and denormal operands count as zero while an object of this class lives. A product of
// two floats below 2⁻¹²⁶ costs a hundred cycles and more otherwise, and slopes of saturated activations are full of
// them.
#pragma once
#include <cstdint>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace pushforward {

class FlushDenormals {
 public:
  explicit FlushDenormals(bool enable = true) : saved_(control()) {
    if (enable) setControl(saved_ | flushBits);
  }
  ~FlushDenormals() { setControl(saved_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
#if defined(__SSE2__)
  static constexpr uint64_t flushBits = 0x8040;  // FTZ and DAZ of MXCSR
  static uint64_t control() { return _mm_getcsr(); }
  static void setControl(uint64_t bits) { _mm_setcsr(static_cast<unsigned>(bits)); }
#elif defined(__aarch64__)
  static constexpr uint64_t flushBits = uint64_t{1} << 24;  // FZ of FPCR: both directions
  static uint64_t control() {
    uint64_t bits;
    __asm__ volatile("mrs %0, fpcr" : "=r"(bits));
    return bits;
  }
  static void setControl(uint64_t bits) { __asm__ volatile("msr fpcr, %0" : : "r"(bits)); }
#else
  static constexpr uint64_t flushBits = 0;
  static uint64_t control() { return 0; }
  static void setControl(uint64_t) {}
#endif

  uint64_t saved_;
};

}  // namespace pushforward
