// y = act(x w + b): x [..., in], w [in, out], b [out], y [..., out].
//   ẏ = act'(z) ⊙ (ẋ w + x ẇ + ḃ)                             dense_pushforward, one pass for y and K tangents
//   δ = ȳ ⊙ act'(z), x̄ = δ wᵀ, w̄ = xᵀ δ, b̄ = Σ_rows δ
// dense_pushforward(x, w, b?, ẋ?, ẇ?, ḃ?) → y, ẏ [K, ..., out]; fusion replaces the inputs ẇ and ḃ by the law that makes them
// (attributes wDot, bDot), so that the kernel generates each element once and no tangent is stored whole.
#include "ops/dense.h"

#include <algorithm>

#include "core/activation.h"
#include "core/builder.h"
#include "core/error.h"
#include "core/generated.h"
#include "core/op.h"

namespace pushforward {

namespace {

using Values = std::vector<ValueId>;

constexpr size_t keptInput = 6;  // of dense_pushforward, by core/kept.h

std::string activationOf(const Attributes& attributes) { return attributes.text("activation", "none"); }

void expectShape(const Op& op, const char* what, const Type* type, const Shape& shape) {
  if (type && !(type->shape == shape))
    fail(Code::SHAPE_MISMATCH, op.name, std::string(what) + " " + shape.text(), type->shape.text());
}

Shape checkDense(const TypeContext& context) {
  for (const Type* type : context.input)
    if (type && type->dtype != DType::real) fail(Code::DTYPE_MISMATCH, context.op.name, "real tensors", type->text());
  const Shape &x = context.input[0]->shape, &w = context.input[1]->shape;
  if (x.rank() < 1 || w.rank() != 2 || x[x.rank() - 1] != w[0])
    fail(Code::SHAPE_MISMATCH, context.op.name, "x [..., in] and w [in, out]", x.text() + " and " + w.text());
  if (context.input.size() > 2) expectShape(context.op, "b", context.input[2], Shape{w[1]});
  checkActivation(context.op.name, activationOf(context.attributes));
  std::vector<int64_t> dims = x.dims();
  dims.back() = w[1];
  return Shape(dims);
}

Values lowerDense(ExpandContext& context) {
  Builder& b = context.b;
  const Values& x = context.x;
  Shape shape = b.shape(x[0]);
  ValueId rows = shape.rank() == 1 ? b.reshape(x[0], shape.prepend(1)) : x[0];
  ValueId z = b.emit("matmul", {rows, x[1]});
  if (x.size() > 2 && x[2] != none) z = b.emit("add", {z, x[2]});
  if (shape.rank() == 1) z = b.reshape(z, b.shape(z).tail(1));
  return {emitActivation(b, activationOf(context.node.attributes), z)};
}

void jvpDense(JvpContext& context) {
  Values inputs = {context.x[0], context.x[1], context.x.size() > 2 ? context.x[2] : none};
  for (size_t i = 0; i < 3; ++i) inputs.push_back(i < context.xDot.size() ? context.xDot[i] : none);
  Values out = context.b.emit(
      getOp("dense_pushforward"), inputs,
      {{"activation", activationOf(context.node.attributes)}, {"directions", double(context.directions)}});
  context.y = {out[0]};
  context.yDot = {out[1]};
}

void vjpDense(VjpContext& context) {
  Builder& b = context.b;
  std::string activation = activationOf(context.node.attributes);
  ValueId delta = context.yBar[0];
  if (activation != "none") delta = b.emit("mul", {delta, emitSlopeFromResult(b, activation, context.y[0])});
  Shape x = b.shape(context.x[0]), w = b.shape(context.x[1]);
  ValueId flatDelta = b.reshape(delta, Shape{x.product(0, x.rank() - 1), w[1]});
  if (context.wanted[0])
    context.xBar[0] = b.reshape(b.emit("matmul", {flatDelta, context.x[1]}, {{"transposeB", 1.0}}), x);
  if (context.wanted[1]) {
    ValueId flatX = b.reshape(context.x[0], Shape{x.product(0, x.rank() - 1), w[0]});
    context.xBar[1] = b.emit("matmul", {flatX, flatDelta}, {{"transposeA", 1.0}});
  }
  if (context.wanted.size() > 2 && context.wanted[2])
    context.xBar[2] = b.emit("sum", {flatDelta}, {{"axis", std::vector<int64_t>{0}}});
}

std::vector<Type> inferPushforward(const TypeContext& context) {
  if (context.input.size() != keptInput && context.input.size() != keptInput + 1)
    fail(Code::INVALID_ARGUMENT, context.op.name, "six operands (none: absent)", std::to_string(context.input.size()));
  Shape y = checkDense(context);
  int64_t k = context.attributes.integer("directions", 1);
  if (k < 1 || k > 1024) fail(Code::INVALID_ARGUMENT, context.op.name, "1 to 1024 directions", std::to_string(k));
  const Shape &x = context.input[0]->shape, &w = context.input[1]->shape;
  expectShape(context.op, "x tangent", context.input[3], x.prepend(k));
  expectShape(context.op, "w tangent", context.input[4], w.prepend(k));
  expectShape(context.op, "b tangent", context.input[5], Shape{k, w[1]});
  return {{DType::real, y}, {DType::real, y.prepend(k)}};
}

Values lowerPushforward(ExpandContext& context) {
  Builder& b = context.b;
  const Values& x = context.x;
  std::string activation = activationOf(context.node.attributes);
  int64_t k = context.node.attributes.integer("directions", 1);
  Shape shape = b.shape(x[0]);
  ValueId rows = shape.rank() == 1 ? b.reshape(x[0], shape.prepend(1)) : x[0];
  ValueId z = b.emit("matmul", {rows, x[1]});
  Shape zShape = b.shape(z);
  int rank = zShape.rank();
  if (x[2] != none) z = b.emit("add", {z, x[2]});
  ValueId zDot = none;
  if (x[3] != none) zDot = b.emit("matmul", {b.reshape(x[3], b.shape(rows).prepend(k)), x[1]});
  if (x[4] != none) zDot = b.addOrNone(zDot, b.emit("matmul", {rows, b.alignTangent(x[4], rank)}));
  if (x[5] != none) zDot = b.addOrNone(zDot, b.alignTangent(x[5], rank));
  if (zDot == none) zDot = b.full(zShape.prepend(k), 0);
  zDot = b.broadcast(zDot, zShape.prepend(k));
  ValueId y = emitActivation(b, activation, z);
  if (activation != "none") zDot = b.emit("mul", {emitSlope(b, activation, z), zDot});
  Shape out = shape.rank() == 1 ? zShape.tail(1) : zShape;
  return {b.reshape(y, out), b.reshape(zDot, out.prepend(k))};
}

DenseParameters parametersOf(const PlanContext& context) {
  const Shape &x = context.input[0]->shape, &w = context.input[1]->shape;
  const Attributes& attributes = context.node.attributes;
  DenseParameters p{};
  p.rows = x.product(0, x.rank() - 1);
  p.in = w[0];
  p.out = w[1];
  p.layout = context.layout[1].layout;
  p.activation = activationMicro(activationOf(attributes));
  p.slope = slopeMicro(activationOf(attributes));
  p.packedX = attributes.flag("packed.x");
  p.packedXDot = attributes.flag("packed.xDot");
  p.packedY = attributes.flag("packed.y");
  p.packedYDot = attributes.flag("packed.yDot");
  if (context.node.op->name != "dense_pushforward") return p;
  p.directions = static_cast<int32_t>(attributes.integer("directions", 1));
  auto operand = [&](size_t input, const char* name) {
    return context.input[input] ? TangentOperand{TangentKind::given, 0, 0, 0} : generatedOperand(attributes, name);
  };
  p.xDot = context.input[3] ? TangentOperand{TangentKind::given, 0, 0, 0} : TangentOperand{TangentKind::zero, 0, 0, 0};
  p.wDot = operand(4, "wDot");
  p.bDot = operand(5, "bDot");
  if (context.input.size() > keptInput) p.kept = static_cast<int32_t>(context.input[keptInput]->shape[0]);
  return p;
}

Cost costOf(const PlanContext& context) {
  DenseParameters p = parametersOf(context);
  double rows = double(p.rows), in = double(p.in), out = double(p.out), k = double(p.directions);
  double product = 2 * rows * in * out;
  Cost cost;
  cost.operations = product;
  cost.bytes = 4 * (rows * in + in * out + rows * out);
  if (p.xDot.kind == TangentKind::given) {
    cost.operations += k * product;
    cost.bytes += 4 * k * rows * in;
  }
  switch (p.wDot.kind) {
    case TangentKind::zero:
      break;
    case TangentKind::given:
      cost.operations += k * product, cost.bytes += 4 * k * in * out;
      break;
    case TangentKind::gaussian:
      cost.operations += k * product, cost.words += k * in * out;
      break;
    case TangentKind::rademacher:
      cost.operations += k * product, cost.words += k * in * out / 32;
      break;
    case TangentKind::lowRank:
      cost.operations += k * p.wDot.rank * 2 * rows * (in + out), cost.words += k * p.wDot.rank * (in + out) / 32;
  }
  cost.bytes += 4 * k * rows * out;
  const double kept = std::max(p.kept - 1, 0) / 2.0, stacked = p.xDot.kind == TangentKind::given ? 1 + k : 1;
  cost.operations += 2 * kept * rows * stacked * (in + out);
  cost.bytes += 4 * kept * (in + out);
  return cost;
}

const OpRegistration dense = [] {
  Op op;
  op.name = "dense";
  op.minInputs = 2;
  op.maxInputs = 3;
  op.attributes = {
      {"activation", AttributeKind::text}, {"packed.x", AttributeKind::number}, {"packed.y", AttributeKind::number}};
  op.infer = [](const TypeContext& context) -> std::vector<Type> { return {{DType::real, checkDense(context)}}; };
  op.jvp = jvpDense;
  op.vjp = vjpDense;
  op.lower = lowerDense;
  op.lowerForVjp = [](const Node& node) {
    std::string activation = activationOf(node.attributes);
    return activation != "none" && !slopeFromResult(activation);
  };
  op.kernels = [](const PlanContext& context) -> std::vector<KernelPlan> {
    std::vector<int> operands = {0, 1, context.input.size() > 2 && context.input[2] ? 2 : -1,
                                 static_cast<int>(context.input.size())};
    return {{productKernel(context, "dense_primal"), parameterBlock(parametersOf(context)), operands}};
  };
  op.cost = costOf;
  op.takesPanels = {1};
  return op;
}();

const OpRegistration densePushforward = [] {
  Op op;
  op.name = "dense_pushforward";
  op.minInputs = 2;
  op.maxInputs = 7;
  op.attributes = {{"activation", AttributeKind::text},    {"directions", AttributeKind::number},
                   {"packed.x", AttributeKind::number},    {"packed.y", AttributeKind::number},
                   {"packed.xDot", AttributeKind::number}, {"packed.yDot", AttributeKind::number}};
  for (const AttributeSpec& spec : generatedAttributes("wDot")) op.attributes.push_back(spec);
  for (const AttributeSpec& spec : generatedAttributes("bDot")) op.attributes.push_back(spec);
  op.infer = inferPushforward;
  op.lower = lowerPushforward;
  op.kernels = [](const PlanContext& context) -> std::vector<KernelPlan> {
    const int inputs = static_cast<int>(context.input.size());
    std::vector<int> operands;
    for (int i = 0; i < static_cast<int>(keptInput); ++i) operands.push_back(context.input[i] ? i : -1);
    operands.insert(operands.end(), {inputs, inputs + 1, inputs > static_cast<int>(keptInput) ? inputs - 1 : -1});
    return {{productKernel(context, "dense_pushforward"), parameterBlock(parametersOf(context)), operands}};
  };
  op.cost = costOf;
  op.takesPanels = {1};
  op.absorbs = {{4, "wDot", true}, {5, "bDot", false}};
  return op;
}();

}  // namespace

}  // namespace pushforward
