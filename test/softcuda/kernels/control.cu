// Divergence, calls, jump tables, local arrays, variables.
__device__ int table[8] = {3, 1, 4, 1, 5, 9, 2, 6};
__constant__ float scales[4] = {0.5f, 1, 2, 4};
__device__ const int* pointer = table + 2;
__device__ int counter;

__device__ __noinline__ int collatz(int n) {
  int steps = 0;
  while (n != 1) n = n % 2 ? 3 * n + 1 : n / 2, ++steps;
  return steps;
}
struct Pair {
  int a;
  float b;
};
__device__ __noinline__ Pair swap(Pair p, short s) { return Pair{(int)p.b + s, (float)p.a}; }

extern "C" __global__ void diverge(int* y) {
  int t = threadIdx.x, r = 0;
  for (int i = 0; i < t % 7; ++i) {
    if (i == 4) break;
    if ((t + i) % 3 == 0) continue;
    r += t * i;
  }
  r += t % 2 ? collatz(t + 1) : -1;
  unsigned all = __ballot_sync(0xFFFFFFFFu, r > 10);
  y[t] = r + (int)(all & 15);
}
extern "C" __global__ void calls(int* y) {
  int t = threadIdx.x;
  Pair p = {t, t * 2.0f};
  if (t % 3) p = swap(p, (short)-t);
  p = swap(p, 1);
  y[t] = p.a * 1000 + (int)p.b;
}
extern "C" __global__ void jumps(int* y, int n) {
  int t = threadIdx.x, r;
  switch (t % n) {
    case 0:
      r = t * t;
      break;
    case 1:
      r = table[t % 8];
      break;
    case 2:
      r = (int)(scales[t % 4] * 8);
      break;
    case 3:
      r = pointer[0];
      break;
    case 4:
      r = atomicAdd(&counter, 1) >= 0;
      break;
    case 5:
      r = __popc(t);
      break;
    case 6:
      r = __clz(t);
      break;
    default:
      r = -t;
  }
  y[t] = r;
}
extern "C" __global__ void local_array(int* y, int n) {
  int a[16];
  for (int i = 0; i < 16; ++i) a[i] = i * threadIdx.x;
  for (int i = 0; i < n; ++i) a[(i * 5 + threadIdx.x) % 16] += a[(i + 3) % 16];
  int s = 0;
  for (int i = 0; i < 16; ++i) s = s * 3 + a[i];
  y[threadIdx.x] = s;
}
extern "C" __global__ void shuffles(int* y) {
  int t = threadIdx.x, v = t * t;
  y[t] = __shfl_sync(~0u, v, t + 5, 8);
  y[t + 32] = __shfl_up_sync(~0u, v, 3, 16);
  y[t + 64] = __shfl_down_sync(~0u, v, 3, 16);
  y[t + 96] = __shfl_xor_sync(~0u, v, 9);
  y[t + 128] = __match_any_sync(~0u, v % 5);
  y[t + 160] = __reduce_add_sync(~0u, v);
  y[t + 192] = __reduce_max_sync(~0u, v % 50);
  y[t + 224] = t < 9 ? __activemask() : __any_sync(0xFFFFFE00u, t == 20) + 2 * __all_sync(0xFFFFFE00u, t > 10);
}
extern "C" __global__ void counts(const int* x, int* y, float* z) {
  extern __shared__ float dynamic[];
  int t = threadIdx.x + blockDim.x * threadIdx.y;
  dynamic[t] = x[t];
  y[t] = __syncthreads_count(x[t] > 0);
  y[t] += 1000 * __syncthreads_or(x[t] == 3) + 2000 * __syncthreads_and(x[t] < 100);
  z[t] = dynamic[blockDim.x * blockDim.y - 1 - t];
}
extern "C" __global__ void atomics(int* i, unsigned* u, unsigned long long* l, float* f, double* d) {
  int t = blockIdx.x * blockDim.x + threadIdx.x;
  __shared__ int s[2];
  if (threadIdx.x < 2) s[threadIdx.x] = 0;
  __syncthreads();
  atomicAdd(&s[t & 1], t);
  atomicAdd(i, t), atomicMin(i + 1, -t), atomicMax(i + 2, t), atomicExch(i + 3 + t % 2, 7);
  atomicAnd(u, ~(1u << t % 32)), atomicOr(u + 1, 1u << t % 32), atomicXor(u + 2, t);
  atomicInc(u + 3, 5), atomicAdd(l, 1ull << 33);
  atomicAdd(f, 0.5f), atomicAdd(d, 0.25);
  for (unsigned old = u[4 + 0 * t], seen; (seen = atomicCAS(u + 5, old, old + 1)) != old;) old = seen;
  __syncthreads();
  if (threadIdx.x < 2) atomicAdd(i + 5 + threadIdx.x, s[threadIdx.x]);
}
