// How the operands of a convolution lie: the Formats that its kernels are templates over, and how those are registered. A strip (or the copied
// patches) has elements of a Format in the places where the image's floats would lie; a panel is made of floats in place.
#pragma once
#include "cpu/gemm/conv_amx.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

PUSHFORWARD_INLINE void zeroFloats(float* to, int64_t count) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(to + i, Float{});
  if (i < count) storePartial(to + i, Float{}, static_cast<int>(count - i));
}

struct FloatElements {
  using Terms = Singles;
  using Element = float;
  static constexpr bool rounded = false;
  static constexpr int64_t rows = tileRows;                // of a block
  static constexpr int64_t together = 1;                   // tiles of blocks, at most
  static constexpr int64_t depthStep = 16;                 // a pass's depth is a multiple, where it is not the last
  static constexpr int64_t slack = 0;                      // rows of patches that are read beyond the last, at most
  static constexpr int64_t tilesOf(int64_t) { return 1; }  // of a block of so many rows
  static void begin() {}                                   // before and after the products of a task
  static void end() {}

  /** Whether images of so many channels can lie so; if not, they lie as `Else` has them. */
  using Else = FloatElements;
  static constexpr bool fits(int64_t) { return true; }

  static void copy(float* to, const float* from, int64_t count) { copyFloats(to, from, count); }
  static void zero(float* to, int64_t count) { zeroFloats(to, count); }

  /** Rows of a panel, [depth, columns] of floats padded to whole vectors, to rows of `out`; returns how many. */
  static int64_t finishRows(const float*, int64_t, int64_t depth, float*) { return depth; }
  template <class At>
  static void multiply(const Blocks<float>& blocks, const float* matrix, int64_t depth, int64_t columns,
                       int64_t cStride, const At& at) {
    multiplyEach<Singles>(blocks, matrix, depth, columns, cStride, at);
  }

  // For sums over pixels: a strip of floats, a pixel `step` floats behind the last, and rows of a panel of δ.
  static void finishStrip(float*, int64_t, int64_t) {}
  static int64_t packRows(Matrix delta, int64_t columns, int64_t pixels, float* out) {
    packColumns(delta, columns, pixels, out);
    return pixels;
  }
};

/** Rounded to bf16, held as float32: for every instruction set. */
struct RoundedElements : FloatElements {
  static constexpr bool rounded = true;
  static void copy(float* to, const float* from, int64_t count) {
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(to + i, roundBf16(load(from + i)));
    const int rest = static_cast<int>(count - i);
    if (rest > 0) storePartial(to + i, roundBf16(loadPartial(from + i, rest)), rest);
  }
  static int64_t finishRows(const float*, int64_t, int64_t depth, float* out) {
    roundFloats(out, depth * tileColumns);
    return depth;
  }
  static void finishStrip(float* strip, int64_t count, int64_t) { roundFloats(strip, count); }
  static int64_t packRows(Matrix delta, int64_t columns, int64_t pixels, float* out) {
    packColumns(delta, columns, pixels, out);
    return finishRows(out, columns, pixels, out);
  }
};

#if PUSHFORWARD_LANES == 16

/** bf16, of which VDPBF16PS takes two neighbours; sums over pixels take words of a pixel and the next. */
struct PairElements : FloatElements {
  using Terms = Pairs;
  using Element = uint16_t;
  static constexpr bool rounded = true;
  static void copy(uint16_t* to, const float* from, int64_t count) {
    const auto upper = [](Float x) { return _mm512_cvtepi32_epi16((__m512i)(bf16Bits(x) >> 16)); };
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes) _mm256_storeu_si256((__m256i*)(to + i), upper(load(from + i)));
    const int rest = static_cast<int>(count - i);
    if (rest > 0) _mm256_mask_storeu_epi16(to + i, firstLanes(rest), upper(loadPartial(from + i, rest)));
  }
  static void zero(uint16_t* to, int64_t count) { __builtin_memset(to, 0, static_cast<size_t>(2 * count)); }
  static int64_t finishRows(const float* rows, int64_t columns, int64_t depth, float* out) {
    pairPanel(rows, columns, depth, out);
    padPanel(out, columns, ceilDivide(depth, 2));
    return ceilDivide(depth, 2);
  }
  template <class At>
  static void multiply(const Blocks<uint16_t>& blocks, const float* matrix, int64_t depth, int64_t columns,
                       int64_t cStride, const At& at) {
    multiplyEach<Pairs>(blocks, matrix, depth, columns, cStride, at);
  }

  static void finishStrip(float* strip, int64_t count, int64_t step) { pairAlong(strip, count, step); }
  static int64_t packRows(Matrix delta, int64_t columns, int64_t pixels, float* out) {
    packPairs({delta.data, delta.columnStride, delta.rowStride}, columns, pixels, reinterpret_cast<uint32_t*>(out),
              tileColumns);
    padPanel(out, columns, ceilDivide(pixels, 2));
    return ceilDivide(pixels, 2);
  }
};

/**
 * bf16 in whole tiles of AMX, of channels that fill their rows and cache lines. Sums over pixels are RoundedElements': where there is AMX,
 * VDPBF16PS makes half the sums a cycle that float32 does (measured on Emerald Rapids), so no other channels are pairs either.
 */
struct TileElements : RoundedElements {
  using Element = uint16_t;
  static constexpr int64_t rows = 2 * tileSide, together = tilesTogether, depthStep = tileDepth, slack = tileSide;
  static int64_t tilesOf(int64_t rows) { return ceilDivide(rows, tileSide); }
  static void begin() { AmxTiles::configure(); }
  static void end() { AmxTiles::release(); }
  using Else = RoundedElements;
  static constexpr bool fits(int64_t channels) { return channels % depthStep == 0; }

  static void copy(uint16_t* to, const float* from, int64_t count) { PairElements::copy(to, from, count); }
  static void zero(uint16_t* to, int64_t count) { PairElements::zero(to, count); }
  static int64_t finishRows(const float* rows, int64_t columns, int64_t depth, float* out) {
    packTiles(rows, columns, depth, out);
    return depth / 2;
  }
  template <class At>
  static void multiply(const Blocks<uint16_t>& blocks, const float* matrix, int64_t depth, int64_t columns,
                       int64_t cStride, const At& at) {
    multiplyRowTiles<AmxTiles>(blocks, matrix, depth, columns, cStride, at);
  }
};

// Kernel `name`, a template over Formats, for float32 and, as name_bf16, for bf16; `scratch` is a template too.
#define PUSHFORWARD_CONVOLUTION_KERNEL(name, function, scratch)                                   \
  PUSHFORWARD_CPU_KERNEL(name, function<FloatElements>, scratch<FloatElements>)                   \
  PUSHFORWARD_CPU_KERNEL(name##_bf16, function<RoundedElements>, scratch<RoundedElements>)        \
  namespace pairs {                                                                               \
  PUSHFORWARD_KERNEL_IN("avx512bf16", name##_bf16, function<PairElements>, scratch<PairElements>) \
  }                                                                                               \
  namespace tiles {                                                                               \
  PUSHFORWARD_KERNEL_IN("amx", name##_bf16, function<TileElements>, scratch<TileElements>)        \
  }

#else

#define PUSHFORWARD_CONVOLUTION_KERNEL(name, function, scratch)                 \
  PUSHFORWARD_CPU_KERNEL(name, function<FloatElements>, scratch<FloatElements>) \
  PUSHFORWARD_CPU_KERNEL(name##_bf16, function<RoundedElements>, scratch<RoundedElements>)

#endif

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
