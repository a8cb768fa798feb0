// Copies of a weight between rows and planes (core/weight_layout.h): initial values, and what reads it row by row.
#include "core/weight_layout.h"
#include "cpu/vector.h"
#include "ops/shape.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

/** f(offset of the upper row's columns, high words, low words, columns of the panel) for every pair of rows of every panel. */
template <class F>
PUSHFORWARD_INLINE void forPairs(const PlanesParameters& p, uint32_t* high, const F& f) {
  uint32_t* low = high + p.rows * p.n / 2;
  for (int64_t column = 0; column < p.n; column += p.columns) {
    const int64_t wide = p.n - column < p.columns ? p.n - column : p.columns;
    for (int64_t i = 0; i < p.rows; i += 2) {
      const int64_t pair = (column * p.rows + i * wide) / 2;
      f(i * p.n + column, high + pair, low + pair, wide);
    }
  }
}

void toPlanes(const KernelCall& call) {
  const PlanesParameters& p = *static_cast<const PlanesParameters*>(call.parameters);
  const float* from = static_cast<const float*>(call.operands[0]);
  forPairs(p, static_cast<uint32_t*>(call.operands[1]), [&](int64_t at, uint32_t* high, uint32_t* low, int64_t wide) {
    for (int64_t j = 0; j < wide; ++j) {
      uint32_t first, second;
      __builtin_memcpy(&first, from + at + j, 4);
      __builtin_memcpy(&second, from + at + p.n + j, 4);
      high[j] = highHalf(first) >> 16 | highHalf(second);
      low[j] = (first & 0xFFFFu) | second << 16;
    }
  });
}

void fromPlanes(const KernelCall& call) {
  const PlanesParameters& p = *static_cast<const PlanesParameters*>(call.parameters);
  float* to = static_cast<float*>(call.operands[1]);
  forPairs(p, static_cast<uint32_t*>(call.operands[0]),
           [&](int64_t at, const uint32_t* high, const uint32_t* low, int64_t wide) {
             for (int64_t j = 0; j < wide; ++j) {
               const uint32_t first = (high[j] << 16) + static_cast<uint32_t>(static_cast<int32_t>(low[j] << 16) >> 16);
               const uint32_t second =
                   (high[j] & 0xFFFF0000u) + static_cast<uint32_t>(static_cast<int32_t>(low[j]) >> 16);
               __builtin_memcpy(to + at + j, &first, 4);
               __builtin_memcpy(to + at + p.n + j, &second, 4);
             }
           });
}

}  // namespace

PUSHFORWARD_CPU_KERNEL(to_planes, toPlanes, nullptr)
PUSHFORWARD_CPU_KERNEL(from_planes, fromPlanes, nullptr)

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
