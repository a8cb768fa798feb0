#include "ops/shape_plan.h"

namespace pushforward {

KernelPlan copyPlan(DType dtype, const std::vector<int64_t>& shape, const StridedView& from, const StridedView& to,
                    int input, int output) {
  StridedCopyParameters p{};
  p.integer = dtype == DType::int32;
  p.inputOffset = from.offset;
  p.outputOffset = to.offset;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == 1) continue;
    int last = p.rank - 1;
    if (p.rank > 0 && p.inputStride[last] == from.stride[axis] * shape[axis] &&
        p.outputStride[last] == to.stride[axis] * shape[axis]) {
      p.shape[last] *= shape[axis];
    } else {
      last = p.rank++;
      p.shape[last] = shape[axis];
    }
    p.inputStride[last] = from.stride[axis];
    p.outputStride[last] = to.stride[axis];
  }
  if (p.rank == 0) {
    p.rank = 1;
    p.shape[0] = p.inputStride[0] = p.outputStride[0] = 1;
  }
  return {"strided_copy", parameterBlock(p), {input, output}};
}

std::vector<KernelPlan> layoutCopies(const Type& type, const SlotLayout& layout, bool toPanels, int input, int output) {
  int64_t rows = type.shape[0], n = type.shape[1], columns = layout.columns, whole = n / columns, rest = n % columns;
  if (layout.layout == WeightLayout::planes) {
    PlanesParameters p{rows, n, columns};
    return {{toPanels ? "to_planes" : "from_planes", parameterBlock(p), {input, output}}};
  }
  std::vector<KernelPlan> plans;
  auto copy = [&](int64_t panels, int64_t wide, int64_t first) {
    StridedView lines{{wide, n, 1}, first}, inPanels{{wide * rows, wide, 1}, first * rows};
    const std::vector<int64_t> box = {panels, rows, wide};
    plans.push_back(copyPlan(type.dtype, box, toPanels ? lines : inPanels, toPanels ? inPanels : lines, input, output));
  };
  if (whole > 0) copy(whole, columns, 0);
  if (rest > 0) copy(1, rest, whole * columns);
  return plans;
}

KernelPlan fillPlan(DType dtype, int64_t count, double value, int output) {
  FillParameters p{};
  p.count = count;
  p.value = value;
  p.integer = dtype == DType::int32;
  return {"fill", parameterBlock(p), {output}};
}

StridedView denseView(const Shape& shape) { return {stridesOf(shape), 0}; }

StridedView boxView(const Shape& shape, const std::vector<int64_t>& start) {
  StridedView view = denseView(shape);
  for (size_t axis = 0; axis < start.size(); ++axis) view.offset += start[axis] * view.stride[axis];
  return view;
}

}  // namespace pushforward
