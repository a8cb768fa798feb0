// Normalisation over the last axis, n long: μ = mean x (0 in rmsNorm), r = 1/√(mean (x − μ)² + ε), x̂ = r (x − μ).
//   layerNorm    x [..., n], scale s [n]?, shift b [n]? {epsilon}   y = x̂ ⊙ s + b
//   rmsNorm      x [..., n], scale s [n]? {epsilon}                 y = x̂ ⊙ s
//                ẏ = P(ẋ, x) ⊙ s + x̂ ⊙ ṡ + ḃ     x̄ = P(ȳ ⊙ s, x)     s̄ = Σ ȳ ⊙ x̂     b̄ = Σ ȳ, over all axes but the last
//   normProject  z [..., x's shape], x {epsilon, centre}            P(z, x) = r (z − mean z − x̂ mean(x̂ ⊙ z)), μ = mean z = 0 in rmsNorm
// P is linear in z and its own adjoint, so one kernel is pushforward and pullback; z may have the K of a tangent in front. It finds μ and r
// of a row again, which costs less than a tape of x̂. Its own derivatives come from its lowering.
#include "ops/norm.h"

#include <cmath>

#include "core/builder.h"
#include "core/error.h"
#include "ops/axes.h"

namespace pushforward {

namespace {

using Values = std::vector<ValueId>;

double epsilonOf(const Op& op, const Attributes& attributes) {
  double epsilon = attributes.number("epsilon", 1e-5);
  if (!(epsilon >= 0 && std::isfinite(epsilon)))
    fail(Code::INVALID_ARGUMENT, op.name, "epsilon to be a finite number of at least 0", std::to_string(epsilon));
  return epsilon;
}

int64_t lastOf(const Shape& shape) { return shape[shape.rank() - 1]; }

void expectRows(const TypeContext& context, int input) {
  const Shape& x = context.input[input]->shape;
  if (x.rank() == 0 || lastOf(x) == 0)
    fail(Code::SHAPE_MISMATCH, context.op.name, "a last axis of at least one element", x.text());
}

std::vector<Type> inferNorm(const TypeContext& context) {
  expectDType(context, 0, DType::real);
  expectRows(context, 0);
  epsilonOf(context.op, context.attributes);
  Shape vector{lastOf(context.input[0]->shape)};
  for (size_t i = 1; i < context.input.size(); ++i) {
    if (!context.input[i]) continue;
    expectDType(context, static_cast<int>(i), DType::real);
    if (context.input[i]->shape != vector)
      fail(Code::SHAPE_MISMATCH, context.op.name, (i == 1 ? "scale " : "shift ") + vector.text(),
           context.input[i]->shape.text());
  }
  return {*context.input[0]};
}

std::vector<Type> inferProject(const TypeContext& context) {
  expectDType(context, 0, DType::real);
  expectDType(context, 1, DType::real);
  expectRows(context, 1);
  epsilonOf(context.op, context.attributes);
  const Shape &z = context.input[0]->shape, &x = context.input[1]->shape;
  int extra = z.rank() - x.rank();
  if (extra < 0 || z.tail(extra) != x) fail(Code::SHAPE_MISMATCH, context.op.name, "z to end in " + x.text(), z.text());
  return {*context.input[0]};
}

NormParameters parametersOf(const PlanContext& context, int input, bool centre) {
  const Shape& x = context.input[input]->shape;
  NormParameters p{};
  p.n = lastOf(x);
  p.rows = x.product(0, x.rank() - 1);
  p.repeats = p.rows ? context.input[0]->shape.count() / (p.rows * p.n) : 0;
  p.epsilon = context.node.attributes.number("epsilon", 1e-5);
  p.centre = centre;
  return p;
}

/** Of x or of z, which keep the last axis with size 1. */
ValueId meanOfLast(Builder& b, ValueId x) {
  std::vector<int64_t> last{b.shape(x).rank() - 1};
  return b.emit("mean", {x}, {{"axis", last}, {"keepDims", 1.0}});
}

struct Normalised {
  ValueId x, r;  // x̂ and r
};

Normalised normalise(Builder& b, ValueId x, double epsilon, bool centre) {
  ValueId d = centre ? b.emit("sub", {x, meanOfLast(b, x)}) : x;
  ValueId variance = meanOfLast(b, b.emit("square", {d}));
  ValueId r = b.emit("rsqrt", {b.emit("add", {variance, b.scalar(epsilon)})});
  return {b.emit("mul", {d, r}), r};
}

Values lowerNorm(ExpandContext& context, bool centre) {
  Builder& b = context.b;
  double epsilon = context.node.attributes.number("epsilon", 1e-5);
  ValueId y = normalise(b, context.x[0], epsilon, centre).x;
  if (context.x.size() > 1 && context.x[1] != none) y = b.emit("mul", {y, context.x[1]});
  if (context.x.size() > 2 && context.x[2] != none) y = b.emit("add", {y, context.x[2]});
  return {y};
}

Values lowerProject(ExpandContext& context) {
  Builder& b = context.b;
  ValueId z = context.x[0];
  const Attributes& a = context.node.attributes;
  bool centre = a.flag("centre");
  Normalised x = normalise(b, context.x[1], a.number("epsilon", 1e-5), centre);
  ValueId along = b.emit("mul", {x.x, meanOfLast(b, b.emit("mul", {x.x, z}))});
  if (centre) z = b.emit("sub", {z, meanOfLast(b, z)});
  return {b.emit("mul", {x.r, b.emit("sub", {z, along})})};
}

/** What the rules of both ops share. */
struct Rule {
  Builder& b;
  const Node& node;
  const Values& x;
  bool centre;

