// Pools over windows of x [B, H, W, C] → y [B, OH, OW, C] {window, stride = window, padding = 0}; windows may overlap.
//   maxPool2d   y = max over the window            ẏ = gather(ẋ, i)        x̄ = scatter(ȳ, i),      i = maxPool2dIndices(x)
//               maxPool2d_pushforward(x, ẋ [K, …]) → y, ẏ in one pass; lowers to the three
//               maxPool2d_pullback(x, ȳ) → x̄ in one pass where windows do not overlap (stride ≥ window); lowers to indices and scatter
//               maxPool2d_gated_pullback(x, ȳ) → x̄ where x > 0, else 0: with relu's slope, made by fusion (core/pullbacks.cpp)
//   avgPool2d   y = Σ over the window / its size   ẏ = avgPool2d(ẋ)        x̄ = avgPool2d_pullback(ȳ)
//   maxPool2dIndices  int32: where the maximum is, iy·W + ix; the first in row-major order, the first NaN if there is one; constant
// Padding is −∞ for the maximum; for the average it is zero and counts: the divisor is always the size of the window.
// Linear ops, adjoints in pairs, {window, stride, padding}; indices repeat over extra leading axes (the K of a tangent):
//   pool_gather   x [..., B, H, W, C], indices → y [..., B, OH, OW, C], y = x[index]
//   pool_scatter  y, indices {size [H, W]} → x, x[index] += y
//   avgPool2d_pullback  y [B, OH, OW, C] {size [H, W]} → x, each window's pixels += y / size of the window
#include "ops/pool.h"

#include "core/builder.h"
#include "core/error.h"
#include "core/op.h"
#include "ops/axes.h"
#include "ops/spatial.h"

