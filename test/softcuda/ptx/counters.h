#pragma once
#include <cstdint>
#include <map>
#include <string>

namespace softcuda {

struct LineCounts {
  uint64_t instructions = 0;      // warp instructions
  uint64_t laneInstructions = 0;  // active lanes summed over them
  uint64_t sectors = 0;           // 32-byte sectors of global memory touched
  uint64_t idealSectors = 0;      // bytes asked for / 32, rounded up per warp access
  uint64_t wavefronts = 0;        // shared-memory passes of 32 banks x 4 bytes
  uint64_t idealWavefronts = 0;   // different words asked for / 32, rounded up
  uint64_t mma = 0;               // mma.sync instructions
  void add(const LineCounts& other);
};

struct KernelCounts {
  uint64_t launches = 0, blocks = 0;
  std::map<std::string, LineCounts> lines;  // by "file.cu:12"
  LineCounts total() const;
};

struct Counters {
  std::map<std::string, KernelCounts> kernels;  // by name
};

// One table a kernel: its totals, then its lines by instructions, most first.
std::string report(const Counters& counters);

}  // namespace softcuda
