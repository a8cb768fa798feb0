// softmax: y = exp(x − m) / s, s = Σ exp(x − m), m near max x. log_softmax: (x − m) − log s. softmax_cross_entropy: log s − (x[label] − m).
// pick: y[row] = x[row, label], unpick the other way among zeros; a label outside the classes makes NaN.
#include "cuda/reduction.cuh"
#include "ops/softmax_cuda.h"

namespace pushforward::cuda {

namespace softmax {

struct Probability {
  float at, total;
  __device__ explicit Probability(const ExpSumState& s) : at(s.at), total(static_cast<float>(s.total)) {}
  __device__ float operator()(float x) const { return expf(x - at) / total; }
};
struct LogProbability {
  float at, logTotal;
  __device__ explicit LogProbability(const ExpSumState& s) : at(s.at), logTotal(s.logTotal()) {}
  __device__ float operator()(float x) const { return (x - at) - logTotal; }
};

template <class Result>
__device__ __forceinline__ void lines(const SoftmaxArguments& a) {
  __shared__ ExpSumState shared[reductionThreads];
  const Group group(a.shape);
  const int64_t stride = a.p.inner, outer = group.output / stride;
  const int64_t first = outer * a.p.size * stride + (group.output - outer * stride);
  const int64_t end = group.output < a.p.outer * stride ? a.p.size : 0;
  ExpSumState state;
  for (int64_t i = group.lane; i < end; i += group.lanes) state.add(a.x[first + i * stride], i);
  state = joinLanes(group, state, shared);
  if (!isfinite(state.at)) state.total = NAN;  // an infinite maximum: ∞ − ∞
  const Result result(state);
  for (int64_t i = group.lane; i < end; i += group.lanes) a.y[first + i * stride] = result(a.x[first + i * stride]);
}

__device__ __forceinline__ int32_t labelOf(const PickParameters& p, const int32_t* labels, int64_t row) {
  return labels[p.labels == p.rows ? row : row % p.labels];
}
__device__ __forceinline__ bool valid(const PickParameters& p, int32_t label) {
  return label >= 0 && label < p.classes;
}

}  // namespace softmax

extern "C" __global__ void softmax_kernel(const SoftmaxArguments a) { softmax::lines<softmax::Probability>(a); }
extern "C" __global__ void log_softmax_kernel(const SoftmaxArguments a) { softmax::lines<softmax::LogProbability>(a); }

extern "C" __global__ void softmax_cross_entropy_kernel(const CrossEntropyArguments a) {
  __shared__ ExpSumState shared[reductionThreads];
  const Group group(a.shape);
  const int64_t row = group.output;
  const float* x = a.x + row * a.p.classes;
  const int64_t end = row < a.p.rows ? a.p.classes : 0;
  ExpSumState state;
  for (int64_t i = group.lane; i < end; i += group.lanes) state.add(x[i], i);
  state = joinLanes(group, state, shared);
  if (group.lane > 0 || row >= a.p.rows) return;
  const int32_t label = softmax::labelOf(a.p, a.labels, row);
  a.y[row] = softmax::valid(a.p, label) ? state.logTotal() - (x[label] - state.at) : NAN;
}

extern "C" __global__ void pick_kernel(const PickArguments a) {
  for (int64_t row = gridIndex(); row < a.p.rows; row += gridStride()) {
    const int32_t label = softmax::labelOf(a.p, a.labels, row);
    a.to[row] = softmax::valid(a.p, label) ? a.from[row * a.p.classes + label] : NAN;
  }
}

extern "C" __global__ void unpick_kernel(const PickArguments a) {
  const int64_t count = a.p.rows * a.p.classes;
  for (int64_t i = gridIndex(); i < count; i += gridStride()) {
    const int64_t row = i / a.p.classes;
    const int32_t label = softmax::labelOf(a.p, a.labels, row);
    a.to[i] = !softmax::valid(a.p, label) ? NAN : i - row * a.p.classes == label ? a.from[row] : 0;
  }
}

}  // namespace pushforward::cuda
