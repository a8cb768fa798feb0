// spsa {sampler, rank, directions, wrt, parameters, losses?, perturbation} holds one program f: x₁ … x_n → losses, extras. Simultaneous perturbation
// stochastic approximation (Spall, IEEE Transactions on Automatic Control 37, 1992), with ε = perturbation and the directions V_k of
// forward_gradient.cpp:
//   c_lk = (f_l(θ + ε V_k) − f_l(θ − ε V_k)) / 2ε,     ḡ = (1/K) Σ_k (Σ_l c_lk) V_k over the losses f_l that the parameter reaches
// Outputs: the losses and the extras, each the mean over the 2K passes; c [K] per loss; ḡ per entry of wrt. A perturbed parameter is made where it is
// first read, so that of a deep network a layer's at a time is alive; + and − draw tangents of their own (of scale ε and −ε), or one of
// them would be kept from pass to pass.
#include <cmath>

#include "core/builder.h"
#include "core/error.h"
#include "core/op.h"
#include "estimators/directions.h"
#include "estimators/losses.h"

namespace pushforward {

namespace {

using Values = std::vector<ValueId>;

constexpr int64_t mostDirections = 64;  // each is two more copies of f in the plan

double perturbationOf(const Attributes& attributes) {
  const double epsilon = attributes.number("perturbation", 0);
  if (!(epsilon > 0) || !std::isfinite(epsilon))
    fail(Code::INVALID_ARGUMENT, "spsa", "a finite perturbation above 0", std::to_string(epsilon));
  return epsilon;
}

std::vector<Type> inferSpsa(const TypeContext& context) {
  std::vector<Type> types = inferLossProgram(context);
  const Directions directions = directionsOf("spsa", context.attributes);
  const size_t inputs = context.bodies[0]->inputValues().size();
  if (context.input.size() != inputs)
    fail(Code::INVALID_ARGUMENT, "spsa", std::to_string(inputs) + " inputs", std::to_string(context.input.size()));
  if (directions.count > mostDirections)
    fail(Code::INVALID_ARGUMENT, "spsa", "at most " + std::to_string(mostDirections) + " directions",
         std::to_string(directions.count));
  for (const Type& type : types)
    if (type.dtype != DType::real) fail(Code::DTYPE_MISMATCH, "spsa", "real outputs, to average", type.text());
  perturbationOf(context.attributes);
  for (int64_t l = 0; l < lossCount(context.attributes); ++l) types.push_back({DType::real, Shape{directions.count}});
  for (const Type& type : inferWrt(context, directions)) types.push_back(type);
  return types;
}

/** Direction k as θ meets it. */
struct Perturbation {
  const Directions& directions;
  int64_t k;
  double epsilon;  // negative for θ − ε V
  ValueId scale;   // sphere's, none for 1

  ValueId apply(Builder& b, size_t i, ValueId x) const {
    ValueId v = emitTangent(b, directions, i, b.shape(x), k, epsilon);
    return b.emit("add", {x, scale == none ? v : b.emit("mul", {v, scale})});
  }
};

/** The outputs of f at θ ± ε V. */
Values emitPass(Builder& b, const Program& f, const Values& x, const Perturbation& perturbation) {
  const Values inputs = f.inputValues();
  Values now(f.types.size(), none);
  std::vector<int64_t> waiting(f.types.size(), -1);  // place in wrt of an input that is still to be perturbed
  for (size_t i = 0; i < inputs.size(); ++i) now[inputs[i]] = x[i];
  for (size_t i = 0; i < perturbation.directions.wrt.size(); ++i)
    waiting[inputs[perturbation.directions.wrt[i]]] = static_cast<int64_t>(i);
  const auto read = [&](ValueId value) {
    if (value == none) return none;
    if (waiting[value] >= 0) now[value] = perturbation.apply(b, static_cast<size_t>(waiting[value]), now[value]);
    waiting[value] = -1;
    return now[value];
  };
  for (const Node& node : f.nodes) {
    if (node.op->name == "input") continue;
    Values operands;
    for (ValueId input : node.inputs) operands.push_back(read(input));
    const Values made = b.clone(node, operands);
    for (size_t i = 0; i < made.size(); ++i) now[node.firstOutput + i] = made[i];
  }
  Values outputs;
  for (ValueId output : f.outputs) outputs.push_back(read(output));
  return outputs;
}

/** √(n / Σ v²) over all parameters. */
ValueId emitSphereScale(Builder& b, const Directions& directions, const Values& x, int64_t k) {
  ValueId squares = none;
  double n = 0;
  for (size_t i = 0; i < directions.wrt.size(); ++i) {
    const Shape shape = b.shape(x[directions.wrt[i]]);
    ValueId v = b.reshape(emitTangent(b, directions, i, shape, k, 1), Shape{shape.count()});
    squares = b.addOrNone(squares, b.emit("sum", {b.emit("square", {v})}, {{"axis", std::vector<int64_t>{0}}}));
    n += double(shape.count());
  }
  return b.emit("sqrt", {b.emit("div", {b.scalar(n), squares})});
}

Values expandSpsa(ExpandContext& context) {
  Builder& b = context.b;
  const Program& f = *context.node.bodies[0];
  const Directions directions = directionsOf("spsa", context.node.attributes);
  const double epsilon = perturbationOf(context.node.attributes);
  const auto losses = static_cast<size_t>(lossCount(context.node.attributes));
  Values totals(f.outputs.size(), none);
  std::vector<Values> derivatives(losses), coefficients(losses);
  for (int64_t k = 0; k < directions.count; ++k) {
    const ValueId scale = directions.sampler == "sphere" ? emitSphereScale(b, directions, context.x, k) : none;
    const Values above = emitPass(b, f, context.x, {directions, k, epsilon, scale});
    const Values below = emitPass(b, f, context.x, {directions, k, -epsilon, scale});
    for (size_t i = 0; i < totals.size(); ++i) totals[i] = b.addOrNone(totals[i], b.emit("add", {above[i], below[i]}));
    for (size_t l = 0; l < losses; ++l) {
      ValueId c = b.emit("mul", {b.emit("sub", {above[l], below[l]}), b.scalar(0.5 / epsilon)});
      derivatives[l].push_back(b.reshape(c, Shape{1}));
      coefficients[l].push_back(scale == none ? derivatives[l].back() : b.reshape(b.emit("mul", {c, scale}), Shape{1}));
    }
  }
  Values outputs;
  for (ValueId total : totals) outputs.push_back(b.emit("mul", {total, b.scalar(0.5 / double(directions.count))}));
  Values ofLoss;
  for (size_t l = 0; l < losses; ++l) {
    outputs.push_back(b.joined(derivatives[l], 0));
    ofLoss.push_back(b.joined(coefficients[l], 0));
  }
  const LossReach reach(f, losses);
  for (size_t i = 0; i < directions.wrt.size(); ++i) {
    const auto place = static_cast<size_t>(directions.wrt[i]);
    const Shape shape = b.shape(context.x[place]);
    const ValueId coefficient = sumOver(b, ofLoss, reach.of(f.inputValues()[place]));
    outputs.push_back(coefficient == none
                          ? b.full(shape, 0)
                          : b.emit("directionalGradient", {coefficient, emitTangents(b, directions, i, shape)}));
  }
  return outputs;
}

const OpRegistration spsa = [] {
  Op op;
  op.name = "spsa";
  op.maxInputs = 1 << 16;
  op.attributes = directionAttributes();
  op.attributes.push_back({"perturbation", AttributeKind::number, true});
  op.infer = inferSpsa;
  op.expand = expandSpsa;
  return op;
}();

}  // namespace

}  // namespace pushforward
