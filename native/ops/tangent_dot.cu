// tangentDot: y_k = Σ s ⊙ v_k, v_k read or generated, a quad a thread. A block sums a strip of s for one direction in float64, and a warp a
// direction adds the strips.
#include "cuda/device.cuh"
#include "cuda/draw.cuh"
#include "ops/tangent_dot_cuda.h"

namespace pushforward::cuda {

namespace tangent_dot {

/** Of a low-rank tangent, √rank times its elements. */
__device__ __forceinline__ void tangentAt(const TangentDotArguments& a, int64_t k, const Quad& at,
                                          float v[quadColumns]) {
  const TangentDotParameters& p = a.p;
  if (p.law.kind == TangentKind::given) {
    const float* from = a.v + (k * p.rows + at.row) * p.n + at.column;
#pragma unroll
    for (int i = 0; i < quadColumns; ++i) v[i] = at.column + i < p.n ? from[i] : 0.0f;
  } else if (p.law.kind == TangentKind::lowRank) {
    lowRankQuad(drawOf(p.law, a.state->run, k), p.law.rank, p.rows, p.n, at, v);
  } else {
    tangentQuad(p.law.kind, drawOf(p.law, a.state->run, k), p.n, at, v);
  }
}

}  // namespace tangent_dot

extern "C" __global__ void tangent_dot_kernel(const TangentDotArguments a) {
  __shared__ double partial[tangentDotThreads / warpLanes];
  const TangentDotParameters& p = a.p;
  const int64_t count = p.rows * ((p.n + quadColumns - 1) / quadColumns);
  double sum = 0;
  for (int64_t index = gridIndex(); index < count; index += gridStride()) {
    const Quad at = quadAt(index, p.n);
    const float* s = a.s + at.row * p.n + at.column;
    float v[quadColumns];
    tangent_dot::tangentAt(a, blockIdx.y, at, v);
#pragma unroll
    for (int i = 0; i < quadColumns; ++i)
      if (at.column + i < p.n) sum += static_cast<double>(s[i]) * static_cast<double>(v[i]);
  }
  sum = blockSum(sum, partial);
  if (threadIdx.x == 0) a.sums[int64_t{blockIdx.y} * gridDim.x + blockIdx.x] = sum;
}

extern "C" __global__ void tangent_dot_sum_kernel(const TangentDotArguments a) {
  const double* sums = a.sums + int64_t{blockIdx.x} * a.strips;
  double total = 0;
  for (int i = threadIdx.x; i < a.strips; i += warpLanes) total += sums[i];
  total = warpSum(total);
  if (a.p.law.kind == TangentKind::lowRank) total /= sqrt(static_cast<double>(a.p.law.rank));
  if (threadIdx.x == 0) a.y[blockIdx.x] = static_cast<float>(total);
}

}  // namespace pushforward::cuda
