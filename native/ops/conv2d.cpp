// y = act(x * w + b): x [B, H, W, Cin], w [kh, kw, Cin, Cout], b [Cout], y [B, OH, OW, Cout] {stride, padding, dilation, activation}.
//   (x * w)[n, o, f] = Σ_{t, c} x[n, o·stride + t·dilation − padding, c] w[t, c, f], o and t along both spatial axes, x = 0 outside
//   ẏ = act'(z) ⊙ (ẋ * w + x * ẇ + ḃ)                                    conv2d_pushforward, one pass for y and K tangents
//   δ = ȳ ⊙ act'(z), x̄ = pullback of δ to x, w̄ = pullback of δ to w, b̄ = Σ_{n, o} δ
// Three bilinear ops, each the others' derivative, with one trilinear form ⟨u, x * w⟩ behind them:
//   convolve(x, w) → u               conv2d without bias and activation; its jvp is conv2d_pushforward
//   conv2d_input_pullback(u, w) → x      {size [H, W]}       ẋ-like: of u̇ and w, of u and ẇ; adjoints: convolve(x̄, w), filter_pullback(x̄, u)
//   conv2d_filter_pullback(x, u) → w     {kernel [kh, kw]}   of ẋ and u, of x and u̇; adjoints: input_pullback(u, w̄), convolve(x, w̄)
// K tangents of an argument are more examples where the batch is not summed over, else more channels or more filters of one product.
// conv2d_pushforward(x, w, b?, ẋ?, ẇ?, ḃ?) → y, ẏ [K, …]; fusion replaces the inputs ẇ and ḃ by the law that makes them (attributes wDot,
// bDot), so that the kernel generates each element once and no tangent is stored whole.
// Made by fusion (core/pullbacks.cpp):
//   conv2d_gated_input_pullback(u, w, y) → x where y > 0, else 0       conv2d_filter_bias_pullback(x, u) → w, b, b = Σ_{n, o} u
#include "ops/conv2d.h"

#include "core/activation.h"
#include "core/builder.h"
#include "core/error.h"
#include "core/generated.h"
#include "core/op.h"
#include "ops/axes.h"
#include "ops/spatial.h"

