// How the operands of a convolution lie: the Formats that its kernels are templates over, and how those are registered. A strip (or the copied
// patches) has elements of a Format in the places where the image's floats would lie; a panel is made of floats in place.
#pragma once
#include "cpu/gemm/amx.h"
#include "cpu/gemm/bf16.h"
#include "cpu/gemm/conv_tile.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

PUSHFORWARD_INLINE void copyFloats(float* to, const float* from, int64_t count) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(to + i, load(from + i));
  const int rest = static_cast<int>(count - i);
  if (rest > 0) storePartial(to + i, loadPartial(from + i, rest), rest);
}
PUSHFORWARD_INLINE void zeroFloats(float* to, int64_t count) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(to + i, Float{});
  if (i < count) storePartial(to + i, Float{}, static_cast<int>(count - i));
}

struct FloatElements {
  using Terms = Singles;
  using Element = float;
  static constexpr bool rounded = false;
  static constexpr int64_t rows = tileRows;  // of a block
  static constexpr int64_t depthStep = 16;   // a pass's depth is a multiple, where it is not the last
  static constexpr int64_t slack = 0;        // rows of patches that are read beyond the last, at most
  static void begin() {}                     // before and after the products of a task
  static void end() {}

  /** Whether images of so many channels can lie so; if not, they lie as `Else` has them. */
  using Else = FloatElements;
  static constexpr bool fits(int64_t) { return true; }

  static void copy(float* to, const float* from, int64_t count) { copyFloats(to, from, count); }
  static void zero(float* to, int64_t count) { zeroFloats(to, count); }

  /** Rows of a panel, [depth, columns] of floats padded to whole vectors, to rows of `out`; returns how many. */
  static int64_t finishRows(const float*, int64_t, int64_t depth, float*) { return depth; }
  static void multiply(int64_t rows, const PieceProduct<float>& m) { multiplyPieces<Singles>(rows, m); }

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
  static void multiply(int64_t rows, const PieceProduct<uint16_t>& m) { multiplyPieces<Pairs>(rows, m); }

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
  static constexpr int64_t rows = 32, depthStep = 32, slack = 16;
  static void begin() { AmxTiles::configure(); }
  static void end() { AmxTiles::release(); }
  using Else = RoundedElements;
  static constexpr bool fits(int64_t channels) { return channels % depthStep == 0; }

  static void copy(uint16_t* to, const float* from, int64_t count) { PairElements::copy(to, from, count); }
  static void zero(uint16_t* to, int64_t count) { PairElements::zero(to, count); }
  static int64_t finishRows(const float* rows, int64_t columns, int64_t depth, float* out) {
    return PairElements::finishRows(rows, columns, depth, out);
  }

  /** Rows [row, last) of a tile to memory, `most` at a time. */
  template <int most = 8>
  static void write(const float* tile, int64_t row, int64_t last, const PieceProduct<uint16_t>& m) {
    for (; row + most <= last; row += most) {
      Float sum[most][tileVectors];
#pragma GCC unroll 8
      for (int i = 0; i < most; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < tileVectors; ++v) sum[i][v] = load(tile + (row + i) * tileColumns + v * lanes);
      Ending e = m.ending;
      if (e.left != nullptr) e.left += row;
      if (e.slopes != nullptr) e.slopes += row * e.slopeStride;
      if (e.gate != nullptr) e.gate += row * m.cStride;
      writeTile(sum, m.c + row * m.cStride, m.cStride, m.columns, e);
    }
    if constexpr (most > 1) write<most / 2>(tile, row, last, m);
  }
  static void multiply(int64_t rows, const PieceProduct<uint16_t>& m) {
    alignas(64) float tile[32 * tileColumns];
    multiplyTilePieces<AmxTiles>(rows, m.pieces, m.count, m.rowStep, m.b, m.columns, tile);
    write(tile, 0, rows, m);
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
