// Softmax along one axis (default the last), and losses of examples. Σ is over that axis and keeps it with size 1.
//   softmax     y = exp(x − max x) / Σ exp(x − max x)    ẏ = y ⊙ (ẋ − Σ y ⊙ ẋ)      x̄ = y ⊙ (ȳ − Σ y ⊙ ȳ)
//   logSoftmax  y = x − log Σ exp x                      ẏ = ẋ − Σ p ⊙ ẋ            x̄ = ȳ − p ⊙ Σ ȳ,   p = exp(y)
//   softmaxCrossEntropy  x [..., C], labels int32 [...] → y [...],  y = log Σ exp x − x[label]
//               ẏ = Σ p ⊙ ẋ − pick(ẋ, labels)            x̄ = p ⊙ ȳ − unpick(ȳ, labels),   p = softmax(x)
// Two linear ops, mutual adjoints, in which labels repeat over extra leading axes (the K of a tangent):
//   pick        x [..., C], labels → y [...],  y = x[label]         ẏ = pick(ẋ, labels)      x̄ = unpick(ȳ, labels)
//   unpick      y [...], labels {classes} → x [..., C],  x[label] = y, 0 elsewhere; likewise
// A label outside [0, C) makes that example NaN in all three; the other examples keep their values.
#include "ops/softmax.h"

#include "core/builder.h"
#include "core/error.h"
#include "ops/axes.h"

