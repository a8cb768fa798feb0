// Builds the kernel calls of the ops that move data.
#pragma once
#include <vector>

#include "core/op.h"
#include "ops/shape.h"

namespace pushforward {

/** A box of elements inside a tensor: where its first one lies, and a stride per axis of the iteration space. */
struct StridedView {
  std::vector<int64_t> stride;
  int64_t offset = 0;
};

/** One strided_copy from operand `input` to operand `output`, over `shape`, axes collapsed. */
KernelPlan copyPlan(DType dtype, const std::vector<int64_t>& shape, const StridedView& from, const StridedView& to,
                    int input, int output);

/** Copies of a weight [rows, n] between rows and another layout: of the whole panels, of the last. */
std::vector<KernelPlan> layoutCopies(const Type& type, const SlotLayout& layout, bool toPanels, int input, int output);

KernelPlan fillPlan(DType dtype, int64_t count, double value, int output);

/** The whole tensor, dense. */
StridedView denseView(const Shape& shape);
/** The box that begins at `start`. */
StridedView boxView(const Shape& shape, const std::vector<int64_t>& start);

}  // namespace pushforward
