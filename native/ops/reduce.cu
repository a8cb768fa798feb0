// sum and mean: y[o] = Σ x / divisor. max: the maximum, argmax its number, max_mask 1 at its place. log_sum_exp: log Σ exp(x).
// The first maximum counts, or the first NaN.
#include "cuda/reduction.cuh"
#include "ops/reduce_cuda.h"

namespace pushforward::cuda {

namespace reduce {

__device__ __forceinline__ int64_t offsetOf(int64_t index, int rank, const int64_t* shape, const int64_t* stride) {
  int64_t offset = 0;
  for (int axis = rank - 1; axis > 0; --axis) {
    const int64_t outer = index / shape[axis];
    offset += (index - outer * shape[axis]) * stride[axis];
    index = outer;
  }
  return offset + index * stride[0];
}
__device__ __forceinline__ int64_t outputOffset(const ReduceArguments& a, int64_t output) {
  return offsetOf(output, a.p.outerRank, a.p.outerShape, a.p.outerStride);
}
__device__ __forceinline__ int64_t elementOffset(const ReduceArguments& a, int64_t i) {
  return offsetOf(i, a.p.reduceRank, a.p.reduceShape, a.p.reduceStride);
}

struct Sum : SumState {
  __device__ void write(const ReduceArguments& a, int64_t output) const {
    static_cast<float*>(a.y)[output] = static_cast<float>(total / a.p.divisor);
  }
};
struct Max : MaxState {
  __device__ void write(const ReduceArguments& a, int64_t output) const { static_cast<float*>(a.y)[output] = value; }
};
struct Argmax : MaxState {
  __device__ void write(const ReduceArguments& a, int64_t output) const {
    static_cast<int32_t*>(a.y)[output] = static_cast<int32_t>(index);
  }
};
struct Mask : MaxState {
  __device__ void write(const ReduceArguments& a, int64_t output) const {
    if (index >= 0) static_cast<float*>(a.y)[outputOffset(a, output) + elementOffset(a, index)] = 1;
  }
};
struct LogSumExp : ExpSumState {
  __device__ void write(const ReduceArguments& a, int64_t output) const {
    static_cast<float*>(a.y)[output] = at + logTotal();
  }
};

template <class State>
__device__ __forceinline__ void elements(const ReduceArguments& a) {
  static_assert(sizeof(State) <= 16, "scratch has 16 bytes for a state");
  __shared__ State shared[reductionThreads];
  const Group group(a.shape);
  const int64_t piece = blockIdx.y;
  State state;
  if (group.output < a.outputs) {
    const float* x = a.x + outputOffset(a, group.output);
    const int64_t first = piece * a.pieceSize, end = min(first + a.pieceSize, a.reduced);
    for (int64_t i = first + group.lane; i < end; i += group.lanes) state.add(x[elementOffset(a, i)], i);
  }
  state = joinLanes(group, state, shared);
  if (group.lane > 0 || group.output >= a.outputs) return;
  if (a.pieces == 1)
    state.write(a, group.output);
  else
    static_cast<State*>(a.states)[piece * a.outputs + group.output] = state;
}

template <class State>
__device__ __forceinline__ void join(const ReduceArguments& a) {
  __shared__ State shared[reductionThreads];
  const Group group(a.shape);
  const State* states = static_cast<const State*>(a.states);
  State state;
  if (group.output < a.outputs)
    for (int64_t q = group.lane; q < a.pieces; q += group.lanes) state.join(states[q * a.outputs + group.output]);
  state = joinLanes(group, state, shared);
  if (group.lane == 0 && group.output < a.outputs) state.write(a, group.output);
}

}  // namespace reduce

extern "C" __global__ void reduce_sum_kernel(const ReduceArguments a) { reduce::elements<reduce::Sum>(a); }
extern "C" __global__ void reduce_max_kernel(const ReduceArguments a) { reduce::elements<reduce::Max>(a); }
extern "C" __global__ void reduce_mask_kernel(const ReduceArguments a) { reduce::elements<reduce::Mask>(a); }
extern "C" __global__ void reduce_log_sum_exp_kernel(const ReduceArguments a) {
  reduce::elements<reduce::LogSumExp>(a);
}
extern "C" __global__ void argmax_kernel(const ReduceArguments a) { reduce::elements<reduce::Argmax>(a); }

extern "C" __global__ void reduce_join_sum_kernel(const ReduceArguments a) { reduce::join<reduce::Sum>(a); }
extern "C" __global__ void reduce_join_max_kernel(const ReduceArguments a) { reduce::join<reduce::Max>(a); }
extern "C" __global__ void reduce_join_mask_kernel(const ReduceArguments a) { reduce::join<reduce::Mask>(a); }
extern "C" __global__ void reduce_join_log_sum_exp_kernel(const ReduceArguments a) {
  reduce::join<reduce::LogSumExp>(a);
}
extern "C" __global__ void argmax_join_kernel(const ReduceArguments a) { reduce::join<reduce::Argmax>(a); }

}  // namespace pushforward::cuda
