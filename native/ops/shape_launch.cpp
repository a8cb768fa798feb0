// strided_copy and fill on CUDA: a thread for each element, or tiles through shared memory where the copy is a transposition.
#include <cstring>

#include "cuda/elements.h"
#include "ops/shape_cuda.h"

namespace pushforward::cuda {

namespace {

/** The axis along which the input is contiguous, where the output is contiguous along another; −1 where there is none. */
int transposedAxis(const StridedCopyParameters& p) {
  const int last = p.rank - 1;
  if (p.outputStride[last] != 1 || p.inputStride[last] <= 1 || p.shape[last] < transposeTile / 2) return -1;
  for (int axis = 0; axis < last; ++axis)
    if (p.inputStride[axis] == 1 && p.shape[axis] >= transposeTile / 2) return axis;
  return -1;
}

void transpose(const KernelCall& call, const StridedCopyParameters& p, int row, const uint32_t* in, uint32_t* out) {
  const auto axisAt = [&](int axis) { return CopyAxis{p.shape[axis], p.inputStride[axis], p.outputStride[axis]}; };
  TransposeArguments a{};
  a.rows = axisAt(row);
  a.columns = axisAt(p.rank - 1);
  a.rowTiles = blocksOf(a.rows.size, transposeTile);
  a.columnTiles = blocksOf(a.columns.size, transposeTile);
  a.in = in;
  a.out = out;
  int64_t blocks = a.rowTiles * a.columnTiles;
  for (int axis = 0; axis < p.rank - 1; ++axis)
    if (axis != row) {
      a.outer[a.outerRank++] = axisAt(axis);
      blocks *= p.shape[axis];
    }
  launch(call, {"transpose_kernel", {blocksOf(blocks, 1), 1, 1}, transposeTile * transposeRows, 0}, a);
}

void stridedCopy(const KernelCall& call) {
  const auto& p = *static_cast<const StridedCopyParameters*>(call.parameters);
  const int64_t count = product(p.shape, p.rank);
  if (count == 0) return;
  const uint32_t* in = operandOf<const uint32_t>(call, 0) + p.inputOffset;
  uint32_t* out = operandOf<uint32_t>(call, 1) + p.outputOffset;
  const int row = transposedAxis(p);
  if (row >= 0)
    transpose(call, p, row, in, out);
  else
    launchElements(call, "strided_copy_kernel", count, StridedCopyArguments{p, count, in, out});
}

void fill(const KernelCall& call) {
  const auto& p = *static_cast<const FillParameters*>(call.parameters);
  FillArguments a{p.count, operandOf<uint32_t>(call, 0), 0};
  const int32_t integer = p.integer ? static_cast<int32_t>(p.value) : 0;
  const float real = static_cast<float>(p.value);
  std::memcpy(&a.value, p.integer ? static_cast<const void*>(&integer) : &real, sizeof a.value);
  launchElements(call, "fill_kernel", p.count, a);
}

PUSHFORWARD_CUDA_KERNEL(strided_copy, stridedCopy, nullptr)
PUSHFORWARD_CUDA_KERNEL(fill, fill, nullptr)

}  // namespace

}  // namespace pushforward::cuda