namespace pushforward {

namespace {

using Values = std::vector<ValueId>;
using Axes = std::vector<int64_t>;

std::string activationOf(const Attributes& attributes) { return attributes.text("activation", "none"); }

const std::vector<AttributeSpec>& geometrySpecs() {
  static const std::vector<AttributeSpec> specs = {
      {"stride", AttributeKind::list}, {"padding", AttributeKind::list}, {"dilation", AttributeKind::list}};
  return specs;
}

/** stride, padding and dilation as they stand. */
Attributes geometryOf(const Attributes& attributes) {
  Attributes geometry;
  for (const AttributeSpec& spec : geometrySpecs())
    if (const std::vector<int64_t>* list = attributes.list(spec.name)) geometry.set(spec.name, *list);
  return geometry;
}

Attributes with(Attributes attributes, const char* name, AttributeValue value) {
  attributes.set(name, std::move(value));
  return attributes;
}

void expectReal(const TypeContext& context) {
  for (const Type* type : context.input)
    if (type && type->dtype != DType::real) fail(Code::DTYPE_MISMATCH, context.op.name, "real tensors", type->text());
}

void expectShape(const std::string& op, const char* what, const Type* type, const Shape& shape) {
  if (type && type->shape != shape)
    fail(Code::SHAPE_MISMATCH, op, std::string(what) + " " + shape.text(), type->shape.text());
}

/** Checks that x and w go together and that the window fits. */
Conv2dShape convolutionOf(const std::string& op, const Attributes& attributes, const Shape& x, const Shape& w) {
  if (x.rank() != 4 || w.rank() != 4 || x[3] != w[2])
    fail(Code::SHAPE_MISMATCH, op, "x [B, H, W, Cin] and w [kh, kw, Cin, Cout]", x.text() + " and " + w.text());
  const Pair stride = pairAttribute(op, attributes, "stride", 1, {1, 1});
  const Pair padding = pairAttribute(op, attributes, "padding", 0, {0, 0});
  const Pair dilation = pairAttribute(op, attributes, "dilation", 1, {1, 1});
  const Pair out = windowCounts(op, spatialSize(x), {w[0], w[1]}, stride, padding, dilation);
  return {x[0],
          x[1],
          x[2],
          x[3],
          out[0],
          out[1],
          w[3],
          {w[0], w[1]},
          {stride[0], stride[1]},
          {padding[0], padding[1]},
          {dilation[0], dilation[1]}};
}

Shape outputShape(const Conv2dShape& c) { return Shape{c.batch, c.outHeight, c.outWidth, c.filters}; }
double productOperations(const Conv2dShape& c) {
  return 2.0 * double(c.batch * c.outHeight * c.outWidth) * double(c.kernel[0] * c.kernel[1] * c.channels) *
         double(c.filters);
}

Shape checkConv2d(const TypeContext& context) {
  expectReal(context);
  const Conv2dShape c =
      convolutionOf(context.op.name, context.attributes, context.input[0]->shape, context.input[1]->shape);
  if (context.input.size() > 2) expectShape(context.op.name, "b", context.input[2], Shape{c.filters});
  checkActivation(context.op.name, activationOf(context.attributes));
  return outputShape(c);
}

/** [a₀, …] as [a₀, …] with `axis` split into [axis / inner, inner]; then the first of the two moved to the front. */
ValueId splitToFront(Builder& b, ValueId x, int axis, int64_t k) {
  std::vector<int64_t> dims = b.shape(x).dims();
  dims[static_cast<size_t>(axis)] /= k;
  dims.insert(dims.begin() + axis, k);
  Axes permutation{axis};
  for (int64_t i = 0; i < static_cast<int64_t>(dims.size()); ++i)
    if (i != axis) permutation.push_back(i);
  return b.emit("transpose", {b.reshape(x, Shape(dims))}, {{"permutation", permutation}});
}

/** A tangent [K, a₀, …] with K merged into axis `axis` of its primal, K outside. */
ValueId mergeInto(Builder& b, ValueId xDot, int axis) {
  Shape shape = b.shape(xDot);
  Axes permutation;
  for (int64_t i = 1; i < shape.rank(); ++i) {
    if (i == axis + 1) permutation.push_back(0);
    permutation.push_back(i);
  }
  std::vector<int64_t> dims = shape.tail(1).dims();
  dims[static_cast<size_t>(axis)] *= shape[0];
  return b.reshape(b.emit("transpose", {xDot}, {{"permutation", permutation}}), Shape(dims));
}

ValueId mergeExamples(Builder& b, ValueId xDot) { return b.reshape(xDot, mergeDirections(b.shape(xDot))); }
ValueId splitExamples(Builder& b, ValueId y, int64_t k) {
  Shape shape = b.shape(y);
  return b.reshape(y, shape.tail(1).prepend(shape[0] / k).prepend(k));
}

/** act(z + b) as elementwise ops. */
ValueId finish(Builder& b, ValueId z, ValueId bias, const std::string& activation) {
  return emitActivation(b, activation, bias == none ? z : b.emit("add", {z, bias}));
}

Values lowerConv2d(ExpandContext& context) {
  const Values& x = context.x;
  ValueId z = context.b.emit("convolve", {x[0], x[1]}, geometryOf(context.node.attributes));
  return {finish(context.b, z, x.size() > 2 ? x[2] : none, activationOf(context.node.attributes))};
}

void jvpConv2d(JvpContext& context) {
  Values inputs = {context.x[0], context.x[1], context.x.size() > 2 ? context.x[2] : none};
  for (size_t i = 0; i < 3; ++i) inputs.push_back(i < context.xDot.size() ? context.xDot[i] : none);
  Attributes attributes = geometryOf(context.node.attributes);
  attributes.set("activation", activationOf(context.node.attributes));
  attributes.set("directions", double(context.directions));
  Values out = context.b.emit(getOp("conv2d_pushforward"), inputs, attributes);
  context.y = {out[0]};
  context.yDot = {out[1]};
}

void vjpConv2d(VjpContext& context) {
  Builder& b = context.b;
  std::string activation = activationOf(context.node.attributes);
  ValueId delta = context.yBar[0];
  if (activation != "none") delta = b.emit("mul", {delta, emitSlopeFromResult(b, activation, context.y[0])});
  Attributes geometry = geometryOf(context.node.attributes);
  Shape x = b.shape(context.x[0]), w = b.shape(context.x[1]);
  if (context.wanted[0])
    context.xBar[0] =
        b.emit("conv2d_input_pullback", {delta, context.x[1]}, with(geometry, "size", listOf(spatialSize(x))));
  if (context.wanted[1])
    context.xBar[1] =
        b.emit("conv2d_filter_pullback", {context.x[0], delta}, with(geometry, "kernel", listOf({w[0], w[1]})));
  if (context.wanted.size() > 2 && context.wanted[2])
    context.xBar[2] = b.emit("sum", {delta}, {{"axis", Axes{0, 1, 2}}});
}

std::vector<Type> inferPushforward(const TypeContext& context) {
  if (context.input.size() != 6)
    fail(Code::INVALID_ARGUMENT, context.op.name, "6 inputs", std::to_string(context.input.size()));
  Shape y = checkConv2d(context);
  int64_t k = integerAttribute(context.op.name, context.attributes, "directions", 1);
  if (k < 1 || k > 1024) fail(Code::INVALID_ARGUMENT, context.op.name, "1 to 1024 directions", std::to_string(k));
  const Shape &x = context.input[0]->shape, &w = context.input[1]->shape;
  expectShape(context.op.name, "x tangent", context.input[3], x.prepend(k));
  expectShape(context.op.name, "w tangent", context.input[4], w.prepend(k));
  expectShape(context.op.name, "b tangent", context.input[5], Shape{k, w[3]});
  return {{DType::real, y}, {DType::real, y.prepend(k)}};
}

Values lowerPushforward(ExpandContext& context) {
  Builder& b = context.b;
  const Values& x = context.x;
  std::string activation = activationOf(context.node.attributes);
  Attributes geometry = geometryOf(context.node.attributes);
  int64_t k = context.node.attributes.integer("directions", 1);
  ValueId z = b.emit("convolve", {x[0], x[1]}, geometry);
  Shape tangents = b.shape(z).prepend(k);
  if (x[2] != none) z = b.emit("add", {z, x[2]});
  ValueId zDot = none;
  if (x[3] != none) zDot = splitExamples(b, b.emit("convolve", {mergeExamples(b, x[3]), x[1]}, geometry), k);
  if (x[4] != none)
    zDot = b.addOrNone(zDot, splitToFront(b, b.emit("convolve", {x[0], mergeInto(b, x[4], 3)}, geometry), 3, k));
  if (x[5] != none) zDot = b.addOrNone(zDot, b.alignTangent(x[5], 4));
  if (zDot == none) zDot = b.full(tangents, 0);
  zDot = b.broadcast(zDot, tangents);
  if (activation != "none") zDot = b.emit("mul", {emitSlope(b, activation, z), zDot});
  return {emitActivation(b, activation, z), zDot};
}

Conv2dParameters parametersOf(const PlanContext& context) {
  const Attributes& attributes = context.node.attributes;
  Conv2dParameters p{};
  p.shape = convolutionOf(context.node.op->name, attributes, context.input[0]->shape, context.input[1]->shape);
  p.hasBias = context.input.size() > 2 && context.input[2];
  p.relu = activationOf(attributes) == "relu";
  p.activation = activationMicro(activationOf(attributes));
  p.slope = slopeMicro(activationOf(attributes));
  if (context.node.op->name != "conv2d_pushforward") return p;
  p.directions = static_cast<int32_t>(attributes.integer("directions", 1));
  const TangentOperand given{TangentKind::given, 0, 0, 0}, zero{TangentKind::zero, 0, 0, 0};
  p.xDot = context.input[3] ? given : zero;
  p.wDot = context.input[4] ? given : generatedOperand(attributes, "wDot");
  p.bDot = context.input[5] ? given : generatedOperand(attributes, "bDot");
  return p;
}

Cost costOf(const PlanContext& context) {
  const Conv2dParameters p = parametersOf(context);
  const double product = productOperations(p.shape), k = double(p.directions);
  const double n = double(context.input[1]->shape.count()), depth = n / double(std::max<int64_t>(1, p.shape.filters));
  const double pixels = double(p.shape.batch * p.shape.outHeight * p.shape.outWidth), out = double(p.shape.filters);
  Cost cost = streamingCost(context, 0);
  cost.operations = product;
  if (p.xDot.kind == TangentKind::given) cost.operations += k * product;
  switch (p.wDot.kind) {
    case TangentKind::zero:
      break;
    case TangentKind::given:
      cost.operations += k * product;
      break;
    case TangentKind::gaussian:
      cost.operations += k * product, cost.words += k * n;
      break;
    case TangentKind::rademacher:
      cost.operations += k * product, cost.words += k * n / 32;
      break;
    case TangentKind::lowRank:
      cost.operations += k * p.wDot.rank * 2 * pixels * (depth + out),
          cost.words += k * p.wDot.rank * (depth + out) / 32;
  }
  return cost;
}

/** Both pullbacks: {size or kernel} and geometry → the convolution whose pullback it is. */
Conv2dShape inputPullbackOf(const std::string& op, const Attributes& attributes, const Type& delta, const Type& w) {
  const Pair size = pairAttribute(op, attributes, "size", 0, {0, 0});
  if (delta.shape.rank() != 4 || w.shape.rank() != 4)
    fail(Code::SHAPE_MISMATCH, op, "a cotangent [B, OH, OW, Cout] and w [kh, kw, Cin, Cout]",
         delta.shape.text() + " and " + w.shape.text());
  const Conv2dShape c = convolutionOf(op, attributes, Shape{delta.shape[0], size[0], size[1], w.shape[2]}, w.shape);
  expectShape(op, "a cotangent", &delta, outputShape(c));
  return c;
}

Conv2dShape filterPullbackOf(const std::string& op, const Attributes& attributes, const Type& x, const Type& delta) {
  const Pair kernel = pairAttribute(op, attributes, "kernel", 1, {1, 1});
  if (x.shape.rank() != 4 || delta.shape.rank() != 4)
    fail(Code::SHAPE_MISMATCH, op, "x [B, H, W, Cin] and a cotangent [B, OH, OW, Cout]",
         x.shape.text() + " and " + delta.shape.text());
  const Conv2dShape c = convolutionOf(op, attributes, x.shape, Shape{kernel[0], kernel[1], x.shape[3], delta.shape[3]});
  expectShape(op, "a cotangent", &delta, outputShape(c));
  return c;
}

void jvpInputPullback(JvpContext& context) {
  Builder& b = context.b;
  const Attributes& attributes = context.node.attributes;
  const int64_t k = context.directions;
  context.y = b.clone(context.node, context.x);
  ValueId dot = none;
  if (context.xDot[0] != none) {
    ValueId stacked = b.emit("conv2d_input_pullback", {mergeExamples(b, context.xDot[0]), context.x[1]}, attributes);
    dot = splitExamples(b, stacked, k);
  }
  if (context.xDot[1] != none) {
    ValueId stacked = b.emit("conv2d_input_pullback", {context.x[0], mergeInto(b, context.xDot[1], 2)}, attributes);
    dot = b.addOrNone(dot, splitToFront(b, stacked, 3, k));
  }
  context.yDot = {dot};
}

void vjpInputPullback(VjpContext& context) {
  Builder& b = context.b;
  Attributes geometry = geometryOf(context.node.attributes);
  ValueId delta = context.x[0], w = context.x[1], bar = context.yBar[0];
  Shape filter = b.shape(w);
  if (context.wanted[0]) context.xBar[0] = b.emit("convolve", {bar, w}, geometry);
  if (context.wanted[1])
    context.xBar[1] =
        b.emit("conv2d_filter_pullback", {bar, delta}, with(geometry, "kernel", listOf({filter[0], filter[1]})));
}

void jvpFilterPullback(JvpContext& context) {
  Builder& b = context.b;
  const Attributes& attributes = context.node.attributes;
  const int64_t k = context.directions;
  context.y = b.clone(context.node, context.x);
  ValueId dot = none;
  if (context.xDot[0] != none) {
    ValueId stacked = b.emit("conv2d_filter_pullback", {mergeInto(b, context.xDot[0], 3), context.x[1]}, attributes);
    dot = splitToFront(b, stacked, 2, k);
  }
  if (context.xDot[1] != none) {
    ValueId stacked = b.emit("conv2d_filter_pullback", {context.x[0], mergeInto(b, context.xDot[1], 3)}, attributes);
    dot = b.addOrNone(dot, splitToFront(b, stacked, 3, k));
  }
  context.yDot = {dot};
}

void vjpFilterPullback(VjpContext& context) {
  Builder& b = context.b;
  Attributes geometry = geometryOf(context.node.attributes);
  ValueId x = context.x[0], delta = context.x[1], bar = context.yBar[0];
  if (context.wanted[0])
    context.xBar[0] =
        b.emit("conv2d_input_pullback", {delta, bar}, with(geometry, "size", listOf(spatialSize(b.shape(x)))));
  if (context.wanted[1]) context.xBar[1] = b.emit("convolve", {x, bar}, geometry);
}

std::vector<KernelPlan> primalPlan(const PlanContext& context) {
  const bool bias = context.input.size() > 2 && context.input[2];
  return {{productKernel(context, "conv2d_primal"),
           parameterBlock(parametersOf(context)),
           {0, 1, bias ? 2 : -1, static_cast<int>(context.input.size())}}};
}

const OpRegistration conv2d = [] {
  Op op;
  op.name = "conv2d";
  op.minInputs = 2;
  op.maxInputs = 3;
  op.attributes = geometrySpecs();
  op.attributes.push_back({"activation", AttributeKind::text});
  op.infer = [](const TypeContext& context) -> std::vector<Type> { return {{DType::real, checkConv2d(context)}}; };
  op.jvp = jvpConv2d;
  op.vjp = vjpConv2d;
  op.lower = lowerConv2d;
  op.lowerForVjp = [](const Node& node) {
    std::string activation = activationOf(node.attributes);
    return activation != "none" && !slopeFromResult(activation);
  };
  op.kernels = primalPlan;
  op.cost = costOf;
  return op;
}();

const OpRegistration convolve = [] {
  Op op;
  op.name = "convolve";
  op.minInputs = op.maxInputs = 2;
  op.attributes = geometrySpecs();
  op.infer = [](const TypeContext& context) -> std::vector<Type> { return {{DType::real, checkConv2d(context)}}; };
  op.jvp = jvpConv2d;
  op.vjp = vjpConv2d;
  op.kernels = primalPlan;
  op.cost = costOf;
  return op;
}();

const OpRegistration conv2dPushforward = [] {
  Op op;
  op.name = "conv2d_pushforward";
  op.minInputs = 2;
  op.maxInputs = 6;
  op.attributes = geometrySpecs();
  op.attributes.push_back({"activation", AttributeKind::text});
  op.attributes.push_back({"directions", AttributeKind::number});
  for (const AttributeSpec& spec : generatedAttributes("wDot")) op.attributes.push_back(spec);
  for (const AttributeSpec& spec : generatedAttributes("bDot")) op.attributes.push_back(spec);
  op.infer = inferPushforward;
  op.lower = lowerPushforward;
  op.kernels = [](const PlanContext& context) -> std::vector<KernelPlan> {
    return {
        {productKernel(context, "conv2d_pushforward"), parameterBlock(parametersOf(context)), allOperands(context)}};
  };
  op.cost = costOf;
  op.absorbs = {{4, "wDot", true}, {5, "bDot", false}};
  return op;
}();

template <class ShapeOf>
Op pullbackOp(const char* name, const char* attribute, const ShapeOf& shapeOf) {
  Op op;
  op.name = name;
  op.minInputs = op.maxInputs = 2;
  op.attributes = geometrySpecs();
  op.attributes.push_back({attribute, AttributeKind::list, true});
  op.kernels = [shapeOf](const PlanContext& context) -> std::vector<KernelPlan> {
    const std::string& self = context.node.op->name;
    const Conv2dShape c = shapeOf(self, context.node.attributes, *context.input[0], *context.input[1]);
    return {{productKernel(context, self), parameterBlock(c), allOperands(context)}};
  };
  op.cost = [shapeOf](const PlanContext& context) {
    Cost cost = streamingCost(context, 0);
    cost.operations = productOperations(
        shapeOf(context.node.op->name, context.node.attributes, *context.input[0], *context.input[1]));
    return cost;
  };
  return op;
}

const OpRegistration inputPullback = [] {
  Op op = pullbackOp("conv2d_input_pullback", "size", inputPullbackOf);
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    expectReal(context);
    const Conv2dShape c = inputPullbackOf(context.op.name, context.attributes, *context.input[0], *context.input[1]);
    return {{DType::real, Shape{c.batch, c.height, c.width, c.channels}}};
  };
  op.jvp = jvpInputPullback;
  op.vjp = vjpInputPullback;
  op.gated = {"conv2d_gated_input_pullback", "conv2d_gated_input_pullback"};
  return op;
}();

/** x̄ where y > 0, else 0: made by fusion, y being the result of the relu before. */
const OpRegistration gatedInputPullback = [] {
  Op op = pullbackOp("conv2d_gated_input_pullback", "size", inputPullbackOf);
  op.minInputs = op.maxInputs = 3;
  op.fusedOnly = true;
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    expectReal(context);
    const Conv2dShape c = inputPullbackOf(context.op.name, context.attributes, *context.input[0], *context.input[1]);
    const Shape x{c.batch, c.height, c.width, c.channels};
    expectShape(context.op.name, "y", context.input[2], x);
    return {{DType::real, x}};
  };
  return op;
}();

const OpRegistration filterPullback = [] {
  Op op = pullbackOp("conv2d_filter_pullback", "kernel", filterPullbackOf);
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    expectReal(context);
    const Conv2dShape c = filterPullbackOf(context.op.name, context.attributes, *context.input[0], *context.input[1]);
    return {{DType::real, Shape{c.kernel[0], c.kernel[1], c.channels, c.filters}}};
  };
  op.jvp = jvpFilterPullback;
  op.vjp = vjpFilterPullback;
  return op;
}();

/** Both cotangents of a layer's parameters, made by fusion. */
const OpRegistration filterBiasPullback = [] {
  Op op = pullbackOp("conv2d_filter_bias_pullback", "kernel", filterPullbackOf);
  op.fusedOnly = true;
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    expectReal(context);
    const Conv2dShape c = filterPullbackOf(context.op.name, context.attributes, *context.input[0], *context.input[1]);
    return {{DType::real, Shape{c.kernel[0], c.kernel[1], c.channels, c.filters}}, {DType::real, Shape{c.filters}}};
  };
  return op;
}();

}  // namespace

}  // namespace pushforward