namespace pushforward {

namespace {

using Values = std::vector<ValueId>;

std::vector<AttributeSpec> windowSpecs() {
  return {{"window", AttributeKind::list, true}, {"stride", AttributeKind::list}, {"padding", AttributeKind::list}};
}

Attributes windowOf(const Attributes& attributes) {
  Attributes window;
  for (const AttributeSpec& spec : windowSpecs())
    if (const std::vector<int64_t>* list = attributes.list(spec.name)) window.set(spec.name, *list);
  return window;
}

Attributes withSize(const Attributes& attributes, const Shape& image) {
  Attributes result = windowOf(attributes);
  const int rank = image.rank();
  result.set("size", std::vector<int64_t>{image[rank - 3], image[rank - 2]});
  return result;
}

/** The pool over images [..., H, W, C], of which axes before H are examples. */
PoolParameters poolOf(const std::string& op, const Attributes& attributes, const Shape& image) {
  const Pair window = pairAttribute(op, attributes, "window", 1, {1, 1});
  const Pair stride = pairAttribute(op, attributes, "stride", 1, window);
  const Pair padding = pairAttribute(op, attributes, "padding", 0, {0, 0});
  for (size_t axis = 0; axis < 2; ++axis)
    if (padding[axis] >= window[axis])
      fail(Code::INVALID_ARGUMENT, op, "padding smaller than the window " + textOf(window), textOf(padding));
  const int rank = image.rank();
  const Pair size{image[rank - 3], image[rank - 2]};
  const Pair out = windowCounts(op, size, window, stride, padding, {1, 1});
  const int64_t examples = image.product(0, rank - 3);
  return {examples,
          size[0],
          size[1],
          image[rank - 1],
          out[0],
          out[1],
          {window[0], window[1]},
          {stride[0], stride[1]},
          {padding[0], padding[1]},
          examples,
          0};
}

/** `image` with the windows in place of its pixels. */
Shape pooled(const PoolParameters& p, const Shape& image) {
  std::vector<int64_t> dims = image.dims();
  dims[dims.size() - 3] = p.outHeight;
  dims[dims.size() - 2] = p.outWidth;
  return Shape(dims);
}

Shape withImage(const Shape& result, const Pair& size) {
  std::vector<int64_t> dims = result.dims();
  dims[dims.size() - 3] = size[0];
  dims[dims.size() - 2] = size[1];
  return Shape(dims);
}

void expectImage(const TypeContext& context, const char* what, bool leading) {
  expectDType(context, 0, DType::real);
  const Shape& x = context.input[0]->shape;
  if (leading ? x.rank() < 4 : x.rank() != 4) fail(Code::SHAPE_MISMATCH, context.op.name, what, x.text());
}

std::vector<Type> pooledType(const TypeContext& context, DType dtype) {
  expectImage(context, "x [B, H, W, C]", false);
  const Shape& x = context.input[0]->shape;
  if (dtype == DType::int32 && x[1] * x[2] > INT32_MAX)
    fail(Code::SHAPE_MISMATCH, context.op.name, "images of less than 2^31 pixels", x.text());
  return {{dtype, pooled(poolOf(context.op.name, context.attributes, x), x)}};
}

void expectIndices(const TypeContext& context, const Shape& result) {
  expectDType(context, 1, DType::int32);
  const Shape expected = result.tail(result.rank() - 4), indices = context.input[1]->shape;
  if (indices != expected) fail(Code::SHAPE_MISMATCH, context.op.name, "indices " + expected.text(), indices.text());
}

/** The pool whose windows have results of this shape, over images of the attribute `size`. */
PoolParameters poolBehind(const std::string& op, const Attributes& attributes, const Shape& result) {
  const Shape image = withImage(result, pairAttribute(op, attributes, "size", 0, {0, 0}));
  const PoolParameters p = poolOf(op, attributes, image);
  if (pooled(p, image) != result)
    fail(Code::SHAPE_MISMATCH, op, "a cotangent " + pooled(p, image).text(), result.text());
  return p;
}

ValueId indicesOf(Builder& b, const Node& node, ValueId x) {
  return b.emit("maxPool2dIndices", {x}, windowOf(node.attributes));
}

/** Whether no pixel lies in two windows. */
bool disjoint(const PoolParameters& p) { return p.stride[0] >= p.window[0] && p.stride[1] >= p.window[1]; }

/** x̄ of the maximum over the windows of a node. */
ValueId scatterBack(Builder& b, const Node& node, ValueId x, ValueId yBar) {
  return b.emit("pool_scatter", {yBar, indicesOf(b, node, x)}, withSize(node.attributes, b.shape(x)));
}

/** f of a tangent whose K are examples. */
template <class F>
ValueId overExamples(Builder& b, ValueId xDot, const F& f) {
  const Shape shape = b.shape(xDot);
  ValueId y = f(b.reshape(xDot, mergeDirections(shape)));
  return b.reshape(y, b.shape(y).tail(1).prepend(shape[1]).prepend(shape[0]));
}

/** Operations: one per element of all windows. */
Cost poolCost(const PlanContext& context, const PoolParameters& p) {
  Cost cost = streamingCost(context, 0);
  cost.operations = double(p.batch * p.outHeight * p.outWidth * p.channels) * double(p.window[0] * p.window[1]);
  return cost;
}

template <class PoolOf>
Op poolOp(const char* name, const char* kernel, int inputs, const PoolOf& parametersOf) {
  Op op;
  op.name = name;
  op.minInputs = op.maxInputs = inputs;
  op.attributes = windowSpecs();
  op.kernels = [kernel, parametersOf](const PlanContext& context) -> std::vector<KernelPlan> {
    return {{kernel, parameterBlock(parametersOf(context)), allOperands(context)}};
  };
  op.cost = [parametersOf](const PlanContext& context) { return poolCost(context, parametersOf(context)); };
  return op;
}

PoolParameters fromImage(const PlanContext& context) {
  PoolParameters p = poolOf(context.node.op->name, context.node.attributes, context.input[0]->shape);
  if (context.input.size() > 1) p.indexBatch = context.input[1]->shape[0];
  return p;
}

PoolParameters fromResult(const PlanContext& context) {
  PoolParameters p = poolBehind(context.node.op->name, context.node.attributes, context.input[0]->shape);
  if (context.input.size() > 1) p.indexBatch = context.input[1]->shape[0];
  return p;
}

const OpRegistration maxPool2d{[] {
  Op op = poolOp("maxPool2d", "max_pool2d", 1, fromImage);
  op.infer = [](const TypeContext& context) { return pooledType(context, DType::real); };
  op.jvp = [](JvpContext& context) {
    Values out = context.b.emit(getOp("maxPool2d_pushforward"), {context.x[0], context.xDot[0]},
                                windowOf(context.node.attributes));
    context.y = {out[0]};
    context.yDot = {out[1]};
  };
  op.vjp = [](VjpContext& context) {
    Builder& b = context.b;
    const Attributes& attributes = context.node.attributes;
    if (disjoint(poolOf("maxPool2d", attributes, b.shape(context.x[0]))))
      context.xBar[0] = b.emit("maxPool2d_pullback", {context.x[0], context.yBar[0]}, windowOf(attributes));
    else
      context.xBar[0] = scatterBack(b, context.node, context.x[0], context.yBar[0]);
  };
  return op;
}()};

Op maxPullbackOp(const char* name, const char* kernel) {
  const auto parametersOf = [](const PlanContext& context) {
    return poolOf(context.node.op->name, context.node.attributes, context.input[0]->shape);
  };
  Op op = poolOp(name, kernel, 2, parametersOf);
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    const Shape y = pooledType(context, DType::real)[0].shape;
    expectDType(context, 1, DType::real);
    const Shape &x = context.input[0]->shape, &yBar = context.input[1]->shape;
    if (yBar != y) fail(Code::SHAPE_MISMATCH, context.op.name, "a cotangent " + y.text(), yBar.text());
    if (!disjoint(poolOf(context.op.name, context.attributes, x)))
      fail(Code::INVALID_ARGUMENT, context.op.name, "windows that do not overlap", "a stride smaller than the window");
    return {{DType::real, x}};
  };
  return op;
}

const OpRegistration maxPool2dPullback{[] {
  Op op = maxPullbackOp("maxPool2d_pullback", "max_pool2d_pullback");
  op.lower = [](ExpandContext& context) -> Values {
    return {scatterBack(context.b, context.node, context.x[0], context.x[1])};
  };
  op.gated = {"maxPool2d_gated_pullback", "max_pool2d_gated_pullback", 0};
  return op;
}()};

const OpRegistration maxPool2dGatedPullback{[] {
  Op op = maxPullbackOp("maxPool2d_gated_pullback", "max_pool2d_gated_pullback");
  op.fusedOnly = true;
  return op;
}()};

const OpRegistration maxPool2dPushforward{[] {
  const auto parametersOf = [](const PlanContext& context) {
    PoolParameters p = poolOf(context.node.op->name, context.node.attributes, context.input[0]->shape);
    p.directions = context.input[1]->shape[0];
    return p;
  };
  Op op = poolOp("maxPool2d_pushforward", "max_pool2d_pushforward", 2, parametersOf);
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    const Type y = pooledType(context, DType::real)[0];
    expectDType(context, 1, DType::real);
    const Shape &x = context.input[0]->shape, &xDot = context.input[1]->shape;
    if (xDot.rank() != 5 || xDot.tail(1) != x)
      fail(Code::SHAPE_MISMATCH, context.op.name, "tangents [K, ...] of " + x.text(), xDot.text());
    return {y, {DType::real, y.shape.prepend(xDot[0])}};
  };
  op.lower = [](ExpandContext& context) -> Values {
    Builder& b = context.b;
    const Attributes window = windowOf(context.node.attributes);
    ValueId indices = indicesOf(b, context.node, context.x[0]);
    return {b.emit("maxPool2d", {context.x[0]}, window), b.emit("pool_gather", {context.x[1], indices}, window)};
  };
  return op;
}()};

