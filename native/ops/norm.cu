// norm and norm_project: a row a block, in two passes for mean and variance; a row that was read stays in the cache.
#include "cuda/device.cuh"
#include "ops/norm_cuda.h"

namespace pushforward::cuda {

namespace norm {

/** Σ_i f(i) in float64, the same in every thread. */
template <class F>
__device__ __forceinline__ double rowSum(int64_t n, double* partial, const F& f) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += f(i);
  return blockSum(sum, partial);
}

/**
 * x̂ = ((x − mean) − rest) scale. The mean is in two parts, so that x̂ is right to rounding however far from zero a row lies: one float32 is
 * wrong by ε times the mean.
 */
struct Moments {
  float mean, rest, scale;
  __device__ __forceinline__ float normalised(float x) const { return ((x - mean) - rest) * scale; }
};

__device__ __forceinline__ Moments momentsOf(const NormParameters& p, const float* x, double* partial) {
  const double n = static_cast<double>(p.n);
  const double middle = p.centre != 0 ? rowSum(p.n, partial, [&](int64_t i) { return x[i]; }) / n : 0;
  const float mean = static_cast<float>(middle), rest = static_cast<float>(middle - mean);
  const double squares = rowSum(p.n, partial, [&](int64_t i) {
    const float centred = (x[i] - mean) - rest;
    return centred * centred;
  });
  return {mean, rest, 1.0f / sqrtf(static_cast<float>(squares / n + p.epsilon))};
}

}  // namespace norm

extern "C" __global__ void norm_kernel(const NormArguments a) {
  __shared__ double partial[maxNormThreads / warpLanes];
  const NormParameters& p = a.p;
  const float* x = a.x + blockIdx.x * p.n;
  const norm::Moments row = norm::momentsOf(p, x, partial);
  float* y = a.y + blockIdx.x * p.n;
  for (int64_t i = threadIdx.x; i < p.n; i += blockDim.x) {
    float value = row.normalised(x[i]);
    if (a.scale != nullptr) value *= a.scale[i];
    if (a.shift != nullptr) value += a.shift[i];
    y[i] = value;
  }
}

extern "C" __global__ void norm_project_kernel(const NormProjectArguments a) {
  __shared__ double partial[maxNormThreads / warpLanes];
  const NormParameters& p = a.p;
  const float *x = a.x + blockIdx.x % p.rows * p.n, *z = a.z + blockIdx.x * p.n;
  const norm::Moments row = norm::momentsOf(p, x, partial);
  const double n = static_cast<double>(p.n);
  const double middle = p.centre != 0 ? norm::rowSum(p.n, partial, [&](int64_t i) { return z[i]; }) / n : 0;
  const double product = norm::rowSum(p.n, partial, [&](int64_t i) { return row.normalised(x[i]) * z[i]; });
  const float mean = static_cast<float>(middle), along = static_cast<float>(product / n);
  float* y = a.y + blockIdx.x * p.n;
  for (int64_t i = threadIdx.x; i < p.n; i += blockDim.x)
    y[i] = row.scale * (z[i] - mean - row.normalised(x[i]) * along);
}

}  // namespace pushforward::cuda
