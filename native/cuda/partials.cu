// The sum of a product's pieces.
#include "cuda/device.cuh"
#include "cuda/partials.h"

namespace pushforward::cuda {

extern "C" __global__ void sum_partials_kernel(const SumPartialsArguments a) {
  for (int64_t i = gridIndex(); i < a.count; i += gridStride()) {
    float sum = 0.0f;
    for (int s = 0; s < a.pieces; ++s) sum += a.partials[s * a.count + i];
    a.to[i] = sum;
  }
}

}  // namespace pushforward::cuda
