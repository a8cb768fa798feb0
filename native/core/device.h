// A device: which kernels run, in which precision, on how many threads. A backend (cpu/) defines what is declared here.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/kernel.h"

namespace pushforward {

class FlushDenormals;

/** bf16: the operands of products are rounded to it; everything else, and every sum, is as the device computes. */
enum class Precision : uint8_t { f32, bf16, f64 };

struct Device {
  std::string name;  // "reference" or "cpu"
  std::string set;   // kernels of this set, or of those it builds upon
  size_t realBytes;  // 8 on reference, 4 on cpu
  int threads;
  Precision precision;
  int64_t panelColumns;  // of weights in panels (core/panels.h), 0 where they lie row by row
};

/**
 * Sets of CPU kernels that this machine can run, best last: baseline, avx2, avx512, and what adds a few kernels to those of avx512:
 * avx512bf16, amx.
 */
std::vector<std::string> instructionSets();

/**
 * 'auto' and 'cpu' give the best instruction set, or the one that `isa` or PUSHFORWARD_ISA names. threads 0: as many as the cores
 * that this process may use. precision '': f32 on cpu, f64 on reference. NO_DEVICE, with the reason, when it is not there.
 */
Device openDevice(const std::string& name, const std::string& isa, int threads, const std::string& precision);

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
