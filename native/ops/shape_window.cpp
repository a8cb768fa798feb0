// Boxes of a tensor: parts joined, cut out, or set into a margin. Each is linear; slice and pad are mutual adjoints.
//   concat  y = x₀, x₁, … one after another along `axis`         ẏ = concat(ẋ₀, ẋ₁, …) along axis + 1
//           x̄ᵢ = slice(ȳ) at xᵢ's place
//   slice   y = x[start : start + size] on every axis            ẏ = slice(ẋ, [0, start], [K, size])
//           x̄ = pad(ȳ, start, x.shape − start − size, 0)
//   pad     y = x with before and after elements of `value` added on every axis (0 in tangents)
//           ẏ = pad(ẋ, [0, before], [0, after], 0)               x̄ = slice(ȳ, before, x.shape)
#include <cmath>

#include "core/builder.h"
#include "core/error.h"
#include "ops/axes.h"
#include "ops/shape_plan.h"

namespace pushforward {

namespace {

constexpr int maxConcatInputs = 16;

/** The list must have one entry per axis. */
const std::vector<int64_t>& perAxis(const std::string& op, const Attributes& attributes, const std::string& name,
                                    int rank) {
  const std::vector<int64_t>& list = *attributes.list(name);
  if (static_cast<int>(list.size()) != rank)
    fail(Code::INVALID_ARGUMENT, op, name + " to have one entry per axis, " + std::to_string(rank),
         std::to_string(list.size()));
  return list;
}

int concatAxis(const Attributes& attributes, int rank) { return axisAttribute("concat", attributes, 0, rank); }

Type concatType(const TypeContext& context) {
  Type type = *context.input[0];
  std::string received = type.text();
  for (size_t i = 1; i < context.input.size(); ++i) received += ", " + context.input[i]->text();
  int axis = concatAxis(context.attributes, type.shape.rank());
  std::vector<int64_t> dims = type.shape.dims();
  for (size_t i = 1; i < context.input.size(); ++i) {
    const Type& next = *context.input[i];
    if (next.dtype != type.dtype) fail(Code::DTYPE_MISMATCH, "concat", "inputs of one dtype", received);
    std::vector<int64_t> other = next.shape.dims();
    bool fits = other.size() == dims.size();
    for (size_t a = 0; fits && a < dims.size(); ++a) fits = static_cast<int>(a) == axis || other[a] == dims[a];
    if (!fits)
      fail(Code::SHAPE_MISMATCH, "concat", "inputs of equal shapes but for axis " + std::to_string(axis), received);
    dims[axis] += other[axis];
  }
  return {type.dtype, Shape(dims)};
}

void concatJvp(JvpContext& context) {
  Builder& b = context.b;
  context.y = b.clone(context.node, context.x);
  int axis = concatAxis(context.node.attributes, b.shape(context.x[0]).rank());
  int64_t directions = context.directions;
  int given = 0;
  size_t only = 0;
  for (size_t i = 0; i < context.x.size(); ++i)
    if (context.xDot[i] != none) ++given, only = i;
  if (given == 1 && context.x.size() > 1) {
    std::vector<int64_t> before(b.shape(context.y[0]).rank() + 1, 0), after = before;
    for (size_t i = 0; i < context.x.size(); ++i)
      if (i != only) (i < only ? before : after)[axis + 1] += b.shape(context.x[i])[axis];
    context.yDot = {b.emit("pad", {context.xDot[only]}, {{"before", before}, {"after", after}})};
    return;
  }
  std::vector<ValueId> parts;
  for (size_t i = 0; i < context.x.size(); ++i)
    parts.push_back(context.xDot[i] != none ? context.xDot[i] : b.full(b.shape(context.x[i]).prepend(directions), 0));
  context.yDot = {b.emit("concat", parts, {{"axis", axis + 1.0}})};
}

Op concatOp() {
  Op op;
  op.name = "concat";
  op.minInputs = 1;
  op.maxInputs = maxConcatInputs;
  op.attributes = {{"axis", AttributeKind::number}};
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    for (size_t i = 0; i < context.input.size(); ++i)
      if (!context.input[i]) fail(Code::INVALID_ARGUMENT, "concat", "input " + std::to_string(i), "nothing");
    return {concatType(context)};
  };
  op.jvp = concatJvp;
  op.vjp = [](VjpContext& context) {
    Builder& b = context.b;
    int axis = concatAxis(context.node.attributes, b.shape(context.x[0]).rank());
    std::vector<int64_t> start(b.shape(context.x[0]).rank(), 0);
    for (size_t i = 0; i < context.x.size(); ++i) {
      std::vector<int64_t> size = b.shape(context.x[i]).dims();
      if (context.wanted[i]) context.xBar[i] = b.emit("slice", {context.yBar[0]}, {{"start", start}, {"size", size}});
      start[axis] += size[axis];
    }
  };
  op.kernels = [](const PlanContext& context) {
    const Shape& to = context.output[0]->shape;
    DType dtype = context.output[0]->dtype;
    int axis = concatAxis(context.node.attributes, to.rank());
    std::vector<int64_t> start(to.rank(), 0);
    std::vector<KernelPlan> plans;
    int count = static_cast<int>(context.input.size());
    for (int i = 0; i < count; ++i) {
      const Shape& from = context.input[i]->shape;
      StridedView place = boxView(to, start);
      if (from[axis] > 0) plans.push_back(copyPlan(dtype, from.dims(), denseView(from), place, i, count));
      start[axis] += from[axis];
    }
    return plans;
  };
  op.cost = [](const PlanContext& context) { return streamingCost(context, 0); };
  return op;
}

struct Box {
  std::vector<int64_t> start, size;
};

/** A negative start counts from the end; a size of -1 reaches to the end. */
Box boxOf(const Attributes& attributes, const Shape& shape) {
  Box box{perAxis("slice", attributes, "start", shape.rank()), perAxis("slice", attributes, "size", shape.rank())};
  for (int axis = 0; axis < shape.rank(); ++axis) {
    int64_t extent = shape[axis], givenStart = box.start[axis], givenSize = box.size[axis];
    if (givenStart < 0 && givenStart >= -extent) box.start[axis] += extent;
    int64_t start = box.start[axis];
    if (start >= 0 && start <= extent && givenSize == -1) box.size[axis] = extent - start;
    int64_t size = box.size[axis];
    if (start < 0 || start > extent || size < 0 || size > extent - start)
      fail(Code::INVALID_ARGUMENT, "slice", "a box inside " + shape.text(),
           "start " + std::to_string(givenStart) + " and size " + std::to_string(givenSize) + " on axis " +
               std::to_string(axis));
  }
  return box;
}

Op sliceOp() {
  Op op;
  op.name = "slice";
  op.minInputs = op.maxInputs = 1;
  op.attributes = {{"start", AttributeKind::list, true}, {"size", AttributeKind::list, true}};
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    return {{context.input[0]->dtype, Shape(boxOf(context.attributes, context.input[0]->shape).size)}};
  };
  op.jvp = [](JvpContext& context) {
    context.y = context.b.clone(context.node, context.x);
    Box box = boxOf(context.node.attributes, context.b.shape(context.x[0]));
    context.yDot = {
        context.b.emit("slice", {context.xDot[0]},
                       {{"start", withLeading(0, box.start)}, {"size", withLeading(context.directions, box.size)}})};
  };
  op.vjp = [](VjpContext& context) {
    const Shape from = context.b.shape(context.x[0]);
    Box box = boxOf(context.node.attributes, from);
    std::vector<int64_t> after = from.dims();
    for (int axis = 0; axis < from.rank(); ++axis) after[axis] -= box.start[axis] + box.size[axis];
    context.xBar[0] = context.b.emit("pad", {context.yBar[0]}, {{"before", box.start}, {"after", after}});
  };
  op.kernels = [](const PlanContext& context) -> std::vector<KernelPlan> {
    const Shape &from = context.input[0]->shape, &to = context.output[0]->shape;
    Box box = boxOf(context.node.attributes, from);
    return {copyPlan(context.output[0]->dtype, to.dims(), boxView(from, box.start), denseView(to), 0, 1)};
  };
  op.cost = [](const PlanContext& context) {
    Cost cost;
    cost.bytes = 8.0 * static_cast<double>(context.output[0]->shape.count());
    return cost;
  };
  return op;
}

