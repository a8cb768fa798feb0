// checkpoint holds one program f: x₁ … x_n → y₁ … y_m and is f, but its vjp keeps x alone: the backward phase computes f again and then
// goes back through it (Griewank and Walther 2000, revolve's simplest schedule). Gradients are exact; the tape of f becomes workspace.
// recompute(x) → x is x under another name, so that what is computed from it again is not taken for what was computed before.
#include "core/builder.h"
#include "core/differentiate.h"
#include "core/error.h"
#include "core/op.h"

namespace pushforward {

namespace {

using Values = std::vector<ValueId>;

std::vector<Type> inferCheckpoint(const TypeContext& context) {
  if (context.bodies.size() != 1)
    fail(Code::INVALID_ARGUMENT, "checkpoint", "one program", std::to_string(context.bodies.size()));
  const Program& f = *context.bodies[0];
  Values inputs = f.inputValues();
  if (context.input.size() != inputs.size())
    fail(Code::INVALID_ARGUMENT, "checkpoint", std::to_string(inputs.size()) + " inputs",
         std::to_string(context.input.size()));
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!context.input[i] || !(*context.input[i] == f.types[inputs[i]]))
      fail(Code::SHAPE_MISMATCH, "checkpoint", "input " + std::to_string(i) + " " + f.types[inputs[i]].text(),
           context.input[i] ? context.input[i]->text() : "nothing");
  std::vector<Type> types;
  for (ValueId output : f.outputs) types.push_back(f.types[output]);
  return types;
}

void jvpCheckpoint(JvpContext& context) {
  JvpResult result = emitJvp(context.b, *context.node.bodies[0], context.x, context.xDot, context.directions, true);
  context.y = result.outputs;
  context.yDot = result.tangents;
}

void vjpCheckpoint(VjpContext& context) {
  Values again;
  for (ValueId x : context.x) again.push_back(context.b.emit("recompute", {x}));
  VjpResult result = emitVjp(
      context.b, *context.node.bodies[0], again, context.wanted, [&](const Values&) { return context.yBar; }, true);
  context.xBar = result.cotangents;
}

const OpRegistration checkpoint = [] {
  Op op;
  op.name = "checkpoint";
  op.maxInputs = 1 << 16;
  op.infer = inferCheckpoint;
  op.jvp = jvpCheckpoint;
  op.vjp = vjpCheckpoint;
  op.lower = [](ExpandContext& context) { return inlineProgram(context.b, *context.node.bodies[0], context.x); };
  return op;
}();

const OpRegistration recompute = [] {
  Op op;
  op.name = "recompute";
  op.minInputs = op.maxInputs = 1;
  op.alias = 0;
  op.infer = [](const TypeContext& context) -> std::vector<Type> { return {*context.input[0]}; };
  op.jvp = [](JvpContext& context) {
    context.y = context.b.clone(context.node, context.x);
    context.yDot = context.xDot;
  };
  op.vjp = [](VjpContext& context) { context.xBar[0] = context.yBar[0]; };
  return op;
}();

}  // namespace

}  // namespace pushforward
