// What can be queued on a stream or captured as a node of a graph, and how it is done.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "../ptx/execute.h"

namespace softcuda::driver {

/** A device: memory that all its contexts share, and what its kernels counted. */
struct Device {
  explicit Device(size_t bytes) : memory(bytes) {}
  Memory memory;
  Counters counters;
};

/** A module as a context holds it: its variables have device memory. */
struct LoadedModule {
  softcuda::Module ptx;
  bool unloaded = false;
};

struct Launch {
  std::shared_ptr<const LoadedModule> module;
  const Kernel* kernel;
  Dim3 grid, block;
  size_t sharedBytes;
  std::vector<std::byte> parameters;
};

/** Host to device. `staged` has the bytes when the source was read at the call; without it, it is read when this runs. */
struct CopyIn {
  uint64_t to;
  const void* from;
  size_t bytes;
  std::shared_ptr<const std::vector<std::byte>> staged;
};

struct CopyOut {
  void* to;
  uint64_t from;
  size_t bytes;
};

struct CopyWithin {
  uint64_t to, from;
  size_t bytes;
};

struct Fill {
  uint64_t to;
  uint32_t value;
  size_t elementBytes, count;
};

using Time = std::optional<std::chrono::steady_clock::time_point>;

struct RecordTime {
  std::shared_ptr<Time> time;
};

/** Nothing but an order: it is done when what it comes after is done. */
struct Join {};

using Work = std::variant<Launch, CopyIn, CopyOut, CopyWithin, Fill, RecordTime, Join>;

/** A failure on the device, with the driver's code for it. */
struct DeviceFault {
  int code;
  std::string sentence;
};

/** Throws DeviceFault. `seed` orders the blocks of a kernel. */
void perform(const Work& work, Device& device, uint64_t seed);

/** Copies to or from host memory that may be gone by now; false when it is. */
bool readHost(void* to, const void* from, size_t bytes);
bool writeHost(void* to, const void* from, size_t bytes);

}  // namespace softcuda::driver
