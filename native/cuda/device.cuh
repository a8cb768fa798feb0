// What kernels share: sums over a block in an order that depends on its size alone, loops over a grid.
#pragma once
#include "cuda/step_state.h"

namespace pushforward::cuda {

constexpr int warpLanes = 32;
constexpr unsigned allLanes = 0xffffffffu;

/** Sum over a warp, the same in every lane: a butterfly. */
template <class T>
__device__ __forceinline__ T warpSum(T x) {
  for (int offset = warpLanes / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(allLanes, x, offset);
  return x;
}

template <class T>
__device__ __forceinline__ T warpMax(T x) {
  for (int offset = warpLanes / 2; offset > 0; offset /= 2) {
    const T other = __shfl_xor_sync(allLanes, x, offset);
    x = other > x || other != other ? other : x;  // NaN stays
  }
  return x;
}

/** Sum over a block of whole warps, the same in every thread; `partial` holds a T per warp. Every thread must come here. */
template <class T>
__device__ __forceinline__ T blockSum(T x, T* partial) {
  const int lane = threadIdx.x % warpLanes, warp = threadIdx.x / warpLanes, warps = blockDim.x / warpLanes;
  x = warpSum(x);
  __syncthreads();  // of the use of `partial` before
  if (lane == 0) partial[warp] = x;
  __syncthreads();
  return warpSum(lane < warps ? partial[lane] : T(0));
}

/** The first index of this thread, and the distance to its next: for (int64_t i = gridIndex(); i < count; i += gridStride()). */
__device__ __forceinline__ int64_t gridIndex() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ __forceinline__ int64_t gridStride() { return int64_t{gridDim.x} * blockDim.x; }

}  // namespace pushforward::cuda
