// Rows of a table by number: embeddings. With axis a, the table is [O…, n, I…] and O… stands before axis a.
//   gather      table, indices int32 [J…] {axis} → y [O…, J…, I…],  y[o, j, i] = table[o, indices[j], i]
//               ẏ = gather(ṫ, indices, axis + 1)           t̄ = scatterAdd(ȳ, indices, axis, n)
//   scatterAdd  y [O…, J…, I…], indices {axis, size} → t [O…, size, I…],  t[o, r, i] = Σ_{j: indices[j] = r} y[o, j, i], in order of j
//               ṫ = scatterAdd(ẏ, indices, axis + 1, size)   ȳ = gather(t̄, indices, axis)
//   oneHot      indices int32 [J…] {classes} → y [J…, classes],  1 at the index, 0 elsewhere; no tangent
// An index outside [0, n): gather gives a row of NaN (int32: −2³¹), scatterAdd leaves the row out, oneHot gives zeros. The order of
// scatterAdd is that of the indices, so its bits do not depend on the threads. A table of int32 has no tangent.
#include "ops/gather.h"

#include "core/builder.h"
#include "core/error.h"
#include "ops/axes.h"

namespace pushforward {

namespace {

Shape joined(const Shape& x, int axis, const std::vector<int64_t>& middle, int dropped) {
  std::vector<int64_t> dims = x.dims(), result(dims.begin(), dims.begin() + axis);
  result.insert(result.end(), middle.begin(), middle.end());
  result.insert(result.end(), dims.begin() + axis + dropped, dims.end());
  return Shape(result);
}

std::vector<Type> inferGather(const TypeContext& context) {
  expectDType(context, 1, DType::int32);
  const Type& table = *context.input[0];
  int axis = axisAttribute("gather", context.attributes, 0, table.shape.rank());
  return {{table.dtype, joined(table.shape, axis, context.input[1]->shape.dims(), 1)}};
}

std::vector<Type> inferScatterAdd(const TypeContext& context) {
  expectDType(context, 0, DType::real);
  expectDType(context, 1, DType::int32);
  const Shape &y = context.input[0]->shape, &indices = context.input[1]->shape;
  int64_t axis = integerAttribute("scatterAdd", context.attributes, "axis", 0);
  int64_t size = integerAttribute("scatterAdd", context.attributes, "size", 0);
  if (size < 0) fail(Code::INVALID_ARGUMENT, "scatterAdd", "a size of at least 0", std::to_string(size));
  bool fits = axis >= 0 && axis + indices.rank() <= y.rank();
  for (int i = 0; fits && i < indices.rank(); ++i) fits = y[static_cast<int>(axis) + i] == indices[i];
  if (!fits)
    fail(Code::SHAPE_MISMATCH, "scatterAdd", "rows with " + indices.text() + " from axis " + std::to_string(axis),
         y.text());
  return {{DType::real, joined(y, static_cast<int>(axis), {size}, indices.rank())}};
}

GatherParameters parametersOf(const Shape& table, int axis, const PlanContext& context) {
  return {table.product(0, axis), table[axis], table.product(axis + 1, table.rank()), context.input[1]->shape.count(),
          context.input[0]->dtype == DType::int32};
}

int axisOf(const Node& node, const Shape& table) { return axisAttribute("gather", node.attributes, 0, table.rank()); }

const OpRegistration gather{[] {
  Op op;
  op.name = "gather";
  op.minInputs = op.maxInputs = 2;
  op.attributes = {{"axis", AttributeKind::number}};
  op.infer = inferGather;
  op.jvp = [](JvpContext& context) {
    context.y = context.b.clone(context.node, context.x);
    int axis = axisOf(context.node, context.b.shape(context.x[0]));
    context.yDot = {context.b.emit("gather", {context.xDot[0], context.x[1]}, {{"axis", axis + 1.0}})};
  };
  op.vjp = [](VjpContext& context) {
    if (!context.wanted[0]) return;
    const Shape table = context.b.shape(context.x[0]);
    int axis = axisOf(context.node, table);
    context.xBar[0] = context.b.emit("scatterAdd", {context.yBar[0], context.x[1]},
                                     {{"axis", static_cast<double>(axis)}, {"size", static_cast<double>(table[axis])}});
  };
  op.kernels = [](const PlanContext& context) -> std::vector<KernelPlan> {
    const Shape& table = context.input[0]->shape;
    return {{"gather", parameterBlock(parametersOf(table, axisOf(context.node, table), context)), {0, 1, 2}}};
  };
  op.cost = [](const PlanContext& context) {
    double rows = static_cast<double>(context.output[0]->shape.count());
    return Cost{0, 8 * rows + 4 * static_cast<double>(context.input[1]->shape.count()), 0};
  };
  return op;
}()};

const OpRegistration scatterAdd{[] {
  Op op;
  op.name = "scatterAdd";
  op.minInputs = op.maxInputs = 2;
  op.attributes = {{"axis", AttributeKind::number, true}, {"size", AttributeKind::number, true}};
  op.infer = inferScatterAdd;
  op.jvp = [](JvpContext& context) {
    context.y = context.b.clone(context.node, context.x);
    Attributes attributes = context.node.attributes;
    attributes.set("axis", attributes.number("axis", 0) + 1);
    context.yDot = {context.b.emit("scatterAdd", {context.xDot[0], context.x[1]}, attributes)};
  };
  op.vjp = [](VjpContext& context) {
    if (context.wanted[0])
      context.xBar[0] = context.b.emit("gather", {context.yBar[0], context.x[1]},
                                       {{"axis", context.node.attributes.number("axis", 0)}});
  };
  op.kernels = [](const PlanContext& context) -> std::vector<KernelPlan> {
    int axis = static_cast<int>(context.node.attributes.integer("axis", 0));
    return {{"scatter_add", parameterBlock(parametersOf(context.output[0]->shape, axis, context)), {0, 1, 2}}};
  };
  op.cost = [](const PlanContext& context) {
    Cost cost = streamingCost(context, 1);
    cost.bytes += 8.0 * static_cast<double>(context.input[0]->shape.count());  // read and written once more to add
    return cost;
  };
  return op;
}()};

const OpRegistration oneHot{[] {
  Op op;
  op.name = "oneHot";
  op.minInputs = op.maxInputs = 1;
  op.attributes = {{"classes", AttributeKind::number, true}};
  op.constantDerivative = true;
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    expectDType(context, 0, DType::int32);
    int64_t classes = integerAttribute("oneHot", context.attributes, "classes", 0);
    if (classes < 1) fail(Code::INVALID_ARGUMENT, "oneHot", "at least one class", std::to_string(classes));
    std::vector<int64_t> dims = context.input[0]->shape.dims();
    dims.push_back(classes);
    return {{DType::real, Shape(dims)}};
  };
  op.kernels = [](const PlanContext& context) -> std::vector<KernelPlan> {
    OneHotParameters p{context.input[0]->shape.count(), context.node.attributes.integer("classes", 0)};
    return {{"one_hot", parameterBlock(p), {0, 1}}};
  };
  op.cost = [](const PlanContext& context) { return streamingCost(context, 0); };
  return op;
}()};

}  // namespace

}  // namespace pushforward
