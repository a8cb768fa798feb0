#include "core/device.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "core/error.h"
#include "cpu/executor.h"
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
  // What a set has no kernel of its own for is done by those of the set that it extends.
  static const std::map<std::string, std::string> extends = {{"amx", "avx512bf16"}, {"avx512bf16", "avx512"}};
  for (auto at = set;;) {
    auto found = table.find({at, name});
    if (found != table.end()) return found->second;
    auto below = extends.find(at);
    if (below == extends.end()) return nullptr;
    at = below->second;
  }
}

#if defined(__x86_64__)
namespace {

/** Whether there are tiles, and the system lets this process have them: 8 KB of state a thread must be asked for. */
bool amxIsUsable() {
  static const bool usable = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    constexpr unsigned tiles = 1u << 24, bf16 = 1u << 22;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & tiles) == 0 || (d & bf16) == 0) return false;
    constexpr long askForState = 0x1023, tileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, askForState, tileData) == 0;
  }();
  return usable;
}

}  // namespace
#endif

std::vector<std::string> instructionSets() {
  std::vector<std::string> sets = {"baseline"};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back("avx2");
  if (sets.size() == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    sets.push_back("avx512");
  if (sets.size() == 3 && __builtin_cpu_supports("avx512bf16")) sets.push_back("avx512bf16");
  if (sets.size() == 4 && amxIsUsable()) sets.push_back("amx");
#endif
  return sets;
}

namespace {

Precision precisionOf(const std::string& device, const std::string& name) {
  const std::string own = device == "reference" ? "f64" : "f32";
  if (name == "bf16") return Precision::bf16;
  if (!name.empty() && name != own)
    fail(Code::INVALID_ARGUMENT, "device", "precision '" + own + "' or 'bf16' on device '" + device + "'",
         "'" + name.substr(0, 40) + "'");
  return device == "reference" ? Precision::f64 : Precision::f32;
}

}  // namespace

Device openHost(const std::string& name, const std::string& isa, int threads, const std::string& precision) {
  auto copy = [](const Parallel&, void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); };
  if (name == "reference")
    return {name, name, sizeof(double), 1, precisionOf(name, precision), 0, hostSpace(), copy, cpu::makeExecutor};
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
  return {name,
          wanted,
          sizeof(float),
          threads ? std::min(threads, cores) : cores,
          precisionOf(name, precision),
          panelColumns,
          hostSpace(),
          copy,
          cpu::makeExecutor};
}

DeviceScope::DeviceScope(const Device& device)
    : parallel_(poolOf(device.threads)), flush_(std::make_unique<FlushDenormals>(device.set != "reference")) {}
DeviceScope::~DeviceScope() = default;

}  // namespace pushforward