namespace pushforward {

namespace {

using Values = std::vector<ValueId>;

Shape withoutLast(const Shape& shape) {
  std::vector<int64_t> dims = shape.dims();
  dims.pop_back();
  return Shape(dims);
}

/** [...] → [..., 1]. */
ValueId withLastOne(Builder& b, ValueId y) {
  std::vector<int64_t> dims = b.shape(y).dims();
  dims.push_back(1);
  return b.reshape(y, Shape(dims));
}

int softmaxAxis(const Node& node, const Shape& shape) {
  return axisAttribute(node.op->name, node.attributes, -1, shape.rank());
}

void softmaxJvp(JvpContext& context) {
  Builder& b = context.b;
  ValueId xDot = context.xDot[0];
  int64_t axis = softmaxAxis(context.node, b.shape(context.x[0])) + 1;
  context.y = b.clone(context.node, context.x);
  ValueId weighted = sumKeepingDims(b, b.emit("mul", {context.y[0], xDot}), {axis});
  context.yDot = {b.emit("mul", {context.y[0], b.emit("sub", {xDot, weighted})})};
}

void softmaxVjp(VjpContext& context) {
  Builder& b = context.b;
  ValueId y = context.y[0], yBar = context.yBar[0];
  int64_t axis = softmaxAxis(context.node, b.shape(context.x[0]));
  ValueId weighted = sumKeepingDims(b, b.emit("mul", {y, yBar}), {axis});
  context.xBar[0] = b.emit("mul", {y, b.emit("sub", {yBar, weighted})});
}

void logSoftmaxJvp(JvpContext& context) {
  Builder& b = context.b;
  ValueId xDot = context.xDot[0];
  int64_t axis = softmaxAxis(context.node, b.shape(context.x[0])) + 1;
  context.y = b.clone(context.node, context.x);
  ValueId p = b.emit("exp", {context.y[0]});
  context.yDot = {b.emit("sub", {xDot, sumKeepingDims(b, b.emit("mul", {p, xDot}), {axis})})};
}

void logSoftmaxVjp(VjpContext& context) {
  Builder& b = context.b;
  int64_t axis = softmaxAxis(context.node, b.shape(context.x[0]));
  ValueId p = b.emit("exp", {context.y[0]});
  ValueId total = sumKeepingDims(b, context.yBar[0], {axis});
  context.xBar[0] = b.emit("sub", {context.yBar[0], b.emit("mul", {p, total})});
}

Op softmaxLike(const char* name, const char* kernel, double operations) {
  Op op;
  op.name = name;
  op.minInputs = op.maxInputs = 1;
  op.attributes = {{"axis", AttributeKind::number}};
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    expectDType(context, 0, DType::real);
    axisAttribute(context.op.name, context.attributes, -1, context.input[0]->shape.rank());
    return {*context.input[0]};
  };
  op.kernels = [kernel](const PlanContext& context) -> std::vector<KernelPlan> {
    const Shape& shape = context.input[0]->shape;
    int axis = softmaxAxis(context.node, shape);
    SoftmaxParameters p{shape.product(0, axis), shape[axis], shape.product(axis + 1, shape.rank())};
    return {{kernel, parameterBlock(p), {0, 1}}};
  };
  op.cost = [operations](const PlanContext& context) { return streamingCost(context, operations); };
  return op;
}

/** labels [...] must be the last axes of `batch`, the shape of x or y without classes. */
void expectLabels(const TypeContext& context, const Shape& batch, bool repeats) {
  expectDType(context, 0, DType::real);
  expectDType(context, 1, DType::int32);
  const Shape& labels = context.input[1]->shape;
  int extra = batch.rank() - labels.rank();
  if (extra < 0 || (extra > 0 && !repeats) || batch.tail(extra) != labels)
    fail(Code::SHAPE_MISMATCH, context.op.name, "labels of shape " + batch.text(), labels.text());
}

/** x [..., C] and labels → [...]. */
std::vector<Type> lossType(const TypeContext& context, bool repeats) {
  const Shape& x = context.input[0]->shape;
  if (x.rank() == 0 || x[x.rank() - 1] == 0)
    fail(Code::INVALID_ARGUMENT, context.op.name, "a last axis of at least one class", x.text());
  expectLabels(context, withoutLast(x), repeats);
  return {{DType::real, withoutLast(x)}};
}

std::vector<KernelPlan> pickPlan(const char* kernel, const Shape& full, const Shape& labels) {
  int last = full.rank() - 1;
  PickParameters p{full.product(0, last), full[last], labels.count()};
  return {{kernel, parameterBlock(p), {0, 1, 2}}};
}

Attributes classesAttribute(const Shape& x) { return {{"classes", static_cast<double>(x[x.rank() - 1])}}; }

void crossEntropyJvp(JvpContext& context) {
  Builder& b = context.b;
  ValueId x = context.x[0], labels = context.x[1], xDot = context.xDot[0];
  context.y = b.clone(context.node, context.x);
  ValueId p = b.emit("softmax", {x});
  std::vector<int64_t> last{b.shape(x).rank()};
  ValueId expected = b.emit("sum", {b.emit("mul", {p, xDot})}, {{"axis", last}});
  context.yDot = {b.emit("sub", {expected, b.emit("pick", {xDot, labels})})};
}

void crossEntropyVjp(VjpContext& context) {
  Builder& b = context.b;
  if (!context.wanted[0]) return;
  ValueId x = context.x[0], labels = context.x[1], yBar = context.yBar[0];
  ValueId p = b.emit("softmax", {x});
  ValueId target = b.emit("unpick", {yBar, labels}, classesAttribute(b.shape(x)));
  context.xBar[0] = b.emit("sub", {b.emit("mul", {p, withLastOne(b, yBar)}), target});
}

void meanSquaredErrorType(const TypeContext& context) {
  expectDType(context, 0, DType::real);
  expectDType(context, 1, DType::real);
  const Shape &x = context.input[0]->shape, &target = context.input[1]->shape;
  if (x != target) fail(Code::SHAPE_MISMATCH, "meanSquaredError", "a target of shape " + x.text(), target.text());
  if (x.rank() == 0) fail(Code::SHAPE_MISMATCH, "meanSquaredError", "at least one axis, the examples", x.text());
  if (x.product(1, x.rank()) == 0)
    fail(Code::INVALID_ARGUMENT, "meanSquaredError", "at least one element for each example", x.text());
}

const OpRegistration softmax{[] {
  Op op = softmaxLike("softmax", "softmax", 5);  // max, subtract, exp, add, scale
  op.jvp = softmaxJvp;
  op.vjp = softmaxVjp;
  return op;
}()};

const OpRegistration logSoftmax{[] {
  Op op = softmaxLike("logSoftmax", "log_softmax", 5);
  op.jvp = logSoftmaxJvp;
  op.vjp = logSoftmaxVjp;
  return op;
}()};

const OpRegistration softmaxCrossEntropy{[] {
  Op op;
  op.name = "softmaxCrossEntropy";
  op.minInputs = op.maxInputs = 2;
  op.infer = [](const TypeContext& context) { return lossType(context, false); };
  op.jvp = crossEntropyJvp;
  op.vjp = crossEntropyVjp;
  op.kernels = [](const PlanContext& context) {
    return pickPlan("softmax_cross_entropy", context.input[0]->shape, context.input[1]->shape);
  };
  op.cost = [](const PlanContext& context) { return streamingCost(context, 4); };
  return op;
}()};

const OpRegistration pick{[] {
  Op op;
  op.name = "pick";
  op.minInputs = op.maxInputs = 2;
  op.infer = [](const TypeContext& context) { return lossType(context, true); };
  op.jvp = [](JvpContext& context) {
    context.y = context.b.clone(context.node, context.x);
    context.yDot = context.b.clone(context.node, {context.xDot[0], context.x[1]});
  };
  op.vjp = [](VjpContext& context) {
    if (context.wanted[0])
      context.xBar[0] =
          context.b.emit("unpick", {context.yBar[0], context.x[1]}, classesAttribute(context.b.shape(context.x[0])));
  };
  op.kernels = [](const PlanContext& context) {
    return pickPlan("pick", context.input[0]->shape, context.input[1]->shape);
  };
  op.cost = [](const PlanContext& context) {
    return Cost{0, 12.0 * static_cast<double>(context.output[0]->shape.count()), 0};  // element, label, result
  };
  return op;
}()};

const OpRegistration unpick{[] {
  Op op;
  op.name = "unpick";
  op.minInputs = op.maxInputs = 2;
  op.attributes = {{"classes", AttributeKind::number, true}};
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    const Shape& y = context.input[0]->shape;
    int64_t classes = integerAttribute("unpick", context.attributes, "classes", 0);
    if (classes < 1) fail(Code::INVALID_ARGUMENT, "unpick", "at least one class", std::to_string(classes));
    expectLabels(context, y, true);
    std::vector<int64_t> dims = y.dims();
    dims.push_back(classes);
    return {{DType::real, Shape(dims)}};
  };
  op.jvp = [](JvpContext& context) {
    context.y = context.b.clone(context.node, context.x);
    context.yDot = context.b.clone(context.node, {context.xDot[0], context.x[1]});
  };
  op.vjp = [](VjpContext& context) {
    if (context.wanted[0]) context.xBar[0] = context.b.emit("pick", {context.yBar[0], context.x[1]});
  };
  op.kernels = [](const PlanContext& context) {
    return pickPlan("unpick", context.output[0]->shape, context.input[1]->shape);
  };
  op.cost = [](const PlanContext& context) { return streamingCost(context, 0); };
  return op;
}()};

// y_i = mean over all but the first axis of (x − target)²; rules, jvp and vjp come from the lowering.
const OpRegistration meanSquaredError{[] {
  Op op;
  op.name = "meanSquaredError";
  op.minInputs = op.maxInputs = 2;
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    meanSquaredErrorType(context);
    return {{DType::real, Shape{context.input[0]->shape[0]}}};
  };
  op.lower = [](ExpandContext& context) -> Values {
    Builder& b = context.b;
    ValueId squares = b.emit("square", {b.emit("sub", {context.x[0], context.x[1]})});
    std::vector<int64_t> axes;
    for (int axis = 1; axis < b.shape(squares).rank(); ++axis) axes.push_back(axis);
    return {axes.empty() ? squares : b.emit("mean", {squares}, {{"axis", axes}})};
  };
  return op;
}()};

}  // namespace

}  // namespace pushforward
