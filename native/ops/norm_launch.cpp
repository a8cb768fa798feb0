// norm and norm_project on CUDA.
#include "cuda/launch.h"
#include "ops/norm_cuda.h"

namespace pushforward::cuda {

namespace {

/** Whole warps, some eight elements a thread. */
uint32_t threadsOf(int64_t n) {
  constexpr int64_t warp = 32;
  const int64_t wanted = (n / 8 + warp - 1) / warp * warp;
  return static_cast<uint32_t>(wanted < warp ? warp : wanted < maxNormThreads ? wanted : maxNormThreads);
}

void norm(const KernelCall& call) {
  const auto& p = *static_cast<const NormParameters*>(call.parameters);
  if (p.rows * p.n == 0) return;
  launch(call, {"norm_kernel", {static_cast<uint32_t>(p.rows), 1, 1}, threadsOf(p.n), 0},
         NormArguments{p, operandOf<const float>(call, 0), operandOf<const float>(call, 1),
                       operandOf<const float>(call, 2), operandOf<float>(call, 3)});
}

void normProject(const KernelCall& call) {
  const auto& p = *static_cast<const NormParameters*>(call.parameters);
  if (p.repeats * p.rows * p.n == 0) return;
  launch(call, {"norm_project_kernel", {static_cast<uint32_t>(p.repeats * p.rows), 1, 1}, threadsOf(p.n), 0},
         NormProjectArguments{p, operandOf<const float>(call, 0), operandOf<const float>(call, 1),
                              operandOf<float>(call, 2)});
}

PUSHFORWARD_CUDA_KERNEL(norm, norm, nullptr)
PUSHFORWARD_CUDA_KERNEL(norm_project, normProject, nullptr)

}  // namespace

}  // namespace pushforward::cuda
