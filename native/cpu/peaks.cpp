#include "core/peaks.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <vector>

#include "cpu/peaks.h"

namespace pushforward {

namespace {

/** The best of several short runs: interruptions only ever make one slower. */
double peakOf(const std::string& set, const char* name) {
  const KernelEntry* entry = findKernel(set, name);
  if (!entry) return 0;
  std::vector<float> memory(peakFloats);
  double done = 0, best = 0;
  void* operand = memory.data();
  RunState state{};
  int64_t count = 1;
  for (int run = 0; run < 24; ++run) {
    PeakParameters parameters{count, &done};
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

}  // namespace

Peaks measuredPeaks(const Device& device) {
  static std::mutex mutex;
  static std::map<std::string, Peaks> known;
  std::lock_guard<std::mutex> lock(mutex);
  bool rounds = device.precision == Precision::bf16 && findKernel(device.set, "peak_fma_bf16") != nullptr;
  std::string fma = rounds ? "peak_fma_bf16" : "peak_fma";
  auto found = known.find(device.set + fma);
  if (found == known.end())
    found = known
                .emplace(device.set + fma, Peaks{peakOf(device.set, fma.c_str()), peakOf(device.set, "peak_bytes"),
                                                 peakOf(device.set, "peak_words")})
                .first;
  Peaks peaks = found->second;
  double threads = device.threads;
  return {peaks.operations * threads, peaks.bytes * threads, peaks.words * threads};
}

}  // namespace pushforward
