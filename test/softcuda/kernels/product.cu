// C = A B in tiles of 16 x 16, and mutants of it.
enum { kRight, kNoBarrierBefore, kNoBarrierAfter, kNoLoadGuard, kNoStoreGuard };
template <int mutant>
__device__ void product(const float* a, const float* b, float* c, int m, int n, int k) {
  __shared__ float as[16][17], bs[16][16];
  int x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * 16 + y, column = blockIdx.x * 16 + x;
  float sum = 0;
  for (int at = 0; at < k; at += 16) {
    as[y][x] = mutant == kNoLoadGuard || (row < m && at + x < k) ? a[row * k + at + x] : 0.0f;
    bs[y][x] = at + y < k && column < n ? b[(at + y) * n + column] : 0.0f;
    if (mutant != kNoBarrierBefore) __syncthreads();
    for (int i = 0; i < 16; ++i) sum = fmaf(as[y][i], bs[i][x], sum);
    if (mutant != kNoBarrierAfter) __syncthreads();
  }
  if (mutant == kNoStoreGuard || (row < m && column < n)) c[row * n + column] = sum;
}
#define KERNEL(name, mutant)                                                                       \
  extern "C" __global__ void name(const float* a, const float* b, float* c, int m, int n, int k) { \
    product<mutant>(a, b, c, m, n, k);                                                             \
  }
KERNEL(product_right, kRight)
KERNEL(product_no_barrier_before, kNoBarrierBefore)
KERNEL(product_no_barrier_after, kNoBarrierAfter)
KERNEL(product_no_load_guard, kNoLoadGuard)
KERNEL(product_no_store_guard, kNoStoreGuard)
