// Parameter block of assign under guards.
#pragma once
#include "core/kernel.h"

namespace pushforward {

constexpr int assignGuardOperand = 2, assignMaxGuards = 4;

/**
 * Operands slot, value, guard…: `count` elements are copied from value to slot, nothing when one of the `guards` operands, of guardCount[i]
 * reals each, holds a number that is not finite.
 */
struct AssignParameters {
  int64_t count;
  int32_t integer;  // elements are int32
  int32_t guards;
  int64_t guardCount[assignMaxGuards];
};

}  // namespace pushforward
