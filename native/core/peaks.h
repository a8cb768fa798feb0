// Measured ceilings of a device, from which a plan's description tells the least time each of its steps can take.
#pragma once
#include <string>
#include <vector>

#include "core/device.h"

namespace pushforward {

/** Per second, on all threads of the device; zeros where nothing is measured (reference). */
struct Peaks {
  double operations = 0, words = 0;
  double nearBytes = 0;  // out of the second-level caches, which hold nearSize bytes together
  double farBytes = 0;   // out of the cache behind them
  double nearSize = 0;
};

/** The best measured so far; the first time for an instruction set takes about 20 ms. */
Peaks measuredPeaks(const Device& device);

/** What one thread can do at most. */
struct Ceiling {
  std::string name, unit;
  double value;
  std::string absence;  // why it was not measured; else empty
};

/** A table for benchmarks, the best of a new measurement and those before; takes seconds and up to 256 MB. */
std::vector<Ceiling> measuredCeilings(const Device& device);

}  // namespace pushforward
