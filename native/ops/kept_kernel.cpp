// keepFactors, mergeFactors: formulas and order of the factors stand in kept.h.
#include "ops/kept.h"

#include "core/philox.h"
#include "cpu/parallel.h"
#include "cpu/tangent_panel.h"
#include "ops/kept_lines.h"
#include "ops/planes.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

/** Draws a factor [n] of the step and keeps it, times c. */
static void keepFactor(const KernelCall& call, uint32_t stream, int64_t n, float c, int64_t capacity, float* lines) {
  const KeptParameters& p = *static_cast<const KeptParameters*>(call.parameters);
  const RunState& state = *call.state;
  const Draw draw = {{state.key[0], state.key[1]}, p.tangent.parameter, stream, 0, state.step};
  constexpr int64_t piece = 128;
  alignas(64) float drawn[piece];
  for (int64_t i = 0; i < n; i += piece) {
    const int64_t count = minimum(piece, n - i);
    fillTangentPanel(TangentKind::rademacher, draw, n, 0, 1, i, count, drawn, piece);
    for (int64_t j = count; j < roundUp(count, tileColumns); ++j) drawn[j] = 0.0f;
    for (int64_t j = 0; j < count; j += tileColumns) {
      float* to = lines + ((i + j) / tileColumns * capacity + state.kept) * tileColumns;
      for (int64_t v = 0; v < tileColumns; v += lanes) store(to + v, load(drawn + j + v) * c);
    }
  }
}

static void keepFactors(const KernelCall& call) {
  const KeptParameters& p = *static_cast<const KeptParameters*>(call.parameters);
  float* kept = static_cast<float*>(call.operands[0]);
  const float c = *static_cast<const float*>(call.operands[1]);
  keepFactor(call, leftStream, p.rows, -static_cast<float>(call.state->rate) * c, p.capacity, kept);
  keepFactor(call, rightStream, p.n, 1.0f, p.capacity, kept + rightBegin(p.rows, p.capacity));
}

constexpr int mergedRows = lanes == 16 ? 8 : 4;
constexpr int64_t mergeAhead = 512;  // floats

/** g = Σ_f a_f b_fᵀ for some rows and a panel's columns. */
PUSHFORWARD_INLINE void sumFactors(const float* left, const float* right, int64_t count,
                                   Float g[mergedRows][tileVectors]) {
#pragma GCC unroll 8
  for (int r = 0; r < mergedRows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < tileVectors; ++v) g[r][v] = Float{};
  for (int64_t f = 0; f < count; ++f, left += tileColumns, right += tileColumns) {
    const Float b[tileVectors] = {load(right), load(right + lanes)};
#pragma GCC unroll 8
    for (int r = 0; r < mergedRows; ++r) {
      const Float a = broadcast(left[r]);
#pragma GCC unroll 2
      for (int v = 0; v < tileVectors; ++v) g[r][v] = multiplyAdd(a, b[v], g[r][v]);
    }
  }
}

/** A panel of floats. */
static void mergeIntoPanel(const Kept& kept, int64_t rows, int64_t column, float* panel) {
  Float g[mergedRows][tileVectors];
  for (int64_t i = 0; i < rows; i += mergedRows, panel += mergedRows * tileColumns) {
    for (int64_t j = 0; j < mergedRows * tileColumns; j += 16) __builtin_prefetch(panel + j + mergeAhead, 1);
    sumFactors(kept.leftAt(i), kept.rightAt(column), kept.count, g);
#pragma GCC unroll 8
    for (int r = 0; r < mergedRows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < tileVectors; ++v) {
        float* to = panel + r * tileColumns + v * lanes;
        store(to, load(to) + g[r][v]);
      }
  }
}

/** A panel of planes, whose low halves lie `low` words further on. */
static void mergeIntoPlanes(const Kept& kept, int64_t rows, int64_t column, uint32_t* high, int64_t low) {
  Float g[mergedRows][tileVectors];
  for (int64_t i = 0; i < rows; i += mergedRows, high += mergedRows / 2 * tileColumns) {
    for (int64_t j = 0; j < mergedRows / 2 * tileColumns; j += 16) {
      __builtin_prefetch(high + j + mergeAhead, 1);
      __builtin_prefetch(high + low + j + mergeAhead, 1);
    }
    sumFactors(kept.leftAt(i), kept.rightAt(column), kept.count, g);
#pragma GCC unroll 4
    for (int r = 0; r < mergedRows; r += 2)
#pragma GCC unroll 2
      for (int v = 0; v < tileVectors; ++v) {
        uint32_t* to = high + r / 2 * tileColumns + v * lanes;
        Float upper, lower;
        loadPlanes(to, to + low, upper, lower);
        storePlanes(upper + g[r][v], lower + g[r + 1][v], to, to + low);
      }
  }
}

static void mergeFactors(const KernelCall& call) {
  const KeptParameters& p = *static_cast<const KeptParameters*>(call.parameters);
  float* w = static_cast<float*>(call.operands[0]);
  const Kept kept(static_cast<const float*>(call.operands[1]), p.rows, p.capacity, call.state->kept);
  parallelFor(call, p.n / tileColumns, [&](int64_t panel, int) {
    const int64_t column = panel * tileColumns;
    if (p.layout == WeightLayout::planes)
      mergeIntoPlanes(kept, p.rows, column, reinterpret_cast<uint32_t*>(w) + column * p.rows / 2, p.rows * p.n / 2);
    else
      mergeIntoPanel(kept, p.rows, column, w + column * p.rows);
  });
}

PUSHFORWARD_CPU_KERNEL(keepFactors, keepFactors, nullptr)
PUSHFORWARD_CPU_KERNEL(mergeFactors, mergeFactors, nullptr)

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
