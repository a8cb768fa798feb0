// One fault a kernel.
extern "C" __global__ void scale_right(const float* x, float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = 2 * x[i];
}
extern "C" __global__ void scale_no_guard(const float* x, float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  y[i] = 2 * x[i];
}
extern "C" __global__ void before_start(float* y) { y[(int)threadIdx.x - 1] = 1; }
extern "C" __global__ void misaligned(char* y) { *(float*)(y + 4 * threadIdx.x + 2) = 1; }
extern "C" __global__ void misaligned_vector(float* y) { ((float4*)(y + 1))[threadIdx.x] = make_float4(1, 2, 3, 4); }
extern "C" __global__ void shared_unwritten(float* y) {
  __shared__ float s[64];
  if (threadIdx.x < 31) s[threadIdx.x] = threadIdx.x;
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x];
}
extern "C" __global__ void shared_past_end(float* y, int n) {
  __shared__ float s[32];
  s[threadIdx.x + n] = 1;
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x + n];
}
extern "C" __global__ void barrier_right(float* y) {
  __syncthreads();
  if (threadIdx.x < 48) y[threadIdx.x] = 1;
}
extern "C" __global__ void barrier_some_lanes(float* y) {
  if (threadIdx.x < 48) {
    y[threadIdx.x] = 1;
    __syncthreads();
    y[threadIdx.x] += 1;
  }
}
extern "C" __global__ void barrier_some_warps(float* y) {
  if (threadIdx.x < 32) {
    y[threadIdx.x] = 1;
    __syncthreads();
    y[threadIdx.x] += 1;
  }
}
extern "C" __global__ void barrier_after_return(float* y, int n) {
  if (threadIdx.x >= n) return;
  y[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] += y[n - 1 - threadIdx.x];
}
extern "C" __global__ void endless(volatile int* y) {
  while (y[0] == 0) {
  }
}
extern "C" __global__ void assertion(const int* x) {
  if (x[threadIdx.x] != 0) __trap();
}
// Global memory between blocks and between threads of a block.
extern "C" __global__ void shift_in_place(float* x, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i + 1 < n) x[i] = x[i + 1];
}
// Every block reads what the next one writes.
extern "C" __global__ void shift_blocks(float* x, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  x[i] = x[(i + blockDim.x) % n];
}
extern "C" __global__ void same_value(float* y) { y[0] = 7; }
extern "C" __global__ void different_values(float* y) { y[0] = threadIdx.x; }
extern "C" __global__ void histogram(const unsigned char* x, unsigned* bins, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) atomicAdd(bins + x[i], 1u);
}
extern "C" __global__ void histogram_not_atomic(const unsigned char* x, unsigned* bins, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) bins[x[i]]++;
}
// Bytes and 16-bit words next to each other belong to different threads: no race.
extern "C" __global__ void bytes_right(unsigned char* y, unsigned short* z, int n) {
  int i = blockIdx.x * blockDim.x + (threadIdx.x * 37) % blockDim.x;
  if (i < n) {
    y[i] = i;
    z[i] = z[i] + y[i];
  }
}
