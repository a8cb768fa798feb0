// keepFactors(kept, c, guard…), mergeFactors(w, kept): updates of rank one that wait as factors (core/kept.h); formulas stand in kept.h. Made
// by the plan alone, after differentiation. mergeFactors is no step of a plan: the executor asks for it.
#include "ops/kept.h"

#include "core/error.h"
#include "core/generated.h"
#include "core/op.h"

namespace pushforward {

namespace {

KeptParameters keptParameters(const PlanContext& context) {
  const Attributes& a = context.node.attributes;
  const bool merges = context.node.op->name == "mergeFactors";
  KeptParameters p{};
  p.rows = merges ? context.input[0]->shape[0] : a.integer("rows", 0);
  p.n = merges ? context.input[0]->shape[1] : a.integer("columns", 0);
  p.capacity = static_cast<int32_t>(context.input[merges ? 1 : 0]->shape[0]);
  p.tangent = generatedOperand(a, "tangent");
  p.layout = context.layout[0].layout;
  return p;
}

Op keptOp(const char* name, std::vector<int> operands) {
  Op op;
  op.name = name;
  op.fusedOnly = true;
  op.infer = [](const TypeContext&) -> std::vector<Type> { return {}; };
  op.kernels = [operands](const PlanContext& context) -> std::vector<KernelPlan> {
    return {{context.node.op->name, parameterBlock(keptParameters(context)), operands}};
  };
  op.writes = {0};
  return op;
}

const OpRegistration keepFactors = [] {
  Op op = keptOp("keepFactors", {0, 1});
  op.minInputs = 2;
  op.maxInputs = 6;
  op.guardsFrom = 2;
  op.attributes = {{"rows", AttributeKind::number}, {"columns", AttributeKind::number}};
  for (const AttributeSpec& spec : generatedAttributes("tangent")) op.attributes.push_back(spec);
  op.cost = [](const PlanContext& context) -> Cost {
    const KeptParameters p = keptParameters(context);
    const double n = double(p.rows + p.n);
    return {n, 4 * n, n / 32};
  };
  return op;
}();

const OpRegistration mergeFactors = [] {
  Op op = keptOp("mergeFactors", {0, 1});
  op.minInputs = op.maxInputs = 2;
  op.takesPanels = {0};
  op.betweenSteps = true;
  op.cost = [](const PlanContext& context) -> Cost {
    const KeptParameters p = keptParameters(context);
    const double n = double(p.rows) * double(p.n);
    return {2 * n * p.capacity, 8 * n, 0};
  };
  return op;
}();

}  // namespace

}  // namespace pushforward
