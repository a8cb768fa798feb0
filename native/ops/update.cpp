// sgd, adam, adamW (parameter, first?, second?, gradient, guard…): the formulas stand in update.h. The parameter and its state are
// slots of the store and are overwritten in place; when a guard (the loss, the directional derivatives) is not finite nothing is.
// Fusion turns a gradient that is made here and used here alone into operands of the kernel, so no gradient buffer exists:
//   directional  (1/K) Σ c_k v_k of a generated tangent   inputs (parameter, first, second, –, c, –, –, guard…), attributes tangent.…
//                and that plus another gradient                   (parameter, first, second, g, c, –, –, guard…)
//   product      xᵀ δ, a dense layer's weight pullback    inputs (parameter, first, second, –, –, x, δ, guard…)
#include "ops/update.h"

#include "core/builder.h"
#include "core/error.h"
#include "core/generated.h"
#include "core/op.h"

namespace pushforward {

namespace {

constexpr int gradientInput = 3, coefficientInput = 4, leftInput = 5, rightInput = 6;

std::vector<Type> inferUpdate(const TypeContext& context) {
  if (context.input.size() < updateGuardOperand)
    fail(Code::INVALID_ARGUMENT, context.op.name,
         "a parameter, two states, a gradient, three operands of its making (none: absent)",
         std::to_string(context.input.size()) + " inputs");
  const Type& parameter = *context.input[0];
  for (int i = 1; i <= gradientInput; ++i)
    if (context.input[i] && !(*context.input[i] == parameter))
      fail(Code::SHAPE_MISMATCH, context.op.name, "state and gradient " + parameter.text(), context.input[i]->text());
  for (const Type* input : context.input)
    if (input && input->dtype != DType::real)
      fail(Code::DTYPE_MISMATCH, context.op.name, "real operands", input->text());
  const Type *c = context.input[coefficientInput], *x = context.input[leftInput], *delta = context.input[rightInput];
  if (c && generatedOperand(context.attributes, "tangent").kind == TangentKind::zero)
    fail(Code::INVALID_ARGUMENT, context.op.name, "coefficients of a generated tangent", "no law of one");
  if ((x || delta) &&
      (!x || !delta || parameter.shape.rank() != 2 || x->shape.rank() != 2 || delta->shape.rank() != 2 ||
       x->shape[0] != delta->shape[0] || x->shape[1] != parameter.shape[0] || delta->shape[1] != parameter.shape[1]))
    fail(Code::SHAPE_MISMATCH, context.op.name, "x [B, rows] and a cotangent [B, n] of a parameter " + parameter.text(),
         (x ? x->text() : "none") + " and " + (delta ? delta->text() : "none"));
  bool made = c || x;
  if (!context.input[gradientInput] && !made) fail(Code::INVALID_ARGUMENT, context.op.name, "a gradient", "none");
  int states = context.op.name != "sgd" ? 2 : context.attributes.number("momentum", 0) != 0 ? 1 : 0;
  for (int i = 1; i <= 2; ++i)
    if ((i <= states) != (context.input[i] != nullptr))
      fail(Code::INVALID_ARGUMENT, context.op.name, std::to_string(states) + " state tensors",
           context.input[i] ? "more" : "fewer");
  return {};
}

UpdateParameters parametersOf(const PlanContext& context) {
  const Attributes& a = context.node.attributes;
  const Shape& shape = context.input[0]->shape;
  UpdateParameters p{};
  p.n = shape.rank() ? shape[shape.rank() - 1] : 1;
  p.rows = shape.rank() > 1 ? shape.product(0, shape.rank() - 1) : 1;
  if (context.input[coefficientInput]) {
    p.gradient = GradientKind::directional;
    p.directions = static_cast<int32_t>(context.input[coefficientInput]->shape.count());
    p.tangent = generatedOperand(a, "tangent");
  } else if (context.input[leftInput]) {
    p.gradient = GradientKind::product;
    p.inner = context.input[leftInput]->shape[0];
  }
  for (int i = 0; i < gradientInput; ++i)
    if (context.input[i] && context.layout[i].columns != context.layout[0].columns)
      fail(Code::INVALID_ARGUMENT, context.node.op->name, "state laid out as its parameter", "another layout");
  p.layout = context.layout[0].layout;
  p.momentum = a.number("momentum", 0);
  p.nesterov = a.flag("nesterov");
  p.ownRate = a.find("rate") != nullptr;
  p.rate = a.number("rate", 0);
  p.weightDecay = a.number("weightDecay", 0);
  p.beta1 = a.number("beta1", 0.9);
  p.beta2 = a.number("beta2", 0.999);
  p.epsilon = a.number("epsilon", 1e-8);
  for (size_t i = updateGuardOperand; i < context.input.size(); ++i)
    if (context.input[i]) p.guardCount[p.guards++] = context.input[i]->shape.count();
  return p;
}

std::vector<KernelPlan> kernelsOf(const PlanContext& context) {
  const UpdateParameters p = parametersOf(context);
  const std::string& name = context.node.op->name;
  return {{p.gradient == GradientKind::product ? productKernel(context, name) : name, parameterBlock(p),
           allOperands(context)}};
}

Cost costOf(const PlanContext& context) {
  UpdateParameters p = parametersOf(context);
  double n = double(p.rows * p.n), k = double(p.directions);
  double states = (context.input[1] ? 1 : 0) + (context.input[2] ? 1 : 0);
  Cost cost{2 * n * (1 + 2 * states), 4 * n * 2 * (1 + states), 0};
  if (p.gradient == GradientKind::directional) cost.operations += 2 * k * n;
  if (p.gradient == GradientKind::product) cost.operations += 2 * n * double(p.inner);
  if (p.tangent.kind == TangentKind::gaussian) cost.words = k * n;
  if (p.tangent.kind == TangentKind::rademacher) cost.words = k * n / 32;
  return cost;
}

Op updateOp(const char* name, std::vector<AttributeSpec> attributes) {
  Op op;
  op.name = name;
  op.minInputs = 1;
  op.maxInputs = updateGuardOperand + 4;
  op.attributes = std::move(attributes);
  for (const AttributeSpec& spec : generatedAttributes("tangent")) op.attributes.push_back(spec);
  op.infer = inferUpdate;
  op.kernels = kernelsOf;
  op.cost = costOf;
  op.takesPanels = op.writes = {0, 1, 2};
  op.guardsFrom = updateGuardOperand;
  return op;
}

const AttributeSpec weightDecay{"weightDecay", AttributeKind::number}, beta1{"beta1", AttributeKind::number},
    beta2{"beta2", AttributeKind::number}, epsilon{"epsilon", AttributeKind::number};

const OpRegistration sgd = updateOp("sgd", {{"momentum", AttributeKind::number},
                                            {"nesterov", AttributeKind::number},
                                            {"rate", AttributeKind::number},
                                            {"mergeEvery", AttributeKind::number},
                                            weightDecay});
const OpRegistration adam = updateOp("adam", {beta1, beta2, epsilon});
const OpRegistration adamW = updateOp("adamW", {beta1, beta2, epsilon, weightDecay});

}  // namespace

}  // namespace pushforward
