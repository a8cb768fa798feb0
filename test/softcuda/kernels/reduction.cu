// A sum over a block of 256 threads in shared memory, and mutants of it.
template <bool firstBarrier, bool loopBarrier>
__device__ void sum(const float* x, float* y) {
  __shared__ float part[256];
  int t = threadIdx.x;
  part[t] = x[blockIdx.x * 256 + t];
  if (firstBarrier) __syncthreads();
  for (int n = 128; n > 0; n /= 2) {
    if (t < n) part[t] += part[t + n];
    if (loopBarrier) __syncthreads();
  }
  if (t == 0) y[blockIdx.x] = part[0];
}
extern "C" __global__ void sum_right(const float* x, float* y) { sum<true, true>(x, y); }
// Warps run one after another here, so without the barriers the sum happens to be right in some order of the warps.
extern "C" __global__ void sum_no_first_barrier(const float* x, float* y) { sum<false, true>(x, y); }
extern "C" __global__ void sum_no_loop_barrier(const float* x, float* y) { sum<true, false>(x, y); }

// The last 32 values within one warp: the barrier of the warp is needed.
template <bool barrier>
__device__ void synchronise() {
  if (barrier)
    __syncwarp();
  else
    asm volatile("" ::: "memory");  // only the compiler is held to the order
}
template <bool barrier>
__device__ void warpSum(const float* x, float* y) {
  __shared__ float part[64];
  int t = threadIdx.x;
  part[t] = x[t];
  part[t + 32] = x[t + 32];
  for (int n = 32; n > 0; n /= 2) {
    synchronise<barrier>();
    float v = part[t + n];
    synchronise<barrier>();
    part[t] += t < n ? v : 0.0f;
  }
  if (t == 0) y[0] = part[0];
}
extern "C" __global__ void warp_sum_right(const float* x, float* y) { warpSum<true>(x, y); }
extern "C" __global__ void warp_sum_no_barrier(const float* x, float* y) { warpSum<false>(x, y); }

extern "C" __global__ void shuffle_sum_right(const float* x, float* y) {
  float v = x[threadIdx.x];
  for (int n = 16; n > 0; n /= 2) v += __shfl_down_sync(0xFFFFFFFFu, v, n);
  if (threadIdx.x == 0) y[0] = v;
}
extern "C" __global__ void shuffle_sum_few_lanes(const float* x, float* y) {
  float v = x[threadIdx.x];
  if (threadIdx.x < 8) {
    for (int n = 4; n > 0; n /= 2) v += __shfl_xor_sync(0xFFFFFFFFu, v, n);
    y[threadIdx.x] = v;
  }
}
extern "C" __global__ void vote_few_lanes(const float* x, unsigned* y) {
  if (threadIdx.x < 8) y[threadIdx.x] = __ballot_sync(0xFFFFFFFFu, x[threadIdx.x] > 0);
}

// The last block to finish adds up what the others wrote: ordered by fence and atomic operation.
template <bool fence>
__device__ void lastBlock(const float* x, float* parts, unsigned* done, float* y) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    parts[blockIdx.x] = x[blockIdx.x];
    if (fence) __threadfence();
    last = atomicAdd(done, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && threadIdx.x == 0) {
    float s = 0;
    for (unsigned k = 0; k < gridDim.x; ++k) s += parts[k];
    y[0] = s;
  }
}
extern "C" __global__ void last_block_right(const float* x, float* p, unsigned* d, float* y) {
  lastBlock<true>(x, p, d, y);
}
extern "C" __global__ void last_block_no_fence(const float* x, float* p, unsigned* d, float* y) {
  lastBlock<false>(x, p, d, y);
}
