// Vectors of two rows of a weight in planes (core/weight_layout.h) as floats, for what updates it.
#pragma once
#include "cpu/vector.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

PUSHFORWARD_INLINE void loadPlanes(const uint32_t* high, const uint32_t* low, Float& upper, Float& lower) {
  const Unsigned h = load(high), l = load(low);
  upper = asFloat((h << 16) + asUnsigned(asInt(l << 16) >> 16));
  lower = asFloat((h & 0xFFFF0000u) + asUnsigned(asInt(l) >> 16));
}

PUSHFORWARD_INLINE void storePlanes(Float upper, Float lower, uint32_t* high, uint32_t* low) {
  const Unsigned u = asUnsigned(upper), l = asUnsigned(lower);
  store(high, ((u + 0x8000u) >> 16) | ((l + 0x8000u) & 0xFFFF0000u));
  store(low, (u & 0xFFFFu) | (l << 16));
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
