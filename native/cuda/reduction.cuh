// A reduction's block: groups of threads, each of which makes one output. What is reduced is a State with add, join and their result, so
// that sum, max, argmax and log Σ exp are one loop.
#pragma once
#include "cuda/device.cuh"
#include "cuda/reduction.h"

namespace pushforward::cuda {

/** This thread's place: lane `lane` of `lanes` that make `output` together; its neighbour lane is `stride` threads away. */
struct Group {
  int64_t output;
  int lane, lanes, stride;

  __device__ explicit Group(const ReductionShape& shape) {
    const int thread = threadIdx.x, width = reductionThreads / shape.lanes;
    lanes = shape.lanes;
    stride = shape.columns ? width : 1;
    lane = shape.columns ? thread / width : thread % lanes;
    output = int64_t{blockIdx.x} * width + (shape.columns ? thread % width : thread / lanes);
  }
};

/** The states of a group's lanes joined as a tree, the same in all of them. Every thread of the block must come here, once. */
template <class State>
__device__ __forceinline__ State joinLanes(const Group& group, State state, State* shared) {
  State* own = shared + threadIdx.x;
  *own = state;
  for (int step = group.lanes / 2; step > 0; step /= 2) {
    __syncthreads();
    if (group.lane < step) own->join(own[step * group.stride]);
  }
  __syncthreads();
  return own[-group.lane * group.stride];
}

/** Σ x. In float64: what it costs hides behind memory, and a sum of any length keeps float32's digits. */
struct SumState {
  double total = 0;

  __device__ void add(float x, int64_t) { total += x; }
  __device__ void join(const SumState& other) { total += other.total; }
};

/** The first maximum, or the first NaN. */
struct MaxState {
  int64_t index = -1;
  float value = 0;

  __device__ static bool greater(float x, float y) { return x > y || (x != x && y == y); }
  __device__ void add(float x, int64_t i) {
    if (index < 0 || greater(x, value)) *this = {i, x};
  }
  __device__ void join(const MaxState& other) {
    if (other.index < 0) return;
    const bool tie = !greater(value, other.value) && !greater(other.value, value);
    if (index < 0 || greater(other.value, value) || (tie && other.index < index)) *this = other;
  }
};

/**
 * Σ exp(x − at) in one pass: `at` follows the maximum, and is raised only by more than 1, so that each rounding of a rescaled sum is e times
 * smaller in the next, however often that happens. at = −∞: no element is finite yet; at = +∞: the total counts those.
 */
struct ExpSumState {
  double total = 0;
  float at = -INFINITY;

  /** exp(x − y), and 1 where both are the same infinity. */
  __device__ static float ratio(float x, float y) { return x == y ? 1.0f : expf(x - y); }
  __device__ void add(float x, int64_t) {
    if (x > at + 1) {
      total *= ratio(at, x);
      at = x;
    }
    total += ratio(x, at);
  }
  __device__ void join(const ExpSumState& other) {
    if (other.at > at) {
      total = total * ratio(at, other.at) + other.total;
      at = other.at;
    } else {
      total += other.total * ratio(other.at, at);
    }
  }
  /** log of the total, which is 0 where nothing was added. */
  __device__ float logTotal() const { return logf(static_cast<float>(total)); }
};

}  // namespace pushforward::cuda
