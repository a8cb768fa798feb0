// What one thread can do at most, measured on this machine.
#pragma once
#include "core/kernel.h"

namespace pushforward {

/**
 * Block of the peak kernels. Operand: `floats` floats, a multiple of 1024. `done` receives what the call did: operations,
 * bytes, words, values or passes.
 */
struct PeakParameters {
  int64_t count, floats;
  double* done;
};

}  // namespace pushforward