  ValueId scale() const { return x.size() > 1 ? x[1] : none; }
  Attributes epsilon() const { return {{"epsilon", node.attributes.number("epsilon", 1e-5)}}; }
  ValueId normalised() const { return b.emit(*node.op, {x[0]}, epsilon())[0]; }
  ValueId project(ValueId z) const {
    Attributes attributes = epsilon();
    attributes.set("centre", centre ? 1.0 : 0.0);
    return b.emit("normProject", {z, x[0]}, attributes);
  }
  ValueId scaled(ValueId value) const { return scale() == none ? value : b.emit("mul", {value, scale()}); }
};

void normJvp(JvpContext& context, bool centre) {
  Builder& b = context.b;
  Rule rule{b, context.node, context.x, centre};
  context.y = b.clone(context.node, context.x);
  int rank = b.shape(context.x[0]).rank();
  auto dot = [&](size_t i) { return i < context.xDot.size() ? context.xDot[i] : none; };
  ValueId yDot = dot(0) == none ? none : rule.scaled(rule.project(dot(0)));
  if (dot(1) != none) yDot = b.addOrNone(yDot, b.emit("mul", {rule.normalised(), b.alignTangent(dot(1), rank)}));
  if (dot(2) != none) yDot = b.addOrNone(yDot, b.alignTangent(dot(2), rank));
  context.yDot = {b.broadcast(yDot, b.shape(context.y[0]).prepend(context.directions))};
}

void normVjp(VjpContext& context, bool centre) {
  Builder& b = context.b;
  Rule rule{b, context.node, context.x, centre};
  ValueId yBar = context.yBar[0];
  auto wanted = [&](size_t i) { return i < context.wanted.size() && context.wanted[i]; };
  if (wanted(0)) context.xBar[0] = rule.project(rule.scaled(yBar));
  if (wanted(1)) context.xBar[1] = b.unbroadcast(b.emit("mul", {yBar, rule.normalised()}), b.shape(context.x[1]));
  if (wanted(2)) context.xBar[2] = b.unbroadcast(yBar, b.shape(context.x[2]));
}

Op normOp(const char* name, bool centre) {
  Op op;
  op.name = name;
  op.minInputs = 1;
  op.maxInputs = centre ? 3 : 2;
  op.attributes = {{"epsilon", AttributeKind::number}};
  op.infer = inferNorm;
  op.jvp = [centre](JvpContext& context) { normJvp(context, centre); };
  op.vjp = [centre](VjpContext& context) { normVjp(context, centre); };
  op.lower = [centre](ExpandContext& context) { return lowerNorm(context, centre); };
  op.kernels = [centre](const PlanContext& context) -> std::vector<KernelPlan> {
    int inputs = static_cast<int>(context.input.size());
    auto operand = [&](int i) { return i < inputs && context.input[i] ? i : -1; };
    return {{"norm", parameterBlock(parametersOf(context, 0, centre)), {0, operand(1), operand(2), inputs}}};
  };
  op.cost = [](const PlanContext& context) { return streamingCost(context, 8); };
  return op;
}

const OpRegistration layerNorm{normOp("layerNorm", true)}, rmsNorm{normOp("rmsNorm", false)};

const OpRegistration normProject{[] {
  Op op;
  op.name = "normProject";
  op.minInputs = op.maxInputs = 2;
  op.attributes = {{"epsilon", AttributeKind::number}, {"centre", AttributeKind::number}};
  op.infer = inferProject;
  op.lower = lowerProject;
  op.kernels = [](const PlanContext& context) -> std::vector<KernelPlan> {
    NormParameters p = parametersOf(context, 1, context.node.attributes.flag("centre"));
    return {{"norm_project", parameterBlock(p), {0, 1, 2}}};
  };
  op.cost = [](const PlanContext& context) { return streamingCost(context, 12); };
  return op;
}()};

}  // namespace

}  // namespace pushforward
