// Along one axis (default the last), i counting its elements:
//   cumsum  {axis, reverse}  y_i = Σ_{k ≤ i} x_k     ẏ = cumsum(ẋ, axis + 1)     x̄ = cumsum(ȳ, axis, not reverse); reverse: Σ_{k ≥ i}
//   argmax  {axis} → int32 without the axis: the first i with the largest x_i, the first NaN if there is one; no tangent
#include "ops/cumsum.h"

#include "core/builder.h"
#include "core/error.h"
#include "ops/axes.h"

namespace pushforward {

namespace {

int axisOf(const Node& node, const Shape& shape) {
  return axisAttribute(node.op->name, node.attributes, -1, shape.rank());
}

AlongParameters parametersOf(const PlanContext& context) {
  const Shape& shape = context.input[0]->shape;
  int axis = axisOf(context.node, shape);
  return {shape.product(0, axis), shape[axis], shape.product(axis + 1, shape.rank()),
          context.node.attributes.flag("reverse")};
}

Op alongOp(const char* name) {
  Op op;
  op.name = name;
  op.minInputs = op.maxInputs = 1;
  op.attributes = {{"axis", AttributeKind::number}};
  op.kernels = [](const PlanContext& context) -> std::vector<KernelPlan> {
    return {{context.node.op->name, parameterBlock(parametersOf(context)), {0, 1}}};
  };
  op.cost = [](const PlanContext& context) { return streamingCost(context, 1); };
  return op;
}

const OpRegistration cumsum{[] {
  Op op = alongOp("cumsum");
  op.attributes.push_back({"reverse", AttributeKind::number});
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    expectDType(context, 0, DType::real);
    axisAttribute("cumsum", context.attributes, -1, context.input[0]->shape.rank());
    return {*context.input[0]};
  };
  op.jvp = [](JvpContext& context) {
    context.y = context.b.clone(context.node, context.x);
    double axis = axisOf(context.node, context.b.shape(context.x[0])) + 1.0;
    double reverse = context.node.attributes.number("reverse", 0);
    context.yDot = {context.b.emit("cumsum", {context.xDot[0]}, {{"axis", axis}, {"reverse", reverse}})};
  };
  op.vjp = [](VjpContext& context) {
    double axis = axisOf(context.node, context.b.shape(context.x[0]));
    double reverse = context.node.attributes.flag("reverse") ? 0 : 1;
    context.xBar[0] = context.b.emit("cumsum", {context.yBar[0]}, {{"axis", axis}, {"reverse", reverse}});
  };
  return op;
}()};

const OpRegistration argmax{[] {
  Op op = alongOp("argmax");
  op.constantDerivative = true;
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    expectDType(context, 0, DType::real);
    const Shape& from = context.input[0]->shape;
    int axis = axisAttribute("argmax", context.attributes, -1, from.rank());
    if (from[axis] == 0 || from[axis] > INT32_MAX)
      fail(Code::INVALID_ARGUMENT, "argmax", "an axis of 1 to 2^31 - 1 elements", from.text());
    std::vector<int64_t> dims = from.dims();
    dims.erase(dims.begin() + axis);
    return {{DType::int32, Shape(dims)}};
  };
  return op;
}()};

}  // namespace

}  // namespace pushforward
