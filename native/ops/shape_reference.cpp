// The oracle of strided_copy and fill: every element by its index, one loop.
#include "core/kernel.h"
#include "ops/shape.h"

namespace pushforward {

namespace {

template <class T>
void copyElements(const StridedCopyParameters& p, const T* in, T* out) {
  int64_t count = 1;
  for (int axis = 0; axis < p.rank; ++axis) count *= p.shape[axis];
  for (int64_t i = 0; i < count; ++i) {
    int64_t from = p.inputOffset, to = p.outputOffset, rest = i;
    for (int axis = p.rank - 1; axis >= 0; --axis) {
      int64_t index = rest % p.shape[axis];
      rest /= p.shape[axis];
      from += index * p.inputStride[axis];
      to += index * p.outputStride[axis];
    }
    out[to] = in[from];
  }
}

void stridedCopy(const KernelCall& call) {
  const auto& p = *static_cast<const StridedCopyParameters*>(call.parameters);
  if (p.integer)
    copyElements(p, static_cast<const int32_t*>(call.operands[0]), static_cast<int32_t*>(call.operands[1]));
  else
    copyElements(p, static_cast<const double*>(call.operands[0]), static_cast<double*>(call.operands[1]));
}

void fill(const KernelCall& call) {
  const auto& p = *static_cast<const FillParameters*>(call.parameters);
  for (int64_t i = 0; i < p.count; ++i) {
    if (p.integer)
      static_cast<int32_t*>(call.operands[0])[i] = static_cast<int32_t>(p.value);
    else
      static_cast<double*>(call.operands[0])[i] = p.value;
  }
}

PUSHFORWARD_REFERENCE_KERNEL(strided_copy, stridedCopy)
PUSHFORWARD_REFERENCE_KERNEL(fill, fill)

}  // namespace

}  // namespace pushforward
