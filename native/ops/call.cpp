// call {transform, directions?, wrt?, segments?} holds one program f: x₁ … x_n → y₁ … y_m.
//   none  inputs x                 outputs y
//   jvp   inputs x, ẋ              outputs y, ẏ = J ẋ           directions K ≥ 1: every ẋ and ẏ has a leading axis K
//   vjp   inputs x, ȳ              outputs y, x̄ = Jᵀ ȳ for the inputs listed in wrt
//         segments ≥ 0: f is cut into so many checkpointed segments (0: the square root of its nodes); absent: none
// An absent ẋ or ȳ is zero by structure. A tangent or cotangent that comes out as a structural zero is written out.
#include "core/builder.h"
#include "core/differentiate.h"
#include "core/error.h"
#include "core/op.h"
#include "core/segment.h"

namespace pushforward {

namespace {

using Values = std::vector<ValueId>;

const Program& body(const TypeContext& context) {
  if (context.bodies.size() != 1)
    fail(Code::INVALID_ARGUMENT, "call", "one program", std::to_string(context.bodies.size()));
  return *context.bodies[0];
}

void expectType(const std::string& what, const Type& expected, const Type* received) {
  if (!received || *received == expected) return;
  fail(received->dtype == expected.dtype ? Code::SHAPE_MISMATCH : Code::DTYPE_MISMATCH, "call",
       what + " " + expected.text(), received->text());
}

std::vector<int64_t> wrtList(const TypeContext& context, size_t inputs) {
  std::vector<int64_t> wrt;
  if (const auto* list = context.attributes.list("wrt")) wrt = *list;
  for (int64_t index : wrt)
    if (index < 0 || index >= static_cast<int64_t>(inputs))
      fail(Code::INVALID_ARGUMENT, "call", "wrt among the " + std::to_string(inputs) + " inputs",
           std::to_string(index));
  return wrt;
}

std::vector<Type> inferCall(const TypeContext& context) {
  const Program& f = body(context);
  Values inputs = f.inputValues();
  size_t n = inputs.size(), m = f.outputs.size();
  std::string transform = context.attributes.text("transform", "none");
  int64_t directions = context.attributes.integer("directions", 0);
  if (double(directions) != context.attributes.number("directions", 0))
    fail(Code::INVALID_ARGUMENT, "call", "a whole number of directions",
         std::to_string(context.attributes.number("directions", 0)));
  if (directions < 0 || directions > (1 << 24))
    fail(Code::INVALID_ARGUMENT, "call", "directions from 0 to 2^24", std::to_string(directions));
  bool jvp = transform == "jvp", vjp = transform == "vjp";
  if (!jvp && !vjp && transform != "none")
    fail(Code::INVALID_ARGUMENT, "call", "transform none, jvp or vjp", "'" + transform.substr(0, 40) + "'");
  size_t wanted = n + (jvp ? n : vjp ? m : 0);
  if (context.input.size() != wanted)
    fail(Code::INVALID_ARGUMENT, "call", std::to_string(wanted) + " inputs", std::to_string(context.input.size()));

  std::vector<Type> types;
  for (size_t i = 0; i < n; ++i) {
    if (!context.input[i]) fail(Code::INVALID_ARGUMENT, "call", "input " + std::to_string(i), "nothing");
    expectType("input " + std::to_string(i), f.types[inputs[i]], context.input[i]);
  }
  for (ValueId output : f.outputs) types.push_back(f.types[output]);
  auto tangentType = [&](const Type& type) {
    return directions ? Type{DType::real, type.shape.prepend(directions)} : Type{DType::real, type.shape};
  };
  if (jvp) {
    for (size_t i = 0; i < n; ++i) {
      if (!context.input[n + i]) continue;
      if (f.types[inputs[i]].dtype != DType::real)
        fail(Code::NOT_DIFFERENTIABLE, "call", "no tangent for an int32 input", "one for input " + std::to_string(i));
      expectType("tangent " + std::to_string(i), tangentType(f.types[inputs[i]]), context.input[n + i]);
    }
    for (ValueId output : f.outputs) types.push_back(tangentType(f.types[output]));
  }
  if (vjp) {
    for (size_t i = 0; i < m; ++i)
      expectType("cotangent " + std::to_string(i), f.types[f.outputs[i]], context.input[n + i]);
    for (int64_t index : wrtList(context, n)) {
      if (f.types[inputs[index]].dtype != DType::real)
        fail(Code::NOT_DIFFERENTIABLE, "call", "wrt to list real inputs", "int32 input " + std::to_string(index));
      types.push_back(f.types[inputs[index]]);
    }
  }
  return types;
}

ValueId orZeros(Builder& b, ValueId value, const Shape& shape) { return value == none ? b.full(shape, 0) : value; }

Values expandJvp(ExpandContext& context, const Program& f, size_t n) {
  Builder& b = context.b;
  int64_t directions = context.node.attributes.integer("directions", 0);
  Values x(context.x.begin(), context.x.begin() + static_cast<std::ptrdiff_t>(n)), xDot;
  for (size_t i = 0; i < n; ++i) {
    ValueId tangent = context.x[n + i];
    xDot.push_back(tangent == none || directions ? tangent : b.reshape(tangent, b.shape(tangent).prepend(1)));
  }
  JvpResult result = emitJvp(b, f, x, xDot, directions ? directions : 1, context.fuse);
  Values outputs = result.outputs;
  for (size_t i = 0; i < result.outputs.size(); ++i) {
    Shape shape = b.shape(result.outputs[i]);
    Shape out = directions ? shape.prepend(directions) : shape;
    outputs.push_back(result.tangents[i] == none ? b.full(out, 0) : b.reshape(result.tangents[i], out));
  }
  return outputs;
}

Values expandVjp(ExpandContext& context, const Program& f, size_t n) {
  Builder& b = context.b;
  Values x(context.x.begin(), context.x.begin() + static_cast<std::ptrdiff_t>(n));
  std::vector<bool> wanted(n, false);
  const auto* wrt = context.node.attributes.list("wrt");
  int64_t segments = context.node.attributes.integer("segments", -1);
  const Program program = segments < 0 ? f : segmentProgram(f, segments);
  if (wrt)
    for (int64_t index : *wrt) wanted[index] = true;
  VjpResult result = emitVjp(
      b, program, x, wanted,
      [&](const Values&) { return Values(context.x.begin() + static_cast<std::ptrdiff_t>(n), context.x.end()); },
      context.fuse);
  Values outputs = result.outputs;
  if (wrt)
    for (int64_t index : *wrt) outputs.push_back(orZeros(b, result.cotangents[index], b.shape(x[index])));
  return outputs;
}

Values expandCall(ExpandContext& context) {
  const Program& f = *context.node.bodies[0];
  size_t n = f.inputValues().size();
  std::string transform = context.node.attributes.text("transform", "none");
  if (transform == "jvp") return expandJvp(context, f, n);
  if (transform == "vjp") return expandVjp(context, f, n);
  return inlineProgram(context.b, f, context.x);
}

const OpRegistration call = [] {
  Op op;
  op.name = "call";
  op.maxInputs = 1 << 16;
  op.attributes = {
      {"transform", AttributeKind::text, true},
      {"directions", AttributeKind::number},
      {"wrt", AttributeKind::list},
      {"segments", AttributeKind::number},
  };
  op.infer = inferCall;
  op.expand = expandCall;
  return op;
}();

}  // namespace

}  // namespace pushforward
