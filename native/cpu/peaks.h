// What one thread can do at most, measured on this machine.
#pragma once
#include "core/kernel.h"

namespace pushforward {

/** Block of the peak kernels. Operand: peakFloats floats. `done` receives the operations, bytes or words of the call. */
struct PeakParameters {
  int64_t count;
  double* done;
};

constexpr int64_t peakFloats = 64 * 1024;

}  // namespace pushforward
