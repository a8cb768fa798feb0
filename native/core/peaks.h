// Measured ceilings of a device, from which a plan's description tells the least time each of its steps can take.
#pragma once
#include "core/device.h"

namespace pushforward {

/** Per second, on all threads of the device; zeros where nothing is measured (reference). */
struct Peaks {
  double operations = 0, bytes = 0, words = 0;
};

/** Measured once per instruction set, about 10 ms. */
Peaks measuredPeaks(const Device& device);

}  // namespace pushforward