Type padType(const TypeContext& context) {
  const Type& from = *context.input[0];
  const std::vector<int64_t>& before = perAxis("pad", context.attributes, "before", from.shape.rank());
  const std::vector<int64_t>& after = perAxis("pad", context.attributes, "after", from.shape.rank());
  std::vector<int64_t> dims = from.shape.dims();
  for (size_t axis = 0; axis < dims.size(); ++axis) {
    if (before[axis] < 0 || after[axis] < 0 || before[axis] > maxElements || after[axis] > maxElements)
      fail(Code::INVALID_ARGUMENT, "pad", "before and after of at least 0",
           std::to_string(before[axis]) + " and " + std::to_string(after[axis]) + " on axis " + std::to_string(axis));
    dims[axis] += before[axis] + after[axis];
  }
  double value = context.attributes.number("value", 0);
  if (from.dtype == DType::int32 && (value != std::floor(value) || std::fabs(value) > 2147483647.0))
    fail(Code::INVALID_ARGUMENT, "pad", "an int32 value for " + from.text(), std::to_string(value));
  return {from.dtype, Shape(dims)};
}

Op padOp() {
  Op op;
  op.name = "pad";
  op.minInputs = op.maxInputs = 1;
  op.attributes = {
      {"before", AttributeKind::list, true}, {"after", AttributeKind::list, true}, {"value", AttributeKind::number}};
  op.infer = [](const TypeContext& context) -> std::vector<Type> { return {padType(context)}; };
  op.jvp = [](JvpContext& context) {
    context.y = context.b.clone(context.node, context.x);
    context.yDot = {context.b.emit("pad", {context.xDot[0]},
                                   {{"before", withLeading(0, *context.node.attributes.list("before"))},
                                    {"after", withLeading(0, *context.node.attributes.list("after"))}})};
  };
  op.vjp = [](VjpContext& context) {
    context.xBar[0] = context.b.emit(
        "slice", {context.yBar[0]},
        {{"start", *context.node.attributes.list("before")}, {"size", context.b.shape(context.x[0]).dims()}});
  };
  op.kernels = [](const PlanContext& context) {
    const Shape &from = context.input[0]->shape, &to = context.output[0]->shape;
    DType dtype = context.output[0]->dtype;
    std::vector<KernelPlan> plans;
    if (from != to) plans.push_back(fillPlan(dtype, to.count(), context.node.attributes.number("value", 0), 1));
    plans.push_back(
        copyPlan(dtype, from.dims(), denseView(from), boxView(to, *context.node.attributes.list("before")), 0, 1));
    return plans;
  };
  op.cost = [](const PlanContext& context) {
    Cost cost = streamingCost(context, 0);
    cost.bytes +=
        4.0 * static_cast<double>(context.input[0]->shape.count());  // the box is written twice: fill, then copy
    return cost;
  };
  return op;
}

const OpRegistration concat{concatOp()}, slice{sliceOp()}, pad{padOp()};

}  // namespace

}  // namespace pushforward
