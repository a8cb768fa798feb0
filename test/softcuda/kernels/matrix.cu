#include <cuda_bf16.h>
// C [16, 8] = A [16, 16] B [16, 8] by one warp, with ldmatrix and mma, and a mutant.
template <bool swapped>
__device__ void product(const __nv_bfloat16* a, const __nv_bfloat16* b, float* c) {
  __shared__ __align__(16) __nv_bfloat16 as[16][16], bs[16][8];
  int t = threadIdx.x;
  for (int i = t; i < 256; i += 32) as[i / 16][i % 16] = a[i];
  for (int i = t; i < 128; i += 32) bs[i / 8][i % 8] = b[i];
  __syncthreads();
  unsigned r[4], s[2];
  unsigned at = (unsigned)__cvta_generic_to_shared(&as[t % 16][t / 16 * 8]);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(at));
  at = (unsigned)__cvta_generic_to_shared(&bs[t % 16][0]);
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];" : "=r"(s[0]), "=r"(s[1]) : "r"(at));
  float d[4] = {};
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(r[0]), "r"(r[swapped ? 2 : 1]), "r"(r[swapped ? 1 : 2]), "r"(r[3]), "r"(s[0]), "r"(s[1]));
  for (int e = 0; e < 4; ++e) c[(t / 4 + e / 2 * 8) * 8 + t % 4 * 2 + e % 2] = d[e];
}
extern "C" __global__ void matrix_right(const __nv_bfloat16* a, const __nv_bfloat16* b, float* c) {
  product<false>(a, b, c);
}
extern "C" __global__ void matrix_swapped(const __nv_bfloat16* a, const __nv_bfloat16* b, float* c) {
  product<true>(a, b, c);
}

// tf32 operands with and without rounding
template <bool rounded>
__device__ void tf32(const float* x, float* c) {
  int t = threadIdx.x;
  unsigned u = __float_as_uint(x[t]);
  if (rounded) asm volatile("cvt.rna.tf32.f32 %0, %1;" : "=r"(u) : "f"(x[t]));
  float d[4] = {};
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %4, %4, %4}, {%4, %4}, {%0, %1, %2, "
      "%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(u));
  for (int e = 0; e < 4; ++e) c[t * 4 + e] = d[e];
}
extern "C" __global__ void tf32_right(const float* x, float* c) { tf32<true>(x, c); }
extern "C" __global__ void tf32_not_rounded(const float* x, float* c) { tf32<false>(x, c); }
