#pragma once
#include <cstddef>
#include <cstdint>

#include "counters.h"
#include "fault.h"
#include "memory.h"
#include "module.h"

namespace softcuda {

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t{x} * y * z; }
};

struct Options {
  uint64_t seed = 0;                              // order of the blocks: 0 = ascending, else shuffled
  unsigned threads = 1;                           // worker threads
  uint64_t instructionLimit = uint64_t{1} << 28;  // warp instructions per block
  bool checks = true;  // false: only bounds of the address space, barriers and warp operations are checked
};

// Runs the kernel to its end. `parameters`: kernel.parameterBytes bytes laid out as kernel.parameters says.
// Counts are added to `counters` unless it is nullptr. Throws Fault.
void execute(const Kernel& kernel, Dim3 grid, Dim3 block, size_t dynamicSharedBytes, const std::byte* parameters,
             Memory& memory, const Options& options, Counters* counters);

}  // namespace softcuda