const OpRegistration maxPool2dIndices{[] {
  Op op = poolOp("maxPool2dIndices", "max_pool2d_indices", 1, fromImage);
  op.infer = [](const TypeContext& context) { return pooledType(context, DType::int32); };
  op.constantDerivative = true;
  return op;
}()};

/** Of pool_gather and pool_scatter, linear in input 0: the tangent's K are more leading axes. */
void repeatedJvp(JvpContext& context) {
  context.y = context.b.clone(context.node, context.x);
  context.yDot = context.b.clone(context.node, {context.xDot[0], context.x[1]});
}

const OpRegistration poolGather{[] {
  Op op = poolOp("pool_gather", "pool_gather", 2, fromImage);
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    expectImage(context, "x [..., B, H, W, C]", true);
    const Shape& x = context.input[0]->shape;
    const Shape y = pooled(poolOf(context.op.name, context.attributes, x), x);
    expectIndices(context, y);
    return {{DType::real, y}};
  };
  op.jvp = repeatedJvp;
  op.vjp = [](VjpContext& context) {
    Builder& b = context.b;
    if (context.wanted[0])
      context.xBar[0] = b.emit("pool_scatter", {context.yBar[0], context.x[1]},
                               withSize(context.node.attributes, b.shape(context.x[0])));
  };
  return op;
}()};

