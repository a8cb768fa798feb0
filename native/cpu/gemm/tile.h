// The innermost product: c[i, j] (+)= Σ_p a[p, i] b[p, j] for a tile of `rows` × `columns`, which stays in registers
// for all p < depth. Each element is one chain of fused multiply-adds in the order of p, so no way of cutting rows
// and columns changes a bit.
#pragma once
#include "cpu/vector.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr int tileVectors = 2;
constexpr int tileColumns = tileVectors * lanes;
// Accumulators, tileVectors of b and one of a fill the registers: 32 with AVX-512, else 16.
constexpr int tileRows = lanes == 16 ? 14 : lanes == 8 ? 6 : 4;

/**
 * What the next panel will be made of, brought into L2 meanwhile: for each step of p one address, `stride` floats
 * after the last, and the one `second` floats on. And lines that results will be written to.
 */
struct Prefetch {
  const float* data;
  int64_t stride, second;
  const float* written = nullptr;
  int64_t writtenStride = 0;
};

// Steps of p from one line of results that is fetched to the next.
constexpr int fetchSteps = 4;

/** b has tileColumns columns, bStride apart; fewer `columns` only limits what is written. */
template <int rows, int vectors>
static void multiplyTile(int64_t depth, const float* a, const float* b, int64_t bStride, float* c, int64_t cStride,
                         int columns, bool accumulate, Prefetch next) {
  Float sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sum[i][v] = Float{};
  const auto step = [&]() __attribute__((always_inline)) {
    Float right[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) right[v] = load(b + v * lanes);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      const Float left = broadcast(a[i]);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sum[i][v] = multiplyAdd(left, right[v], sum[i][v]);
    }
    __builtin_prefetch(next.data, 0, 2);
    __builtin_prefetch(next.data + next.second, 0, 2);
    next.data += next.stride;
    a += rows;
    b += bStride;
  };
  int64_t p = 0;
  for (int line = 0; line < rows * vectors && p + fetchSteps <= depth; ++line, p += fetchSteps) {
    __builtin_prefetch(next.written + line / vectors * next.writtenStride + line % vectors * lanes, 1, 2);
#pragma GCC unroll 4
    for (int q = 0; q < fetchSteps; ++q) step();
  }
  for (; p < depth; ++p) step();
  if (columns == vectors * lanes) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) {
        float* to = c + i * cStride + v * lanes;
        store(to, accumulate ? load(to) + sum[i][v] : sum[i][v]);
      }
  } else {
    const int whole = columns / lanes, rest = columns % lanes;
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) {
        float* to = c + i * cStride + v * lanes;
        const int count = v < whole ? lanes : v == whole ? rest : 0;
        if (count > 0) storePartial(to, accumulate ? loadPartial(to, count) + sum[i][v] : sum[i][v], count);
      }
  }
}

using TileFunction = void (*)(int64_t depth, const float* a, const float* b, int64_t bStride, float* c, int64_t cStride,
                              int columns, bool accumulate, Prefetch next);

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
