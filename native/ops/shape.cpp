// Rearrangements: every element of y is one element of x, so tangents and cotangents are moved by the same op or by
// its adjoint.
//   reshape    y = x in row-major order, another shape      ẏ = reshape(ẋ, [K, y.shape])    x̄ = reshape(ȳ, x.shape)
//   transpose  y[i_p(0), …] = x[i₀, …], y.shape[a] = x.shape[permutation[a]]
//              ẏ = transpose(ẋ, [0, permutation + 1])       x̄ = transpose(ȳ, permutation⁻¹)
//   broadcast  y = x repeated along axes of size 1 and along new leading ones
//              ẏ = broadcast(ẋ as [K, 1…, x.shape], [K, y.shape])   x̄ = Σ ȳ over the repeated axes
#include <algorithm>

#include "core/builder.h"
#include "core/error.h"
#include "ops/axes.h"
#include "ops/shape_plan.h"

namespace pushforward {

namespace {

Shape reshapedTo(const TypeContext& context) {
  const Shape& from = context.input[0]->shape;
  std::vector<int64_t> dims = *context.attributes.list("shape");
  auto open = std::find(dims.begin(), dims.end(), -1);
  if (open == dims.end()) {
    Shape to(dims);
    if (to.count() != from.count())
      fail(Code::SHAPE_MISMATCH, "reshape",
           "a shape of " + std::to_string(from.count()) + " elements, as " + from.text(), to.text());
    return to;
  }
  *open = 1;
  Shape rest(dims);  // a second -1 is a negative size to it, and fails
  int64_t known = rest.count();
  if (known == 0 || from.count() % known != 0)
    fail(Code::SHAPE_MISMATCH, "reshape",
         "sizes beside -1 whose product divides the " + std::to_string(from.count()) + " elements of " + from.text(),
         "a product of " + std::to_string(known));
  *open = from.count() / known;
  return Shape(dims);
}

std::vector<int64_t> permutationOf(const Attributes& attributes, int rank) {
  if (const std::vector<int64_t>* given = attributes.list("permutation")) {
    if (static_cast<int>(given->size()) != rank)
      fail(Code::INVALID_ARGUMENT, "transpose", "a permutation of " + std::to_string(rank) + " axes",
           std::to_string(given->size()) + " axes");
    std::vector<int64_t> permutation, seen(rank, 0);
    for (int64_t axis : *given) {
      permutation.push_back(normaliseAxis("transpose", axis, rank));
      if (seen[permutation.back()]++)
        fail(Code::INVALID_ARGUMENT, "transpose", "a permutation of distinct axes",
             "axis " + std::to_string(axis) + " twice");
    }
    return permutation;
  }
  std::vector<int64_t> reversed(rank);
  for (int axis = 0; axis < rank; ++axis) reversed[axis] = rank - 1 - axis;
  return reversed;
}

Op reshapeOp() {
  Op op;
  op.name = "reshape";
  op.minInputs = op.maxInputs = 1;
  op.attributes = {{"shape", AttributeKind::list, true}};
  op.alias = 0;
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    return {{context.input[0]->dtype, reshapedTo(context)}};
  };
  op.jvp = [](JvpContext& context) {
    context.y = context.b.clone(context.node, context.x);
    context.yDot = {context.b.reshape(context.xDot[0], context.b.shape(context.y[0]).prepend(context.directions))};
  };
  op.vjp = [](VjpContext& context) {
    context.xBar[0] = context.b.reshape(context.yBar[0], context.b.shape(context.x[0]));
  };
  return op;
}

Op transposeOp() {
  Op op;
  op.name = "transpose";
  op.minInputs = op.maxInputs = 1;
  op.attributes = {{"permutation", AttributeKind::list}};
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    const Shape& from = context.input[0]->shape;
    std::vector<int64_t> dims;
    for (int64_t axis : permutationOf(context.attributes, from.rank())) dims.push_back(from[static_cast<int>(axis)]);
    return {{context.input[0]->dtype, Shape(dims)}};
  };
  op.jvp = [](JvpContext& context) {
    context.y = context.b.clone(context.node, context.x);
    std::vector<int64_t> permutation = permutationOf(context.node.attributes, context.b.shape(context.x[0]).rank());
    context.yDot = {
        context.b.emit("transpose", {context.xDot[0]}, {{"permutation", withLeading(0, tangentAxes(permutation))}})};
  };
  op.vjp = [](VjpContext& context) {
    std::vector<int64_t> permutation = permutationOf(context.node.attributes, context.b.shape(context.x[0]).rank());
    std::vector<int64_t> inverse(permutation.size());
    for (size_t axis = 0; axis < permutation.size(); ++axis) inverse[permutation[axis]] = static_cast<int64_t>(axis);
    context.xBar[0] = context.b.emit("transpose", {context.yBar[0]}, {{"permutation", inverse}});
  };
  op.kernels = [](const PlanContext& context) -> std::vector<KernelPlan> {
    const Shape &from = context.input[0]->shape, &to = context.output[0]->shape;
    std::vector<int64_t> own = stridesOf(from);
    StridedView source;
    for (int64_t axis : permutationOf(context.node.attributes, from.rank())) source.stride.push_back(own[axis]);
    return {copyPlan(context.output[0]->dtype, to.dims(), source, denseView(to), 0, 1)};
  };
  op.cost = [](const PlanContext& context) { return streamingCost(context, 0); };
  return op;
}

Op broadcastOp() {
  Op op;
  op.name = "broadcast";
  op.minInputs = op.maxInputs = 1;
  op.attributes = {{"shape", AttributeKind::list, true}};
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    const Shape& from = context.input[0]->shape;
    Shape to(*context.attributes.list("shape"));
    if (!broadcastsTo(from, to))
      fail(Code::SHAPE_MISMATCH, "broadcast",
           "a shape that " + from.text() + " broadcasts to (sizes equal or 1, aligned right)", to.text());
    return {{context.input[0]->dtype, to}};
  };
  op.jvp = [](JvpContext& context) {
    context.y = context.b.clone(context.node, context.x);
    const Shape to = context.b.shape(context.y[0]);
    ValueId aligned = context.b.alignTangent(context.xDot[0], to.rank());
    context.yDot = {context.b.broadcast(aligned, to.prepend(context.directions))};
  };
  op.vjp = [](VjpContext& context) {
    const Shape from = context.b.shape(context.x[0]);
    context.xBar[0] = context.b.unbroadcast(context.yBar[0], from);
  };
  op.kernels = [](const PlanContext& context) -> std::vector<KernelPlan> {
    const Shape &from = context.input[0]->shape, &to = context.output[0]->shape;
    StridedView source{broadcastStrides(from, to), 0};
    return {copyPlan(context.output[0]->dtype, to.dims(), source, denseView(to), 0, 1)};
  };
  op.cost = [](const PlanContext& context) { return streamingCost(context, 0); };
  return op;
}

const OpRegistration reshape{reshapeOp()}, transpose{transposeOp()}, broadcast{broadcastOp()};

}  // namespace

}  // namespace pushforward
