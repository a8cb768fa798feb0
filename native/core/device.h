// A device: which kernels run, in which precision, on how many threads, and where its memory is. The backends (cpu/, cuda/) define what is
// declared here.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/kernel.h"
#include "core/memory.h"

namespace pushforward {

class Executor;
class FlushDenormals;

/** bf16: the operands of products are rounded to it; everything else, and every sum, is as the device computes. */
enum class Precision : uint8_t { f32, bf16, f64 };

struct Device {
  std::string name;  // "reference", "cpu" or "cuda:n"
  std::string set;   // kernels of this set, or of those it builds upon
  size_t realBytes;  // 8 on reference, 4 on cpu
  int threads;
  Precision precision;
  int64_t panelColumns;          // of weights in panels (core/panels.h), 0 where they lie row by row
  std::shared_ptr<Space> space;  // of slots, constants, resident sets, workspace and tape
  /** Copies within the space, in order with the kernels of a run. */
  void (*copy)(const Parallel& parallel, void* to, const void* from, size_t bytes);
  std::unique_ptr<Executor> (*executor)(const Device& device);
};

/**
 * Sets of CPU kernels that this machine can run, best last: baseline, avx2, avx512, and what adds a few kernels to those of avx512:
 * avx512bf16, amx.
 */
std::vector<std::string> instructionSets();

/**
 * "cpu" gives the best instruction set, or the one that `isa` or PUSHFORWARD_ISA names. threads 0: as many as the cores
 * that this process may use. precision '': f64 on reference, f32 elsewhere. NO_DEVICE, with the reason, when it is not there.
 */
Device openDevice(const std::string& name, const std::string& isa, int threads, const std::string& precision);
Device openHost(const std::string& name, const std::string& isa, int threads, const std::string& precision);
Device openGpu(const std::string& name, const std::string& precision);

/** An NVIDIA GPU, or the reason why there is none. */
struct GpuFacts {
  std::string name, description, reason;
  double memoryBytes = 0;
  std::string computeCapability;
  bool driver = false;  // a driver is there, though perhaps of no use
};
/** At least one; never throws. */
std::vector<GpuFacts> listGpus();

/** While it lives, the calling thread computes for a device: its threads stand by, and on cpu denormals count as zero. */
class DeviceScope {
 public:
  explicit DeviceScope(const Device& device);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;
  const Parallel& parallel() const { return parallel_; }

 private:
  Parallel parallel_;
  std::unique_ptr<FlushDenormals> flush_;
};

/** nullptr when neither the set nor one that it builds upon has such a kernel. */
const KernelEntry* findKernel(const std::string& set, const std::string& name);
std::vector<const KernelEntry*> allKernels();

}  // namespace pushforward
