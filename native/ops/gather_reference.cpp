// The oracle of gather, scatter_add and one_hot: element by element, in order.
#include "ops/gather.h"

#include <limits>

#include "core/kernel.h"

namespace pushforward {

namespace {

template <class T>
void gatherAs(const KernelCall& call, T outside) {
  const auto& p = *static_cast<const GatherParameters*>(call.parameters);
  const T* table = static_cast<const T*>(call.operands[0]);
  const int32_t* indices = static_cast<const int32_t*>(call.operands[1]);
  T* rows = static_cast<T*>(call.operands[2]);
  for (int64_t o = 0; o < p.outer; ++o)
    for (int64_t j = 0; j < p.count; ++j) {
      bool inside = indices[j] >= 0 && indices[j] < p.size;
      for (int64_t i = 0; i < p.inner; ++i)
        rows[(o * p.count + j) * p.inner + i] = inside ? table[(o * p.size + indices[j]) * p.inner + i] : outside;
    }
}

void gather(const KernelCall& call) {
  if (static_cast<const GatherParameters*>(call.parameters)->integer)
    gatherAs<int32_t>(call, std::numeric_limits<int32_t>::min());
  else
    gatherAs<double>(call, std::numeric_limits<double>::quiet_NaN());
}

void scatterAdd(const KernelCall& call) {
  const auto& p = *static_cast<const GatherParameters*>(call.parameters);
  const double* rows = static_cast<const double*>(call.operands[0]);
  const int32_t* indices = static_cast<const int32_t*>(call.operands[1]);
  double* table = static_cast<double*>(call.operands[2]);
  for (int64_t i = 0; i < p.outer * p.size * p.inner; ++i) table[i] = 0;
  for (int64_t o = 0; o < p.outer; ++o)
    for (int64_t j = 0; j < p.count; ++j) {
      if (indices[j] < 0 || indices[j] >= p.size) continue;
      for (int64_t i = 0; i < p.inner; ++i)
        table[(o * p.size + indices[j]) * p.inner + i] += rows[(o * p.count + j) * p.inner + i];
    }
}

void oneHot(const KernelCall& call) {
  const auto& p = *static_cast<const OneHotParameters*>(call.parameters);
  const int32_t* indices = static_cast<const int32_t*>(call.operands[0]);
  double* y = static_cast<double*>(call.operands[1]);
  for (int64_t j = 0; j < p.count; ++j)
    for (int64_t c = 0; c < p.classes; ++c) y[j * p.classes + c] = indices[j] == c ? 1 : 0;
}

PUSHFORWARD_REFERENCE_KERNEL(gather, gather)
PUSHFORWARD_REFERENCE_KERNEL(scatter_add, scatterAdd)
PUSHFORWARD_REFERENCE_KERNEL(one_hot, oneHot)

}  // namespace

}  // namespace pushforward
