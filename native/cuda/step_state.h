// What kernels of a step read on the device, beside their arguments: one struct in device memory, for the life of a run.
#pragma once
#include "core/kernel.h"

namespace pushforward::cuda {

/**
 * Written by begin_step_kernel and end_step_kernel alone (native/cuda/step.cu), so that a captured graph is the same for every step:
 * begin_step_kernel takes the next row of the table of rates and counts, end_step_kernel tests the guards. Once `stopped`, no kernel that
 * writes the store does so, until the host has read the state.
 */
struct StepState {
  RunState run;     // key, step and rate of the step in flight
  int64_t index;    // of the step in flight, from 0 in every run
  int32_t stopped;  // 1 from the first step on whose guards were not finite
};

}  // namespace pushforward::cuda
