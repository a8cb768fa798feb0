#include "core/device.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <unordered_map>

#include "core/error.h"
#include "cpu/flush_denormals.h"
#include "cpu/thread_pool.h"

extern "C" {
extern const pushforward::KernelEntry* const __start_pushforward_kernels[] __attribute__((weak, visibility("hidden")));
extern const pushforward::KernelEntry* const __stop_pushforward_kernels[] __attribute__((weak, visibility("hidden")));
}

namespace pushforward {

std::vector<const KernelEntry*> allKernels() {
  return std::vector<const KernelEntry*>(__start_pushforward_kernels, __stop_pushforward_kernels);
}

const KernelEntry* findKernel(const std::string& set, const std::string& name) {
  static const std::map<std::pair<std::string, std::string>, const KernelEntry*> table = [] {
    std::map<std::pair<std::string, std::string>, const KernelEntry*> entries;
    for (const KernelEntry* entry : allKernels()) entries[{entry->set, entry->name}] = entry;
    return entries;
  }();
  auto found = table.find({set, name});
  return found == table.end() ? nullptr : found->second;
}

std::vector<std::string> instructionSets() {
  std::vector<std::string> sets = {"baseline"};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back("avx2");
  if (sets.size() == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    sets.push_back("avx512");
#endif
  return sets;
}

Device openDevice(const std::string& name, const std::string& isa, int threads) {
  if (threads < 0) fail(Code::INVALID_ARGUMENT, "device", "a number of threads of at least 1", std::to_string(threads));
  if (name == "reference") return {"reference", "reference", sizeof(double), 1, 0};
  if (name != "cpu" && name != "auto") {
    if (name == "cuda" || name.rfind("cuda:", 0) == 0)
      fail(Code::NO_DEVICE, "device", "a device of this build (cpu, reference)",
           "'" + name.substr(0, 40) + "': built without CUDA kernels");
    fail(Code::INVALID_ARGUMENT, "device", "auto, cpu, cuda, cuda:n or reference", "'" + name.substr(0, 40) + "'");
  }
  std::vector<std::string> sets = instructionSets();
  std::string wanted = isa;
  if (wanted.empty())
    if (const char* forced = std::getenv("PUSHFORWARD_ISA")) wanted = forced;
  if (wanted.empty()) wanted = sets.back();
  if (std::find(sets.begin(), sets.end(), wanted) == sets.end()) {
    std::string known;
    for (const std::string& set : sets) known += (known.empty() ? "" : ", ") + set;
    fail(Code::NO_DEVICE, "device", "an instruction set of this machine (" + known + ")",
         "'" + wanted.substr(0, 40) + "'");
  }
  int cores = usableCores();
  // Columns of a product's tile: two vectors (cpu/gemm/tile.h).
  int64_t panelColumns = wanted == "baseline" ? 8 : wanted == "avx2" ? 16 : 32;
  return {"cpu", wanted, sizeof(float), threads ? std::min(threads, cores) : cores, panelColumns};
}

DeviceScope::DeviceScope(const Device& device)
    : parallel_(poolOf(device.threads)), flush_(std::make_unique<FlushDenormals>(device.set != "reference")) {}
DeviceScope::~DeviceScope() = default;

}  // namespace pushforward
