#include "core/builder.h"

#include <algorithm>

#include <cmath>

#include "core/error.h"

namespace pushforward {

constexpr size_t maxNodes = size_t{1} << 18;

static void checkAttributes(const Op& op, const Attributes& attributes) {
  for (const auto& entry : attributes.entries()) {
    const AttributeSpec* spec = nullptr;
    for (const AttributeSpec& candidate : op.attributes)
      if (candidate.name == entry.first) spec = &candidate;
    if (!spec) {
      std::string known;
      for (const AttributeSpec& candidate : op.attributes) known += (known.empty() ? "" : ", ") + candidate.name;
      fail(Code::INVALID_ARGUMENT, op.name, known.empty() ? "no attributes" : "attributes among " + known,
           "'" + entry.first.substr(0, 60) + "'");
    }
    static const char* const kinds[] = {"a number", "a string", "a list of integers", "numbers"};
    if (entry.second.index() != static_cast<size_t>(spec->kind))
      fail(Code::INVALID_ARGUMENT, op.name, entry.first + " to be " + kinds[static_cast<int>(spec->kind)],
           kinds[entry.second.index()]);
    if (spec->kind == AttributeKind::number && std::isnan(std::get<double>(entry.second)) && op.name != "full")
      fail(Code::INVALID_ARGUMENT, op.name, entry.first + " to be a number", "NaN");
  }
  for (const AttributeSpec& spec : op.attributes)
    if (spec.required && !attributes.find(spec.name))
      fail(Code::INVALID_ARGUMENT, op.name, "the attribute " + spec.name, "none");
}

std::vector<ValueId> Builder::emit(const Op& op, std::vector<ValueId> inputs, Attributes attributes,
                                   std::vector<std::shared_ptr<const Program>> bodies) {
  // Derivatives of derivatives multiply: a few bytes of nested calls would else take all memory.
  if (program_.nodes.size() >= maxNodes)
    fail(Code::INVALID_ARGUMENT, op.name, "a program of at most 2^18 nodes, its transformations written out", "more");
  int count = static_cast<int>(inputs.size());
  if (count < op.minInputs || count > op.maxInputs)
    fail(Code::INVALID_ARGUMENT, op.name,
         op.minInputs == op.maxInputs
             ? std::to_string(op.minInputs) + " inputs"
             : std::to_string(op.minInputs) + " to " + std::to_string(op.maxInputs) + " inputs",
         std::to_string(count));
  TypeContext context{op, {}, attributes, bodies};
  for (int i = 0; i < count; ++i) {
    if (inputs[i] == none && i < op.minInputs)
      fail(Code::INVALID_ARGUMENT, op.name, "input " + std::to_string(i), "nothing");
    if (inputs[i] != none && inputs[i] >= program_.types.size())
      fail(Code::INVALID_ARGUMENT, op.name, "inputs defined earlier", "value " + std::to_string(inputs[i]));
  }
  std::vector<Type> inputTypes;  // a copy: emitting may move program_.types
  inputTypes.reserve(inputs.size());
  for (ValueId input : inputs) inputTypes.push_back(input == none ? Type{} : program_.types[input]);
  for (int i = 0; i < count; ++i) context.input.push_back(inputs[i] == none ? nullptr : &inputTypes[i]);
  checkAttributes(op, attributes);
  std::vector<Type> types = op.infer(context);

  Node node;
  node.op = &op;
  node.inputs = std::move(inputs);
  node.attributes = std::move(attributes);
  node.bodies = std::move(bodies);
  node.firstOutput = static_cast<ValueId>(program_.types.size());
  node.outputs = static_cast<uint32_t>(types.size());
  node.phase = phase;
  std::vector<ValueId> values;
  for (Type& type : types) {
    values.push_back(static_cast<ValueId>(program_.types.size()));
    program_.types.push_back(std::move(type));
    program_.producer.push_back(static_cast<uint32_t>(program_.nodes.size()));
  }
  program_.nodes.push_back(std::move(node));
  return values;
}

ValueId Builder::emit(const std::string& op, std::vector<ValueId> inputs, Attributes attributes) {
  return emit(getOp(op), std::move(inputs), std::move(attributes))[0];
}

ValueId Builder::scalar(double value) { return full(Shape{}, value); }

ValueId Builder::full(const Shape& shape, double value) {
  return emit("full", {}, {{"shape", shape.dims()}, {"value", value}});
}

ValueId Builder::reshape(ValueId x, const Shape& to) {
  return shape(x) == to ? x : emit("reshape", {x}, {{"shape", to.dims()}});
}

ValueId Builder::broadcast(ValueId x, const Shape& to) {
  return shape(x) == to ? x : emit("broadcast", {x}, {{"shape", to.dims()}});
}

ValueId Builder::unbroadcast(ValueId x, const Shape& to) {
  Shape from = shape(x);
  if (from == to) return x;
  int offset = from.rank() - to.rank();
  std::vector<int64_t> axes;
  for (int axis = 0; axis < from.rank(); ++axis)
    if (axis < offset || (to[axis - offset] == 1 && from[axis] != 1)) axes.push_back(axis);
  if (!axes.empty()) x = emit("sum", {x}, {{"axis", axes}, {"keepDims", 1.0}});
  return reshape(x, to);
}

ValueId Builder::joined(std::vector<ValueId> parts, int axis) {
  const auto most = static_cast<size_t>(getOp("concat").maxInputs);
  while (parts.size() > 1) {
    std::vector<ValueId> longer;
    for (size_t i = 0; i < parts.size(); i += most) {
      const auto begin = parts.begin() + static_cast<std::ptrdiff_t>(i);
      const std::vector<ValueId> some(begin, begin + static_cast<std::ptrdiff_t>(std::min(most, parts.size() - i)));
      longer.push_back(some.size() == 1 ? some[0] : emit("concat", some, {{"axis", double(axis)}}));
    }
    parts = longer;
  }
  return parts[0];
}

ValueId Builder::addOrNone(ValueId x, ValueId y) {
  if (x == none) return y;
  if (y == none) return x;
  return emit("add", {x, y});
}

ValueId Builder::alignTangent(ValueId xDot, int rank) {
  Shape from = shape(xDot);
  int missing = rank + 1 - from.rank();
  if (missing <= 0) return xDot;
  std::vector<int64_t> dims = from.dims();
  dims.insert(dims.begin() + 1, missing, 1);
  return reshape(xDot, Shape(dims));
}

std::vector<ValueId> Builder::clone(const Node& node, const std::vector<ValueId>& inputs) {
  return emit(*node.op, inputs, node.attributes, node.bodies);
}

}  // namespace pushforward
