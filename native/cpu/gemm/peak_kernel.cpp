// Ceilings of one thread, measured: what the floors of a plan's description are made of (cpu/peaks.h). Each kernel does
// `count` units.
#include "core/philox.h"
#include "cpu/peaks.h"
#include "cpu/philox.h"
#include "cpu/tangent_panel.h"
#include "cpu/vector.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

// Chains of dependent fma: latency 4 × 2 a cycle needs 8; registers hold 12 on every instruction set.
constexpr int chains = 12;

const PeakParameters& block(const KernelCall& call) { return *static_cast<const PeakParameters*>(call.parameters); }

/** 2·lanes·chains operations a unit; no load, no store in the loop. */
void peakFma(const KernelCall& call) {
  const PeakParameters& p = block(call);
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

/** Adds one half of the operand to the other: 12 bytes an element move. */
void peakAdd(const KernelCall& call) {
  const PeakParameters& p = block(call);
  const int64_t half = p.floats / 2;
  float* x = static_cast<float*>(call.operands[0]);
  const float* y = x + half;
  for (int64_t n = 0; n < p.count; ++n)
    for (int64_t i = 0; i < half; i += lanes) store(x + i, load(x + i) + load(y + i));
  *p.done = 12.0 * static_cast<double>(half) * static_cast<double>(p.count);
}

/** Sums the operand in 8 chains. */
void peakRead(const KernelCall& call) {
  const PeakParameters& p = block(call);
  float* x = static_cast<float*>(call.operands[0]);
  Float sum[8] = {};
  for (int64_t n = 0; n < p.count; ++n)
    for (int64_t i = 0; i < p.floats; i += 8 * lanes) {
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) sum[j] += load(x + i + j * lanes);
    }
  store(x, ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7])));
  *p.done = 4.0 * static_cast<double>(p.floats) * static_cast<double>(p.count);
}

/** w ← w − η g over the operand, g in a register: what an update of generated gradients must move, 8 bytes an element. */
void peakUpdate(const KernelCall& call) {
  const PeakParameters& p = block(call);
  float* w = static_cast<float*>(call.operands[0]);
  const Float rate = broadcast(-1e-6f), gradient = broadcast(0.5f);
  for (int64_t n = 0; n < p.count; ++n)
    for (int64_t i = 0; i < p.floats; i += lanes) store(w + i, multiplyAdd(rate, gradient, load(w + i)));
  *p.done = 8.0 * static_cast<double>(p.floats) * static_cast<double>(p.count);
}

/** Philox words, summed so that none is left out. */
void peakWords(const KernelCall& call) {
  const PeakParameters& p = block(call);
  const Source source(Draw{{1, 2}, 0, 0, 0, 0});
  Wide sum = Wide{};
  Wide blocks[sideBySide];
  for (int i = 0; i < sideBySide; ++i) blocks[i] = laneBlocks() + static_cast<uint64_t>(i * groupBlocks);
  for (int64_t n = 0; n < p.count; ++n) {
    Words words[sideBySide];
    drawWords(source, blocks, words);
    for (int i = 0; i < sideBySide; ++i) {
      sum ^= words[i].even ^ words[i].odd;
      blocks[i] += static_cast<uint64_t>(sideBySide * groupBlocks);
    }
  }
  __builtin_memcpy(call.operands[0], &sum, sizeof sum);
  *p.done = 4.0 * groupBlocks * sideBySide * static_cast<double>(p.count);
}

/** Gaussians, a panel of 32 × 32 that stays in the first-level cache, drawn as the products draw theirs. */
void peakGaussians(const KernelCall& call) {
  const PeakParameters& p = block(call);
  constexpr int64_t side = 32;
  for (int64_t n = 0; n < p.count; ++n)
    fillTangentPanel(TangentKind::gaussian, Draw{{1, 2}, 0, 0, 0, static_cast<uint32_t>(n)}, side, 0, side, 0, side,
                     static_cast<float*>(call.operands[0]), side);
  *p.done = static_cast<double>(side * side) * static_cast<double>(p.count);
}

#if PUSHFORWARD_LANES == 16 && __has_include(<avx512bf16intrin.h>)
#define PUSHFORWARD_PEAK_DOTS
/** 64·chains operations a unit: each lane of 32 bits adds two products. No load, no store in the loop. */
__attribute__((target("avx512bf16"))) void peakDots(const KernelCall& call) {
  const PeakParameters& p = block(call);
  constexpr int dots = 16;  // longer chains' latency is 6
  const __m512bh x = (__m512bh)_mm512_set1_epi32(0x3F003F00), y = (__m512bh)_mm512_set1_epi32(0x3A003A00);
  __m512 sum[dots];
  for (int i = 0; i < dots; ++i) sum[i] = _mm512_set1_ps(static_cast<float>(i));
  for (int64_t n = 0; n < p.count; ++n) {
#pragma GCC unroll 16
    for (int i = 0; i < dots; ++i) sum[i] = _mm512_dpbf16_ps(sum[i], x, y);
  }
  for (int i = 1; i < dots; ++i) sum[0] = _mm512_add_ps(sum[0], sum[i]);
  _mm512_storeu_ps(call.operands[0], sum[0]);
  *p.done = 64.0 * dots * static_cast<double>(p.count);
}
#endif

#if PUSHFORWARD_LANES == 16 && __has_include(<amxbf16intrin.h>)
#define PUSHFORWARD_PEAK_TILES
/** Palette 1: for each tile its rows and the bytes of a row. */
struct alignas(64) TileShapes {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t rowBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

/** Six products a unit of 16 × 32 by 32 × 16, each into a tile of its own: six cover the latency of one. */
__attribute__((target("amx-tile,amx-bf16"))) void peakTiles(const KernelCall& call) {
  const PeakParameters& p = block(call);
  const TileShapes shapes;
  _tile_loadconfig(&shapes);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_loadd(6, call.operands[0], 64);
  _tile_loadd(7, call.operands[0], 64);
  for (int64_t n = 0; n < p.count; ++n) {
    _tile_dpbf16ps(0, 6, 7);
    _tile_dpbf16ps(1, 6, 7);
    _tile_dpbf16ps(2, 6, 7);
    _tile_dpbf16ps(3, 6, 7);
    _tile_dpbf16ps(4, 6, 7);
    _tile_dpbf16ps(5, 6, 7);
  }
  _tile_stored(0, call.operands[0], 64);
  _tile_release();
  *p.done = 6.0 * 2 * 16 * 16 * 32 * static_cast<double>(p.count);
}
#endif

}  // namespace

PUSHFORWARD_CPU_KERNEL(peak_fma, peakFma, nullptr)
PUSHFORWARD_CPU_KERNEL(peak_add, peakAdd, nullptr)
PUSHFORWARD_CPU_KERNEL(peak_read, peakRead, nullptr)
PUSHFORWARD_CPU_KERNEL(peak_update, peakUpdate, nullptr)
PUSHFORWARD_CPU_KERNEL(peak_words, peakWords, nullptr)
PUSHFORWARD_CPU_KERNEL(peak_gaussians, peakGaussians, nullptr)
#ifdef PUSHFORWARD_PEAK_DOTS
PUSHFORWARD_CPU_KERNEL(peak_dots, peakDots, nullptr)
#endif
#ifdef PUSHFORWARD_PEAK_TILES
PUSHFORWARD_CPU_KERNEL(peak_tiles, peakTiles, nullptr)
#endif

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
