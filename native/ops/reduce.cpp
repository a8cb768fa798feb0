// Reductions over a set of axes {axis list, keepDims}; axis absent or empty: all axes. n = number of elements
// reduced, R = their axes, R + 1 the same axes of a tangent; "kept" is a value with size 1 on R.
//   sum        y = Σ_R x            ẏ = Σ_{R+1} ẋ                          x̄ = ȳ broadcast
//   mean       y = (Σ_R x) / n      ẏ = mean_{R+1} ẋ                       x̄ = (ȳ / n) broadcast
//   max        y = max_R x          ẏ = Σ_{R+1} m ⊙ ẋ                      x̄ = m ⊙ ȳ kept,     m = maxMask(x)
//   maxMask    m = 1 at the first maximum in row-major order (the first NaN, if there is one), 0 elsewhere; constant
//   logSumExp  y = log Σ_R exp x    ẏ = Σ_{R+1} p ⊙ ẋ                      x̄ = p ⊙ ȳ kept,     p = exp(x − y kept)
// NaN propagates through all of them. The sum of nothing is 0; the others refuse to reduce nothing.
#include "ops/reduce.h"

#include "core/builder.h"
#include "core/error.h"
#include "ops/axes.h"

namespace pushforward {

namespace {

using Axes = std::vector<int64_t>;

bool contains(const Axes& axes, int64_t axis) {
  for (int64_t each : axes)
    if (each == axis) return true;
  return false;
}

std::vector<Type> reducedType(const TypeContext& context, bool ofNothing) {
  expectDType(context, 0, DType::real);
  const Shape& from = context.input[0]->shape;
  Axes axes = reducedAxes(context.op.name, context.attributes, from.rank());
  bool keep = context.attributes.flag("keepDims");
  std::vector<int64_t> dims;
  for (int axis = 0; axis < from.rank(); ++axis) {
    bool reduced = contains(axes, axis);
    if (reduced && from[axis] == 0 && !ofNothing)
      fail(Code::INVALID_ARGUMENT, context.op.name, "at least one element to reduce", from.text());
    if (!reduced || keep) dims.push_back(reduced ? 1 : from[axis]);
  }
  return {{DType::real, Shape(dims)}};
}

/** Merges neighbours that are one stretch of x; sizes of 1 vanish. */
void appendAxis(int32_t& rank, int64_t* shape, int64_t* stride, int64_t size, int64_t step) {
  if (size == 1) return;
  if (rank > 0 && stride[rank - 1] == size * step) {
    shape[rank - 1] *= size;
    stride[rank - 1] = step;
  } else {
    shape[rank] = size;
    stride[rank++] = step;
  }
}

ReduceParameters parametersOf(const PlanContext& context, bool mean) {
  const Shape& from = context.input[0]->shape;
  Axes axes = reducedAxes(context.node.op->name, context.node.attributes, from.rank());
  std::vector<int64_t> strides = stridesOf(from);
  ReduceParameters p{};
  p.divisor = 1;
  for (int axis = 0; axis < from.rank(); ++axis) {
    if (contains(axes, axis)) {
      appendAxis(p.reduceRank, p.reduceShape, p.reduceStride, from[axis], strides[axis]);
      if (mean) p.divisor *= static_cast<double>(from[axis]);
    } else {
      appendAxis(p.outerRank, p.outerShape, p.outerStride, from[axis], strides[axis]);
    }
  }
  if (p.outerRank == 0) p.outerShape[p.outerRank++] = 1;
  if (p.reduceRank == 0) p.reduceShape[p.reduceRank++] = 1;
  return p;
}

/** What a rule needs: the axes of x, those of a tangent, and ȳ or y with size 1 on the reduced axes. */
struct Reduction {
  Builder& b;
  Shape shape;
  Axes axes;
  Attributes tangent;

