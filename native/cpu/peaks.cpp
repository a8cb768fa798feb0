#include "core/peaks.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <tuple>

#include "core/store.h"
#include "cpu/peaks.h"

namespace pushforward {

namespace {

constexpr int64_t nearFloats = 64 * 1024;                // 256 KB: in the second-level cache
constexpr int64_t farFloats = 2 * 1024 * 1024;           // 8 MB: behind it
constexpr int64_t memoryFloats = 64 * 1024 * 1024;       // 256 MB: beyond every cache
constexpr int64_t updateFloats = 1863690 / 1024 * 1024;  // the parameters of the paper's MLP, 7.45 MB

/** Units a second: the best of several short runs, because interruptions only ever make one slower. 0: no such kernel. */
double measure(const std::string& set, const char* name, int64_t floats) {
  const KernelEntry* entry = findKernel(set, name);
  if (!entry) return 0;
  Memory memory(static_cast<size_t>(floats) * sizeof(float));
  std::fill_n(static_cast<float*>(memory.data()), floats, 0.0f);  // pages that nobody wrote are all the same page
  double done = 0, best = 0;
  void* operand = memory.data();
  RunState state{};
  int64_t count = 1;
  for (int run = 0; run < 24; ++run) {
    PeakParameters parameters{count, floats, &done};
    auto start = std::chrono::steady_clock::now();
    entry->function({&parameters, &operand, nullptr, &state, nullptr});
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (seconds < 2e-4)
      count *= 2;
    else
      best = std::max(best, done / seconds);
  }
  return best;
}

/** The best so far: a neighbour on the same core may slow all runs of one measurement. `anew`: measures even what is known. */
double peakOf(const std::string& set, const char* name, int64_t floats, bool anew) {
  static std::mutex mutex;
  static std::map<std::tuple<std::string, std::string, int64_t>, double> known;
  std::lock_guard<std::mutex> lock(mutex);
  auto [best, first] = known.try_emplace({set, name, floats}, 0);
  if (first || anew) best->second = std::max(best->second, measure(set, name, floats));
  return best->second;
}

double secondLevelBytes() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (bytes > 0) return static_cast<double>(bytes);
#endif
  return 1 << 20;
}

/** Whether the machine can run a set of kernels. */
bool runs(const char* set) {
  const std::vector<std::string> sets = instructionSets();
  return std::find(sets.begin(), sets.end(), set) != sets.end();
}

struct Row {
  const char *name, *unit, *kernel;
  int64_t floats;
  double scale;
  bool perUnit;     // scale / rate instead of scale · rate
  const char* set;  // which the machine must have
  const char* absence;
};

constexpr Row rows[] = {
    {"float32 multiply-add, registers only", "GFLOP/s", "peak_fma", 1024, 1e-9, false, "baseline", ""},
    {"bf16 dot product, registers only", "GFLOP/s", "peak_dots", 1024, 1e-9, false, "avx512bf16",
     "the processor has no AVX512-BF16"},
    {"bf16 tiles (AMX), resident", "GFLOP/s", "peak_tiles", 1024, 1e-9, false, "amx", "the processor has no AMX-BF16"},
    {"in-place update of 7.45 MB", "ms", "peak_update", updateFloats, 8e3 * updateFloats, true, "baseline", ""},
    {"x += y, second-level cache (256 KB)", "GB/s", "peak_add", nearFloats, 1e-9, false, "baseline", ""},
    {"x += y, third-level cache (8 MB)", "GB/s", "peak_add", farFloats, 1e-9, false, "baseline", ""},
    {"x += y, memory (256 MB)", "GB/s", "peak_add", memoryFloats, 1e-9, false, "baseline", ""},
    {"read, second-level cache (256 KB)", "GB/s", "peak_read", nearFloats, 1e-9, false, "baseline", ""},
    {"read, third-level cache (8 MB)", "GB/s", "peak_read", farFloats, 1e-9, false, "baseline", ""},
    {"read, memory (256 MB)", "GB/s", "peak_read", memoryFloats, 1e-9, false, "baseline", ""},
    {"Philox", "ns a word", "peak_words", 1024, 1e9, true, "baseline", ""},
    {"gaussian", "ns a value", "peak_gaussians", 1024, 1e9, true, "baseline", ""},
};

}  // namespace

std::vector<Ceiling> measuredCeilings(const Device& device) {
  std::vector<Ceiling> table;
  for (const Row& row : rows) {
    std::string absence = row.absence;
    double rate = 0;
    if (runs(row.set)) {
      rate = peakOf(device.set, row.kernel, row.floats, true);
      absence = rate > 0 ? "" : "the " + device.set + " kernels have none";
    }
    const double value = rate > 0 ? row.perUnit ? row.scale / rate : row.scale * rate : 0;
    table.push_back({row.name, row.unit, value, absence});
  }
  return table;
}

Peaks measuredPeaks(const Device& device) {
  const std::string& set = device.set;
  auto peak = [&](const char* name, int64_t floats = 1024) { return peakOf(set, name, floats, false); };
  // A floor takes the fastest way there is to move a byte.
  auto bytes = [&](int64_t floats) {
    return std::max({peak("peak_read", floats), peak("peak_add", floats), peak("peak_update", floats)});
  };
  const char* product = "peak_fma";
  if (device.precision == Precision::bf16 && set == "avx512bf16") product = "peak_dots";
  if (device.precision == Precision::bf16 && set == "amx") product = "peak_tiles";
  const double threads = device.threads;
  return {peak(product) * threads, peak("peak_words") * threads, bytes(nearFloats) * threads,
          bytes(farFloats) * threads, secondLevelBytes() * threads};
}

}  // namespace pushforward
