// What goes around the kernels of a step, so that a captured graph is the same for every step: begin takes the next row of the tables,
// gather fills the inputs, record keeps the outputs, end tests the guards and counts. Once stopped, none of them does anything.
#include "cuda/device.cuh"
#include "cuda/step.h"

namespace pushforward::cuda {

extern "C" __global__ void begin_step_kernel(const BeginStepArguments a) {
  if (threadIdx.x != 0 || a.state->stopped) return;
  const int64_t index = a.state->index;
  a.state->run.step = a.table->firstStep + static_cast<uint32_t>(index);
  a.state->run.rate = a.table->rates ? a.table->rates[index - a.table->firstIndex] : 0.0;
}

extern "C" __global__ void gather_batch_kernel(const BatchArguments a) {
  if (a.state->stopped) return;
  const BatchColumn column = a.table->columns[a.column];
  const int64_t batch = a.table->batch, size = a.count / batch;
  const int32_t* indices = a.table->indices + (a.state->index - a.table->firstIndex) * batch;
  for (int64_t i = gridIndex(); i < a.count; i += gridStride()) {
    const int64_t from = indices[i / size] * size + i % size;
    // In float64, as on the host: value · scale is rounded once.
    if (column.kind == columnOfBytes)
      static_cast<float*>(a.to)[i] = static_cast<float>(static_cast<const uint8_t*>(column.data)[from] * column.scale);
    else if (column.kind == columnOfFloat32)
      static_cast<float*>(a.to)[i] = static_cast<float>(static_cast<const float*>(column.data)[from] * column.scale);
    else
      static_cast<int32_t*>(a.to)[i] = static_cast<const int32_t*>(column.data)[from];
  }
}

extern "C" __global__ void record_output_kernel(const RecordOutputArguments a) {
  if (a.state->stopped) return;
  uint32_t* to = a.table->results + (a.state->index - a.table->firstIndex) * a.rowWords + a.offset;
  for (int64_t i = gridIndex(); i < a.words; i += gridStride()) to[i] = a.from[i];
}

extern "C" __global__ void end_step_kernel(const EndStepArguments a) {
  __shared__ int partial[warpLanes];
  if (a.state->stopped) return;
  int wrong = 0;
  for (int g = 0; g < a.guards; ++g)
    for (int64_t i = threadIdx.x; i < a.count[g]; i += blockDim.x)
      if (!isfinite(a.at[g][i])) wrong = 1;
  wrong = blockSum(wrong, partial);
  if (threadIdx.x != 0) return;
  if (wrong)
    a.state->stopped = 1;
  else if (a.last)
    ++a.state->index;
}

}  // namespace pushforward::cuda
