// tangentDot on CUDA.
#include "cuda/launch.h"
#include "ops/tangent_dot_cuda.h"

namespace pushforward::cuda {

namespace {

/** Of s: a quad a thread, and several where s is large. At least one, whose sum of nothing is 0. */
int32_t stripsOf(const TangentDotParameters& p) {
  constexpr uint32_t most = 256;
  const uint32_t strips = blocksOf(p.rows * blocksOf(p.n, 4), tangentDotThreads);
  return static_cast<int32_t>(strips < 1 ? 1 : strips < most ? strips : most);
}

size_t tangentDotScratch(const void* parameters, int) {
  const auto& p = *static_cast<const TangentDotParameters*>(parameters);
  return sizeof(double) * static_cast<size_t>(stripsOf(p)) * static_cast<size_t>(p.directions);
}

void tangentDot(const KernelCall& call) {
  const auto& p = *static_cast<const TangentDotParameters*>(call.parameters);
  const TangentDotArguments a{p,
                              stateOf(call),
                              operandOf<const float>(call, 0),
                              operandOf<const float>(call, 1),
                              operandOf<float>(call, 2),
                              static_cast<double*>(call.scratch),
                              stripsOf(p)};
  const uint32_t directions = static_cast<uint32_t>(p.directions), strips = static_cast<uint32_t>(a.strips);
  launch(call, {"tangent_dot_kernel", {strips, directions, 1}, tangentDotThreads, 0}, a);
  launch(call, {"tangent_dot_sum_kernel", {directions, 1, 1}, 32, 0}, a);
}

PUSHFORWARD_CUDA_KERNEL(tangentDot, tangentDot, tangentDotScratch)

}  // namespace

}  // namespace pushforward::cuda
