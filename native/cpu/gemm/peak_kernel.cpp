// Ceilings of one thread, measured: what the floors of a plan's description are made of (cpu/peaks.h). Each kernel does `count` units.
#include "core/philox.h"
#include "cpu/peaks.h"
#include "cpu/philox.h"
#include "cpu/vector.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

// Chains of dependent fma: latency 4 × 2 a cycle needs 8; registers hold 12 on every instruction set.
constexpr int chains = 12;

/** 2·lanes·chains operations a unit; no load, no store in the loop. */
void peakFma(const KernelCall& call) {
  const PeakParameters& p = *static_cast<const PeakParameters*>(call.parameters);
  Float sum[chains];
  const Float x = broadcast(0.999f), y = broadcast(0.001f);
  for (int i = 0; i < chains; ++i) sum[i] = broadcast(static_cast<float>(i));
  for (int64_t n = 0; n < p.count; ++n) {
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i) sum[i] = multiplyAdd(sum[i], x, y);
  }
  Float total = sum[0];
  for (int i = 1; i < chains; ++i) total += sum[i];
  store(static_cast<float*>(call.operands[0]), total);
  *p.done = 2.0 * lanes * chains * static_cast<double>(p.count);
}

/** Adds one array to another, 128 KB each: 12 bytes an element move between registers and the second-level cache. */
void peakBytes(const KernelCall& call) {
  const PeakParameters& p = *static_cast<const PeakParameters*>(call.parameters);
  float* x = static_cast<float*>(call.operands[0]);
  const float* y = x + peakFloats / 2;
  for (int64_t n = 0; n < p.count; ++n)
    for (int64_t i = 0; i < peakFloats / 2; i += lanes) store(x + i, load(x + i) + load(y + i));
  *p.done = 6.0 * peakFloats * static_cast<double>(p.count);
}

/** Philox words, summed so that none is left out. */
void peakWords(const KernelCall& call) {
  const PeakParameters& p = *static_cast<const PeakParameters*>(call.parameters);
  const Source source(Draw{{1, 2}, 0, 0, 0, 0});
  Wide sum = Wide{};
  Wide blocks[sideBySide];
  for (int i = 0; i < sideBySide; ++i) blocks[i] = laneBlocks() + static_cast<uint64_t>(i * groupBlocks);
  for (int64_t n = 0; n < p.count; ++n) {
    Words words[sideBySide];
    drawWords(source, blocks, words);
    for (int i = 0; i < sideBySide; ++i) {
      for (int k = 0; k < 4; ++k) sum ^= words[i].word[k];
      blocks[i] += static_cast<uint64_t>(sideBySide * groupBlocks);
    }
  }
  __builtin_memcpy(call.operands[0], &sum, sizeof sum);
  *p.done = 4.0 * groupBlocks * sideBySide * static_cast<double>(p.count);
}

}  // namespace

PUSHFORWARD_CPU_KERNEL(peak_fma, peakFma, nullptr)
PUSHFORWARD_CPU_KERNEL(peak_bytes, peakBytes, nullptr)
PUSHFORWARD_CPU_KERNEL(peak_words, peakWords, nullptr)

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
