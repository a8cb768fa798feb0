// assign(parameter, value): writes a slot of the store; how initial values get there.
#include "core/builder.h"
#include "core/error.h"
#include "core/op.h"
#include "ops/shape_plan.h"

namespace pushforward {

namespace {

const OpRegistration assign = [] {
  Op op;
  op.name = "assign";
  op.minInputs = op.maxInputs = 2;
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    if (!(*context.input[0] == *context.input[1]))
      fail(Code::SHAPE_MISMATCH, "assign", "a value " + context.input[0]->text(), context.input[1]->text());
    return {};
  };
  op.kernels = [](const PlanContext& context) -> std::vector<KernelPlan> {
    const Shape& shape = context.input[0]->shape;
    return {copyPlan(context.input[0]->dtype, shape.dims(), denseView(shape), denseView(shape), 1, 0)};
  };
  op.writes = {0};
  return op;
}();

}  // namespace

}  // namespace pushforward
