// assign(slot, value, guard…): writes a slot of the store, in place: initial values, and state in the commit phase of a training step.
// Nothing is written when a guard (the loss, the directional derivatives) is not finite, as in the updates.
#include "ops/assign.h"

#include "core/builder.h"
#include "core/error.h"
#include "core/op.h"
#include "ops/shape_plan.h"

namespace pushforward {

namespace {

KernelPlan guardedPlan(const PlanContext& context) {
  AssignParameters p{};
  p.count = context.input[0]->shape.count();
  p.integer = context.input[0]->dtype == DType::int32;
  for (size_t i = assignGuardOperand; i < context.input.size(); ++i)
    p.guardCount[p.guards++] = context.input[i]->shape.count();
  return {"assign", parameterBlock(p), allOperands(context)};
}

const OpRegistration assign = [] {
  Op op;
  op.name = "assign";
  op.minInputs = 2;
  op.maxInputs = assignGuardOperand + assignMaxGuards;
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    if (!(*context.input[0] == *context.input[1]))
      fail(Code::SHAPE_MISMATCH, "assign", "a value " + context.input[0]->text(), context.input[1]->text());
    for (size_t i = assignGuardOperand; i < context.input.size(); ++i)
      if (!context.input[i] || context.input[i]->dtype != DType::real)
        fail(Code::DTYPE_MISMATCH, "assign", "real guards", context.input[i] ? context.input[i]->text() : "nothing");
    return {};
  };
  op.kernels = [](const PlanContext& context) -> std::vector<KernelPlan> {
    if (context.input.size() > assignGuardOperand) {
      if (context.layout[0].inPanels()) fail(Code::INVALID_ARGUMENT, "assign", "no guards with a weight", "guards");
      return {guardedPlan(context)};
    }
    if (context.layout[0].inPanels()) return layoutCopies(*context.input[0], context.layout[0], true, 1, 0);
    const Shape& shape = context.input[0]->shape;
    return {copyPlan(context.input[0]->dtype, shape.dims(), denseView(shape), denseView(shape), 1, 0)};
  };
  op.takesPanels = {0};
  op.writes = {0};
  op.guardsFrom = assignGuardOperand;
  return op;
}();

}  // namespace

}  // namespace pushforward
