#include "ops/axes.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace pushforward {

int normaliseAxis(const std::string& op, int64_t axis, int rank) {
  if (axis < -rank || axis >= rank)
    fail(Code::INVALID_ARGUMENT, op,
         rank == 0 ? "no axis, since the input is a scalar,"
                   : "an axis from " + std::to_string(-rank) + " to " + std::to_string(rank - 1),
         std::to_string(axis));
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

int64_t integerAttribute(const std::string& op, const Attributes& attributes, const std::string& name,
                         int64_t fallback) {
  double value = attributes.number(name, static_cast<double>(fallback));
  if (!(std::fabs(value) <= 9007199254740991.0) || value != std::floor(value))
    fail(Code::INVALID_ARGUMENT, op, name + " to be an integer", std::to_string(value));
  return static_cast<int64_t>(value);
}

int axisAttribute(const std::string& op, const Attributes& attributes, int64_t fallback, int rank) {
  return normaliseAxis(op, integerAttribute(op, attributes, "axis", fallback), rank);
}

std::vector<int64_t> reducedAxes(const std::string& op, const Attributes& attributes, int rank) {
  const std::vector<int64_t>* given = attributes.list("axis");
  std::vector<int64_t> axes;
  if (!given || given->empty()) {
    for (int axis = 0; axis < rank; ++axis) axes.push_back(axis);
    return axes;
  }
  for (int64_t axis : *given) axes.push_back(normaliseAxis(op, axis, rank));
  std::sort(axes.begin(), axes.end());
  auto repeated = std::adjacent_find(axes.begin(), axes.end());
  if (repeated != axes.end())
    fail(Code::INVALID_ARGUMENT, op, "distinct axes", "axis " + std::to_string(*repeated) + " twice");
  return axes;
}

void expectDType(const TypeContext& context, int input, DType dtype) {
  if (context.input[input]->dtype == dtype) return;
  fail(Code::DTYPE_MISMATCH, context.op.name, "input " + std::to_string(input) + " of dtype " + dtypeName(dtype),
       context.input[input]->text());
}

Shape keptShape(const Shape& shape, const std::vector<int64_t>& axes) {
  std::vector<int64_t> dims = shape.dims();
  for (int64_t axis : axes) dims[axis] = 1;
  return Shape(dims);
}

std::vector<int64_t> tangentAxes(std::vector<int64_t> axes) {
  for (int64_t& axis : axes) ++axis;
  return axes;
}

std::vector<int64_t> withLeading(int64_t first, std::vector<int64_t> list) {
  list.insert(list.begin(), first);
  return list;
}

ValueId sumKeepingDims(Builder& b, ValueId x, const std::vector<int64_t>& axes) {
  return axes.empty() ? x : b.emit("sum", {x}, {{"axis", axes}, {"keepDims", 1.0}});
}

Cost streamingCost(const PlanContext& context, double perInput) {
  Cost cost;
  for (const Type* type : context.input)
    if (type) cost.bytes += 4.0 * static_cast<double>(type->shape.count());
  for (const Type* type : context.output) cost.bytes += 4.0 * static_cast<double>(type->shape.count());
  cost.operations = perInput * static_cast<double>(context.input[0]->shape.count());
  return cost;
}

}  // namespace pushforward
