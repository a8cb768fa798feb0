// Tangents as kernels draw them: quads of a row, four columns from a multiple of four on, which are one block of Philox's words.
#pragma once
#include "core/philox.h"
#include "core/tangent.h"
#include "cuda/step_state.h"

namespace pushforward::cuda {

constexpr int quadColumns = 4;

__device__ __forceinline__ Draw drawOf(const TangentOperand& operand, const RunState& run, int64_t direction) {
  return {{run.key[0], run.key[1]}, operand.parameter, operand.stream, static_cast<uint32_t>(direction), run.step};
}

/** a / b of numbers that are not negative: 32 bits, where they suffice, take a third of the instructions. */
__device__ __forceinline__ int64_t quotient(int64_t a, int64_t b) {
  return ((a | b) >> 32) == 0 ? static_cast<int64_t>(static_cast<uint32_t>(a) / static_cast<uint32_t>(b)) : a / b;
}

struct Quad {
  int64_t row, column;
};

/** Quad `index` of a tensor [·, n]. */
__device__ __forceinline__ Quad quadAt(int64_t index, int64_t n) {
  const int64_t quads = (n + quadColumns - 1) / quadColumns, row = quotient(index, quads);
  return {row, (index - row * quads) * quadColumns};
}

// Those of a row beyond n are drawn too, and left to the caller to drop.

__device__ __forceinline__ void wordQuad(const Draw& draw, int64_t n, const Quad& at, uint32_t w[4]) {
  drawBlock(draw, static_cast<uint32_t>(at.row * ((n + 3) / 4) + at.column / 4), w);
}

__device__ __forceinline__ void uniformQuad(const Draw& draw, int64_t n, const Quad& at, float v[4]) {
  uint32_t w[4];
  wordQuad(draw, n, at, w);
  uniformPair(w[0], w[1], v[0], v[1]);
  uniformPair(w[2], w[3], v[2], v[3]);
}

__device__ __forceinline__ void gaussianQuad(const Draw& draw, int64_t n, const Quad& at, float v[4]) {
  uint32_t w[4];
  wordQuad(draw, n, at, w);
  gaussianPair(w[0], w[1], v[0], v[1]);
  gaussianPair(w[2], w[3], v[2], v[3]);
}

/** Words of a block, chosen without an array that is indexed by data. */
__device__ __forceinline__ uint32_t wordOf(const uint32_t w[4], int index) {
  const uint32_t low = (index & 1) != 0 ? w[1] : w[0], high = (index & 1) != 0 ? w[3] : w[2];
  return (index & 2) != 0 ? high : low;
}

/** ±1: the sign bit of 1.0 is the bit drawn. */
__device__ __forceinline__ float signOf(uint32_t bits, int bit) {
  return __uint_as_float(0x3F800000u | ((bits >> bit) << 31));
}

__device__ __forceinline__ void rademacherQuad(const Draw& draw, int64_t n, const Quad& at, float v[4]) {
  uint32_t w[4];
  drawBlock(draw, static_cast<uint32_t>(at.row * ((n + 127) / 128) + at.column / 128), w);
  const uint32_t bits = wordOf(w, static_cast<int>(at.column / 32 % 4)) >> (at.column % 32);
#pragma unroll
  for (int i = 0; i < quadColumns; ++i) v[i] = signOf(bits, i);
}

/** gaussian or rademacher. */
__device__ __forceinline__ void tangentQuad(TangentKind kind, const Draw& draw, int64_t n, const Quad& at, float v[4]) {
  if (kind == TangentKind::gaussian)
    gaussianQuad(draw, n, at, v);
  else
    rademacherQuad(draw, n, at, v);
}

/** Factor q of a low-rank tangent: a Draw of one row. */
__device__ __forceinline__ Draw factorOf(const Draw& draw, uint32_t stream, int rank, int q) {
  Draw factor = draw;
  factor.stream = stream;
  factor.direction = draw.direction * static_cast<uint32_t>(rank) + static_cast<uint32_t>(q);
  return factor;
}

/** Σ_q a_q[row] b_q[column], of V = (1/√rank) Σ_q a_q b_qᵀ [rows, n]. */
__device__ __forceinline__ void lowRankQuad(const Draw& draw, int rank, int64_t rows, int64_t n, const Quad& at,
                                            float v[4]) {
#pragma unroll
  for (int i = 0; i < quadColumns; ++i) v[i] = 0.0f;
#pragma unroll 1
  for (int q = 0; q < rank; ++q) {
    float left[4], right[4];
    rademacherQuad(factorOf(draw, leftStream, rank, q), rows, {0, at.row / 4 * 4}, left);
    rademacherQuad(factorOf(draw, rightStream, rank, q), n, {0, at.column}, right);
    const float low = (at.row & 1) != 0 ? left[1] : left[0], high = (at.row & 1) != 0 ? left[3] : left[2];
    const float a = (at.row & 2) != 0 ? high : low;
#pragma unroll
    for (int i = 0; i < quadColumns; ++i) v[i] += a * right[i];
  }
}

__device__ __forceinline__ float lowRankScale(int rank) {
  return static_cast<float>(1.0 / sqrt(static_cast<double>(rank)));
}

}  // namespace pushforward::cuda