  Reduction(Builder& builder, const Node& node, ValueId x)
      : b(builder), shape(builder.shape(x)), axes(reducedAxes(node.op->name, node.attributes, shape.rank())) {
    tangent.set("axis", tangentAxes(axes));
    tangent.set("keepDims", node.attributes.number("keepDims", 0));
  }
  ValueId kept(ValueId y) const { return b.reshape(y, keptShape(shape, axes)); }
  /** A scalar has no axis to reduce: its tangent [K] is the result. */
  ValueId ofTangent(const char* op, ValueId xDot) const { return axes.empty() ? xDot : b.emit(op, {xDot}, tangent); }
};

void linearJvp(JvpContext& context) {
  context.y = context.b.clone(context.node, context.x);
  Reduction r(context.b, context.node, context.x[0]);
  context.yDot = {r.ofTangent(context.node.op->name.c_str(), context.xDot[0])};
}

void sumVjp(VjpContext& context) {
  Reduction r(context.b, context.node, context.x[0]);
  context.xBar[0] = context.b.broadcast(r.kept(context.yBar[0]), r.shape);
}

void meanVjp(VjpContext& context) {
  Builder& b = context.b;
  Reduction r(b, context.node, context.x[0]);
  double n = 1;
  for (int64_t axis : r.axes) n *= static_cast<double>(r.shape[static_cast<int>(axis)]);
  ValueId share = n == 1 ? context.yBar[0] : b.emit("div", {context.yBar[0], b.scalar(n)});
  context.xBar[0] = b.broadcast(r.kept(share), r.shape);
}

ValueId maskOf(const Reduction& r, ValueId x) {
  return r.axes.empty() ? none : r.b.emit("maxMask", {x}, {{"axis", r.axes}});
}

void maxJvp(JvpContext& context) {
  Builder& b = context.b;
  Reduction r(b, context.node, context.x[0]);
  context.y = b.clone(context.node, context.x);
  ValueId mask = maskOf(r, context.x[0]);
  ValueId chosen = mask == none ? context.xDot[0] : b.emit("mul", {mask, context.xDot[0]});
  context.yDot = {r.ofTangent("sum", chosen)};
}

void maxVjp(VjpContext& context) {
  Reduction r(context.b, context.node, context.x[0]);
  ValueId mask = maskOf(r, context.x[0]);
  ValueId kept = r.kept(context.yBar[0]);
  context.xBar[0] = mask == none ? kept : context.b.emit("mul", {mask, kept});
}

/** exp(x − y). The maximum makes it 0, not NaN, where a whole row is −inf (a masked one). */
ValueId probabilities(const Reduction& r, ValueId x, ValueId y) {
  constexpr double lowest = -3.0e38;
  ValueId finite = r.b.emit("maximum", {r.kept(y), r.b.scalar(lowest)});
  return r.b.emit("exp", {r.b.emit("sub", {x, finite})});
}

void logSumExpJvp(JvpContext& context) {
  Builder& b = context.b;
  Reduction r(b, context.node, context.x[0]);
  context.y = b.clone(context.node, context.x);
  ValueId p = probabilities(r, context.x[0], context.y[0]);
  context.yDot = {r.ofTangent("sum", b.emit("mul", {p, context.xDot[0]}))};
}

void logSumExpVjp(VjpContext& context) {
  Reduction r(context.b, context.node, context.x[0]);
  ValueId p = probabilities(r, context.x[0], context.y[0]);
  context.xBar[0] = context.b.emit("mul", {p, r.kept(context.yBar[0])});
}

Op reduction(const char* name, const char* kernel, double operations) {
  Op op;
  op.name = name;
  op.minInputs = op.maxInputs = 1;
  op.attributes = {{"axis", AttributeKind::list}, {"keepDims", AttributeKind::number}};
  bool ofNothing = op.name == "sum", mean = op.name == "mean";
  op.infer = [ofNothing](const TypeContext& context) { return reducedType(context, ofNothing); };
  op.kernels = [kernel, mean](const PlanContext& context) -> std::vector<KernelPlan> {
    return {{kernel, parameterBlock(parametersOf(context, mean)), {0, 1}}};
  };
  op.cost = [operations](const PlanContext& context) { return streamingCost(context, operations); };
  return op;
}

const OpRegistration sum{[] {
  Op op = reduction("sum", "sum", 1);
  op.jvp = linearJvp;
  op.vjp = sumVjp;
  return op;
}()};

const OpRegistration mean{[] {
  Op op = reduction("mean", "mean", 1);
  op.jvp = linearJvp;
  op.vjp = meanVjp;
  return op;
}()};

const OpRegistration max{[] {
  Op op = reduction("max", "max", 1);
  op.jvp = maxJvp;
  op.vjp = maxVjp;
  return op;
}()};

// The mask has x's shape and no derivative: as f'' of relu, that of max is 0 almost everywhere and taken as 0.
const OpRegistration maxMask{[] {
  Op op = reduction("maxMask", "max_mask", 1);
  op.attributes = {{"axis", AttributeKind::list}};
  op.constantDerivative = true;
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    reducedType(context, false);
    return {*context.input[0]};
  };
  return op;
}()};

const OpRegistration logSumExp{[] {
  Op op = reduction("logSumExp", "log_sum_exp", 4);  // max, subtract, exp, add
  op.jvp = logSumExpJvp;
  op.vjp = logSumExpVjp;
  return op;
}()};

}  // namespace

}  // namespace pushforward
