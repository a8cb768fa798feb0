// norm and norm_project: a row a block; its passes after the first find it in the cache.
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

/** x̂ = ((x − mean) − rest) scale: the mean is found twice, the second time of what the first has left, for rows far from zero. */
struct Moments {
  float mean, rest, scale;
  __device__ __forceinline__ float centred(float x) const { return (x - mean) - rest; }
  __device__ __forceinline__ float normalised(float x) const { return centred(x) * scale; }
};

__device__ __forceinline__ Moments momentsOf(const NormParameters& p, const float* x, float* partial) {
  const float n = static_cast<float>(p.n);
  Moments row = {0.0f, 0.0f, 1.0f};
  if (p.centre != 0) {
    row.mean = rowSum(p.n, partial, [&](int64_t i) { return x[i]; }) / n;
    row.rest = rowSum(p.n, partial, [&](int64_t i) { return x[i] - row.mean; }) / n;
  }
  const float squares = rowSum(p.n, partial, [&](int64_t i) { return row.centred(x[i]) * row.centred(x[i]); });
  row.scale = 1.0f / sqrtf(squares / n + static_cast<float>(p.epsilon));
  return row;
}

}  // namespace norm

extern "C" __global__ void norm_kernel(const NormArguments a) {
  __shared__ float partial[maxNormThreads / warpLanes];
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
  __shared__ float partial[maxNormThreads / warpLanes];
  const NormParameters& p = a.p;
  const float *x = a.x + blockIdx.x % p.rows * p.n, *z = a.z + blockIdx.x * p.n;
  const norm::Moments row = norm::momentsOf(p, x, partial);
  const float n = static_cast<float>(p.n);
  const float mean = p.centre != 0 ? norm::rowSum(p.n, partial, [&](int64_t i) { return z[i]; }) / n : 0.0f;
  const float along = norm::rowSum(p.n, partial, [&](int64_t i) { return row.normalised(x[i]) * z[i]; }) / n;
  float* y = a.y + blockIdx.x * p.n;
  for (int64_t i = threadIdx.x; i < p.n; i += blockDim.x)
    y[i] = row.scale * (z[i] - mean - row.normalised(x[i]) * along);
}

}  // namespace pushforward::cuda
