// fromPanels(slot) → y: a weight that lies in panels (core/panels.h), row by row, for an op that cannot read it so. Made
// by the plan alone, after differentiation.
#include "core/panels.h"
#include "core/error.h"
#include "core/op.h"
#include "ops/shape_plan.h"

namespace pushforward {

namespace {

const OpRegistration fromPanels = [] {
  Op op;
  op.name = "fromPanels";
  op.minInputs = op.maxInputs = 1;
  op.fusedOnly = true;
  op.infer = [](const TypeContext& context) -> std::vector<Type> { return {*context.input[0]}; };
  op.kernels = [](const PlanContext& context) {
    return layoutCopies(*context.input[0], context.layout[0], false, 0, 1);
  };
  op.cost = [](const PlanContext& context) -> Cost { return {0, 8.0 * double(context.input[0]->shape.count()), 0}; };
  op.takesPanels = {0};
  return op;
}();

}  // namespace

}  // namespace pushforward
