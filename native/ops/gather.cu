// gather: rows[o, j, i] = table[o, index j, i]. scatter_add: table[o, s, i] = Σ rows[o, j, i] over the j whose index is s, in order of j.
// one_hot: y[j, c] = 1 where index j is c, else 0.
#include "cuda/device.cuh"
#include "ops/gather_cuda.h"

namespace pushforward::cuda {

extern "C" __global__ void gather_kernel(const GatherArguments a) {
  const int64_t count = a.p.outer * a.p.count * a.p.inner;
  for (int64_t i = gridIndex(); i < count; i += gridStride()) {
    const int64_t row = i / a.p.inner, column = i - row * a.p.inner, outer = row / a.p.count;
    const int64_t index = a.indices[row - outer * a.p.count];
    const bool inside = index >= 0 && index < a.p.size;
    a.rows[i] = inside ? a.table[(outer * a.p.size + index) * a.p.inner + column] : a.outside;
  }
}

// A warp for a row of the table and 32 of its elements, counted over outer and inner. It reads all indices, 32 at a time, and adds the rows
// that it finds: size · count / 32 reads of a warp for each 32 elements, no atomics, no sorting, the order of summing that of j.
extern "C" __global__ void scatter_add_kernel(const ScatterAddArguments a) {
  const int lane = threadIdx.x % warpLanes;
  const int64_t warp = int64_t{blockIdx.x} * scatterWarps + threadIdx.x / warpLanes;
  const int64_t columns = a.p.outer * a.p.inner, index = warp % a.p.size;
  const int64_t column = warp / a.p.size * warpLanes + lane;
  if (column - lane >= columns) return;  // the whole warp
  const bool inside = column < columns;
  const int64_t outer = column / a.p.inner, inner = column - outer * a.p.inner;
  const float* rows = a.rows + outer * a.p.count * a.p.inner + inner;
  double total = 0;
  for (int64_t first = 0; first < a.p.count; first += warpLanes) {
    const bool found = first + lane < a.p.count && a.indices[first + lane] == index;
    for (unsigned left = __ballot_sync(allLanes, found); left != 0; left &= left - 1)
      if (inside) total += rows[(first + __ffs(left) - 1) * a.p.inner];
  }
  if (inside) a.table[(outer * a.p.size + index) * a.p.inner + inner] = static_cast<float>(total);
}

extern "C" __global__ void one_hot_kernel(const OneHotArguments a) {
  const int64_t count = a.p.count * a.p.classes;
  for (int64_t i = gridIndex(); i < count; i += gridStride()) {
    const int64_t row = i / a.p.classes;
    a.y[i] = a.indices[row] == i - row * a.p.classes ? 1.0f : 0.0f;
  }
}

}  // namespace pushforward::cuda