const OpRegistration poolScatter{[] {
  Op op = poolOp("pool_scatter", "pool_scatter", 2, fromResult);
  op.attributes.push_back({"size", AttributeKind::list, true});
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    expectImage(context, "a cotangent [..., B, OH, OW, C]", true);
    const Shape& y = context.input[0]->shape;
    const PoolParameters p = poolBehind(context.op.name, context.attributes, y);
    expectIndices(context, y);
    return {{DType::real, withImage(y, {p.height, p.width})}};
  };
  op.jvp = repeatedJvp;
  op.vjp = [](VjpContext& context) {
    if (context.wanted[0])
      context.xBar[0] =
          context.b.emit("pool_gather", {context.yBar[0], context.x[1]}, windowOf(context.node.attributes));
  };
  return op;
}()};

/** Of avgPool2d and its pullback, which are linear. */
void examplesJvp(JvpContext& context) {
  Builder& b = context.b;
  context.y = b.clone(context.node, context.x);
  context.yDot = {
      overExamples(b, context.xDot[0], [&](ValueId stacked) { return b.clone(context.node, {stacked})[0]; })};
}

const OpRegistration avgPool2d{[] {
  Op op = poolOp("avgPool2d", "avg_pool2d", 1, fromImage);
  op.infer = [](const TypeContext& context) { return pooledType(context, DType::real); };
  op.jvp = examplesJvp;
  op.vjp = [](VjpContext& context) {
    context.xBar[0] = context.b.emit("avgPool2d_pullback", {context.yBar[0]},
                                     withSize(context.node.attributes, context.b.shape(context.x[0])));
  };
  return op;
}()};

const OpRegistration avgPool2dPullback{[] {
  Op op = poolOp("avgPool2d_pullback", "avg_pool2d_pullback", 1, fromResult);
  op.attributes.push_back({"size", AttributeKind::list, true});
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    expectImage(context, "a cotangent [B, OH, OW, C]", false);
    const Shape& y = context.input[0]->shape;
    const PoolParameters p = poolBehind(context.op.name, context.attributes, y);
    return {{DType::real, withImage(y, {p.height, p.width})}};
  };
  op.jvp = examplesJvp;
  op.vjp = [](VjpContext& context) {
    context.xBar[0] = context.b.emit("avgPool2d", {context.yBar[0]}, windowOf(context.node.attributes));
  };
  return op;
}()};

}  // namespace

}  // namespace pushforward
