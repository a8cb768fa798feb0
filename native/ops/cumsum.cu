// cumsum: y[i] = Σ_{k ≤ i} x[k] along a line, from its other end with `reverse`. Sums in float64, as in cuda/reduction.cuh.
#include "cuda/device.cuh"
#include "ops/cumsum_cuda.h"

namespace pushforward::cuda {

extern "C" __global__ void cumsum_columns_kernel(const CumsumArguments a) {
  const int64_t lines = a.p.outer * a.p.inner;
  for (int64_t line = gridIndex(); line < lines; line += gridStride()) {
    const int64_t outer = line / a.p.inner, first = outer * a.p.size * a.p.inner + (line - outer * a.p.inner);
    double total = 0;
    for (int64_t k = 0; k < a.p.size; ++k) {
      const int64_t at = first + (a.p.reverse ? a.p.size - 1 - k : k) * a.p.inner;
      total += a.x[at];
      a.y[at] = static_cast<float>(total);
    }
  }
}

// A warp takes 32 elements of its line at a time: each lane adds that 1, 2, 4, 8, 16 places before it, then what came before the 32.
extern "C" __global__ void cumsum_rows_kernel(const CumsumArguments a) {
  const int lane = threadIdx.x % warpLanes;
  const int64_t row = int64_t{blockIdx.x} * cumsumWarps + threadIdx.x / warpLanes;
  if (row >= a.p.outer) return;  // the whole warp
  const float* x = a.x + row * a.p.size;
  float* y = a.y + row * a.p.size;
  double before = 0;
  for (int64_t first = 0; first < a.p.size; first += warpLanes) {
    const int64_t k = first + lane, at = a.p.reverse ? a.p.size - 1 - k : k;
    double total = k < a.p.size ? x[at] : 0;
    for (int step = 1; step < warpLanes; step *= 2) {
      const double other = __shfl_up_sync(allLanes, total, step);
      if (lane >= step) total += other;
    }
    total += before;
    if (k < a.p.size) y[at] = static_cast<float>(total);
    before = __shfl_sync(allLanes, total, warpLanes - 1);
  }
}

}  // namespace pushforward::cuda
