// Kept factors (ops/kept.h) as kernels see them.
#pragma once
#include "cpu/gemm/product.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

/** Where the lines of b_f begin. */
PUSHFORWARD_INLINE int64_t rightBegin(int64_t rows, int64_t capacity) { return roundUp(rows, tileColumns) * capacity; }

/** a_f and b_f, f < count, in lines of tileColumns. */
struct Kept {
  const float *left = nullptr, *right = nullptr;
  int64_t capacity = 0, count = 0;

  Kept() = default;
  Kept(const float* kept, int64_t rows, int64_t most, int64_t now)
      : left(kept), right(kept + rightBegin(rows, most)), capacity(most), count(now) {}

  /** Element i of a_0, and the line of b_0 with element j; those of f + 1 lie tileColumns on. */
  __attribute__((always_inline)) const float* leftAt(int64_t i) const {
    return left + i / tileColumns * capacity * tileColumns + i % tileColumns;
  }
  __attribute__((always_inline)) const float* rightAt(int64_t j) const {
    return right + j / tileColumns * capacity * tileColumns;
  }
};

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
