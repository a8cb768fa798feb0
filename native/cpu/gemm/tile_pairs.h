// The innermost product of pairs of bf16, on AVX512-BF16: c[i, j] (+)= Σ_p a[p, i]·b[p, j], both products of a pair at
// once. Only the compiler's permission to use VDPBF16PS sets these functions apart from others built for AVX-512.
#pragma once
#include "cpu/gemm/tile.h"

#if PUSHFORWARD_LANES == 16
namespace pushforward::cpu::PUSHFORWARD_ISA {

#define PUSHFORWARD_AVX512BF16 __attribute__((target("avx512bf16")))

/** 14 × 2 accumulators and two of b; a is broadcast from memory. As multiplyTile, `pairs` of depth. */
template <int rows, int vectors>
PUSHFORWARD_AVX512BF16 static void multiplyPairTile(int64_t pairs, const uint32_t* a, const uint32_t* b,
                                                    int64_t bStride, float* c, int64_t cStride, int columns,
                                                    bool accumulate, Prefetch next) {
  __m512 sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sum[i][v] = __m512{};
  for (int64_t p = 0; p < pairs; ++p) {
    __m512bh right[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) right[v] = (__m512bh)_mm512_loadu_si512(b + v * lanes);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      int32_t pair;
      __builtin_memcpy(&pair, a + i, sizeof pair);
      const __m512bh left = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sum[i][v] = _mm512_dpbf16_ps(sum[i][v], left, right[v]);
    }
    __builtin_prefetch(next.data, 0, 2);
    __builtin_prefetch(next.data + next.second, 0, 2);
    next.data += next.stride;
    a += rows;
    b += bStride;
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      const int count = columns - v * lanes;
      if (count <= 0) continue;
      const __mmask16 mask = count >= lanes ? __mmask16(0xFFFF) : __mmask16((1u << count) - 1u);
      float* to = c + i * cStride + v * lanes;
      if (accumulate) sum[i][v] += _mm512_maskz_loadu_ps(mask, to);
      _mm512_mask_storeu_ps(to, mask, sum[i][v]);
    }
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
#endif
