// tangentDot(s […], v [K, …]) → y [K], y_k = Σ s ⊙ v_k, summed in float64. `directions` is K. Fusion drops a v that is a generated tangent
// and the kernel generates it again, so that it is not stored.
#include "ops/tangent_dot.h"

#include "core/builder.h"
#include "core/error.h"
#include "core/generated.h"
#include "core/op.h"

namespace pushforward {

namespace {

std::vector<Type> inferTangentDot(const TypeContext& context) {
  if (context.input.size() != 2)
    fail(Code::INVALID_ARGUMENT, "tangentDot", "a tensor and its tangents (none: generated)", "one input");
  const Type &s = *context.input[0], *v = context.input[1];
  const int64_t directions = context.attributes.integer("directions", 0);
  const TangentOperand law = generatedOperand(context.attributes, "tangent");
  if (directions < 1 || directions > 1024)
    fail(Code::INVALID_ARGUMENT, "tangentDot", "1 to 1024 directions", std::to_string(directions));
  if (s.dtype != DType::real) fail(Code::DTYPE_MISMATCH, "tangentDot", "real operands", s.text());
  if (v && !(*v == Type{DType::real, s.shape.prepend(directions)}))
    fail(Code::SHAPE_MISMATCH, "tangentDot", "tangents [" + std::to_string(directions) + ", …] of " + s.text(),
         v->text());
  if (!v && law.kind != TangentKind::gaussian && law.kind != TangentKind::rademacher &&
      law.kind != TangentKind::lowRank)
    fail(Code::INVALID_ARGUMENT, "tangentDot", "tangents or the law of generated ones", "neither");
  if (!v && (law.kind == TangentKind::lowRank) != (law.rank >= 1 && law.rank <= 64))
    fail(Code::INVALID_ARGUMENT, "tangentDot", "a rank from 1 to 64 of factors", std::to_string(law.rank));
  return {{DType::real, Shape{directions}}};
}

TangentDotParameters parametersOf(const PlanContext& context) {
  const Shape& shape = context.input[0]->shape;
  TangentDotParameters p{};
  p.n = shape.rank() ? shape[shape.rank() - 1] : 1;
  p.rows = shape.rank() > 1 ? shape.product(0, shape.rank() - 1) : 1;
  p.directions = static_cast<int32_t>(context.output[0]->shape.count());
  p.law = generatedOperand(context.node.attributes, "tangent");
  if (context.input[1]) p.law.kind = TangentKind::given;
  return p;
}

const OpRegistration tangentDot = [] {
  Op op;
  op.name = "tangentDot";
  op.minInputs = 1;  // v may be absent
  op.maxInputs = 2;
  op.attributes = {{"directions", AttributeKind::number, true}};
  for (const AttributeSpec& spec : generatedAttributes("tangent")) op.attributes.push_back(spec);
  op.absorbs = {{1, "tangent", true}};
  op.infer = inferTangentDot;
  op.lower = [](ExpandContext& context) -> std::vector<ValueId> {
    Builder& b = context.b;
    if (context.x[1] == none)
      fail(Code::INVALID_ARGUMENT, "tangentDot", "tangents in an unfused plan", "the law of generated ones");
    const int64_t k = context.node.attributes.integer("directions", 1), count = b.shape(context.x[0]).count();
    ValueId terms = b.emit("mul", {b.reshape(context.x[0], Shape{1, count}), b.reshape(context.x[1], Shape{k, count})});
    return {b.emit("sum", {terms}, {{"axis", std::vector<int64_t>{1}}})};
  };
  op.kernels = [](const PlanContext& context) -> std::vector<KernelPlan> {
    return {{"tangentDot", parameterBlock(parametersOf(context)), allOperands(context)}};
  };
  op.cost = [](const PlanContext& context) {
    const TangentDotParameters p = parametersOf(context);
    const double count = double(p.rows) * double(p.n), k = double(p.directions);
    const double words = p.law.kind == TangentKind::gaussian     ? k * count
                         : p.law.kind == TangentKind::rademacher ? k * count / 32
                         : p.law.kind == TangentKind::lowRank    ? k * double(p.law.rank) * double(p.rows + p.n) / 32
                                                                 : 0;
    return Cost{2 * k * count * (p.law.rank > 0 ? double(p.law.rank) : 1), 4 * count, words};
  };
  return op;
}();

}  // namespace

}  // namespace pushforward
