// sum, mean, max, max_mask, log_sum_exp and argmax on CUDA. Few outputs of many elements are cut into pieces, so that more blocks than a few
// work; then there is a second launch, which joins the pieces.
#include "cuda/elements.h"
#include "ops/cumsum.h"
#include "ops/reduce_cuda.h"
#include "ops/shape_cuda.h"

namespace pushforward::cuda {

namespace {

constexpr int64_t enoughBlocks = 256, pieceTerms = 16;  // elements of a piece for each lane, at least
constexpr size_t stateBytes = 16;                       // of the largest State in cuda/reduction.cuh

ReduceArguments argumentsOf(const ReduceParameters& p) {
  ReduceArguments a{};
  a.p = p;
  a.outputs = product(p.outerShape, p.outerRank);
  a.reduced = product(p.reduceShape, p.reduceRank);
  const int last = p.outerRank - 1;
  const bool columns = p.outerStride[last] == 1 && p.outerShape[last] > 1;
  a.shape = reductionShape(a.reduced, columns, p.outerShape[last]);
  const int64_t blocks = reductionBlocks(a.shape, a.outputs);
  a.pieces = 1;
  if (blocks > 0 && blocks < enoughBlocks / 2) {
    a.pieces = a.reduced / (a.shape.lanes * pieceTerms);
    if (a.pieces > enoughBlocks / blocks) a.pieces = enoughBlocks / blocks;
    if (a.pieces < 1) a.pieces = 1;
  }
  a.pieceSize = (a.reduced + a.pieces - 1) / a.pieces;
  if (a.pieceSize > 0) a.pieces = (a.reduced + a.pieceSize - 1) / a.pieceSize;
  return a;
}

ReduceArguments argumentsOf(const KernelCall& call, const ReduceParameters& p) {
  ReduceArguments a = argumentsOf(p);
  a.x = operandOf<const float>(call, 0);
  a.y = operandOf<float>(call, 1);
  a.states = call.scratch;
  return a;
}

size_t statesOf(const ReduceArguments& a) {
  return a.pieces > 1 ? static_cast<size_t>(a.pieces * a.outputs) * stateBytes : 0;
}

void reduce(const KernelCall& call, const char* kernel, const char* join, const ReduceArguments& a) {
  if (a.outputs == 0) return;
  const uint32_t pieces = static_cast<uint32_t>(a.pieces);
  launch(call, {kernel, {reductionBlocks(a.shape, a.outputs), pieces, 1}, reductionThreads, 0}, a);
  if (a.pieces == 1) return;
  ReduceArguments joined = a;
  joined.shape = reductionShape(a.pieces, true, a.outputs);
  launch(call, {join, {reductionBlocks(joined.shape, a.outputs), 1, 1}, reductionThreads, 0}, joined);
}

template <const char* kernel, const char* join>
void reduction(const KernelCall& call) {
  reduce(call, kernel, join, argumentsOf(call, *static_cast<const ReduceParameters*>(call.parameters)));
}

size_t scratch(const void* parameters, int) {
  return statesOf(argumentsOf(*static_cast<const ReduceParameters*>(parameters)));
}

/** The index of each maximum, 1 at its place in an output of zeros. */
void maxMask(const KernelCall& call) {
  ReduceArguments a = argumentsOf(call, *static_cast<const ReduceParameters*>(call.parameters));
  launchElements(call, "fill_kernel", a.outputs * a.reduced,
                 FillArguments{a.outputs * a.reduced, static_cast<uint32_t*>(a.y), 0});
  reduce(call, "reduce_mask_kernel", "reduce_join_mask_kernel", a);
}

ReduceParameters parametersOf(const AlongParameters& along) {
  ReduceParameters p{};
  p.reduceRank = 1;
  p.reduceShape[0] = along.size;
  p.reduceStride[0] = along.inner;
  p.outerRank = along.inner == 1 ? 1 : 2;
  p.outerShape[0] = along.outer;
  p.outerStride[0] = along.size * along.inner;
  p.outerShape[1] = along.inner;
  p.outerStride[1] = 1;
  p.divisor = 1;
  return p;
}

void argmax(const KernelCall& call) {
  const auto& along = *static_cast<const AlongParameters*>(call.parameters);
  reduce(call, "argmax_kernel", "argmax_join_kernel", argumentsOf(call, parametersOf(along)));
}

size_t argmaxScratch(const void* parameters, int) {
  return statesOf(argumentsOf(parametersOf(*static_cast<const AlongParameters*>(parameters))));
}

constexpr char sumKernel[] = "reduce_sum_kernel", sumJoin[] = "reduce_join_sum_kernel";
constexpr char maxKernel[] = "reduce_max_kernel", maxJoin[] = "reduce_join_max_kernel";
constexpr char expKernel[] = "reduce_log_sum_exp_kernel", expJoin[] = "reduce_join_log_sum_exp_kernel";
constexpr auto sum = reduction<sumKernel, sumJoin>;
constexpr auto max = reduction<maxKernel, maxJoin>;
constexpr auto logSumExp = reduction<expKernel, expJoin>;

PUSHFORWARD_CUDA_KERNEL(sum, sum, scratch)
PUSHFORWARD_CUDA_KERNEL(mean, sum, scratch)
PUSHFORWARD_CUDA_KERNEL(max, max, scratch)
PUSHFORWARD_CUDA_KERNEL(max_mask, maxMask, scratch)
PUSHFORWARD_CUDA_KERNEL(log_sum_exp, logSumExp, scratch)
PUSHFORWARD_CUDA_KERNEL(argmax, argmax, argmaxScratch)

}  // namespace

}  // namespace pushforward::cuda
