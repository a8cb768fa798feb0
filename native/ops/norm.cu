// norm and norm_project: a row a block, in two passes for mean and variance; a row that was read stays in the cache.
#include "cuda/device.cuh"
#include "ops/norm_cuda.h"

namespace pushforward::cuda {

namespace norm {

/** Σ_i f(i), the same in every thread. */
template <class F>
__device__ __forceinline__ float rowSum(int64_t n, float* partial, const F& f) {
  float sum = 0.0f;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += f(i);
  return blockSum(sum, partial);
}

struct Moments {
  float mean, scale;  // x̂ = (x − mean) scale
};

__device__ __forceinline__ Moments momentsOf(const NormParameters& p, const float* x, float* partial) {
  const float n = static_cast<float>(p.n);
  const float mean = p.centre != 0 ? rowSum(p.n, partial, [&](int64_t i) { return x[i]; }) / n : 0.0f;
  const float squares = rowSum(p.n, partial, [&](int64_t i) { return (x[i] - mean) * (x[i] - mean); });
  return {mean, 1.0f / sqrtf(squares / n + static_cast<float>(p.epsilon))};
}

}  // namespace norm

extern "C" __global__ void norm_kernel(const NormArguments a) {
  __shared__ float partial[maxNormThreads / warpLanes];
  const NormParameters& p = a.p;
  const float* x = a.x + blockIdx.x * p.n;
  const norm::Moments row = norm::momentsOf(p, x, partial);
  float* y = a.y + blockIdx.x * p.n;
  for (int64_t i = threadIdx.x; i < p.n; i += blockDim.x) {
    float value = (x[i] - row.mean) * row.scale;
    if (a.scale != nullptr) value *= a.scale[i];
    if (a.shift != nullptr) value += a.shift[i];
    y[i] = value;
  }
}

extern "C" __global__ void norm_project_kernel(const NormProjectArguments a) {
  __shared__ float partial[maxNormThreads / warpLanes];
  const NormParameters& p = a.p;
  const float *x = a.x + blockIdx.x % p.rows * p.n, *z = a.z + blockIdx.x * p.n;
  const norm::Moments row = norm::momentsOf(p, x, partial);
  const float n = static_cast<float>(p.n);
  const float mean = p.centre != 0 ? norm::rowSum(p.n, partial, [&](int64_t i) { return z[i]; }) / n : 0.0f;
  const float along = norm::rowSum(p.n, partial, [&](int64_t i) { return (x[i] - row.mean) * row.scale * z[i]; }) / n;
  float* y = a.y + blockIdx.x * p.n;
  for (int64_t i = threadIdx.x; i < p.n; i += blockDim.x)
    y[i] = row.scale * (z[i] - mean - (x[i] - row.mean) * row.scale * along);
}

}  // namespace pushforward::cuda
