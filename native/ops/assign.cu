// assign: slot = value, nothing where a guard is not finite.
#include "cuda/device.cuh"
#include "ops/assign_cuda.h"

namespace pushforward::cuda {

extern "C" __global__ void assign_kernel(const AssignArguments a) {
  if (!allFinite(a.guards)) return;
  for (int64_t i = gridIndex(); i < a.count; i += gridStride()) a.to[i] = a.from[i];
}

}  // namespace pushforward::cuda
