// cp.async in two buffers, and mutants.
__device__ void copy16(float* to, const float* from, int bytes) {
  unsigned address = (unsigned)__cvta_generic_to_shared(to);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(bytes) : "memory");
}
__device__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int n>
__device__ void waitFor() {
  asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
}

enum { kRight, kWaitOneTooFew, kNoBarrier, kNoWaitAtEnd, kNoBarrierAfter };
// y[t] = sum over steps of x[step][(t + 5) % 128]; blocks of 32 threads copy 4 floats each
template <int mutant>
__device__ void pipeline(const float* x, float* y, int steps, int floats) {
  __shared__ __align__(16) float buffer[2][128];
  int t = threadIdx.x;
  auto fetch = [&](int step) {
    int left = floats - (step * 128 + t * 4);
    int bytes = left >= 4 ? 16 : left > 0 ? 4 * left : 0;
    copy16(&buffer[step & 1][t * 4], bytes ? x + step * 128 + t * 4 : x, bytes);
  };
  float sum[4] = {};
  fetch(0);
  commit();
  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps || mutant == kNoWaitAtEnd) fetch(step + 1);
    commit();
    if (mutant == kWaitOneTooFew)
      waitFor<2>();
    else
      waitFor<1>();
    if (mutant != kNoBarrier) __syncthreads();
    for (int k = 0; k < 4; ++k) sum[k] += buffer[step & 1][(t + 32 * k + 5) % 128];
    if (mutant != kNoBarrierAfter) __syncthreads();
  }
  for (int k = 0; k < 4; ++k) y[t + 32 * k] = sum[k];
}
#define KERNEL(name, mutant)                                                         \
  extern "C" __global__ void name(const float* x, float* y, int steps, int floats) { \
    pipeline<mutant>(x, y, steps, floats);                                           \
  }
KERNEL(pipeline_right, kRight)
KERNEL(pipeline_wait_one_too_few, kWaitOneTooFew)
KERNEL(pipeline_no_barrier, kNoBarrier)
KERNEL(pipeline_no_barrier_after, kNoBarrierAfter)
KERNEL(pipeline_no_wait_at_end, kNoWaitAtEnd)
