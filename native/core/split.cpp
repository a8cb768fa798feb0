#include "core/split.h"

#include <algorithm>

#include "core/differentiate.h"
#include "core/error.h"
#include "core/fuse.h"
#include "core/rewrite.h"

namespace pushforward {

using Values = std::vector<ValueId>;

namespace {

/** Data of the program itself: both halves have their own copy. */
bool isConstant(const Node& node) { return node.op->name == "full" || node.op->name == "constant"; }

/** What the backward half reads but does not compute, in order of first use. */
Values residualsOf(const Program& program, const std::vector<bool>& cotangentInput, int values) {
  Values residuals;
  auto read = [&](ValueId value) {
    if (value == none) return;
    const Node& producer = program.producerOf(value);
    if (producer.phase == Phase::backward || isConstant(producer) || cotangentInput[value]) return;
    if (std::find(residuals.begin(), residuals.end(), value) == residuals.end()) residuals.push_back(value);
  };
  for (const Node& node : program.nodes)
    if (node.phase == Phase::backward)
      for (ValueId input : node.inputs) read(input);
  for (size_t i = static_cast<size_t>(values); i < program.outputs.size(); ++i) read(program.outputs[i]);
  return residuals;
}

ValueId inputLike(Builder& b, const Type& type) {
  return b.emit("input", {}, {{"shape", type.shape.dims()}, {"dtype", std::string(dtypeName(type.dtype))}});
}

}  // namespace

SplitProgram splitAtTape(const Program& traced, int primals, int values, bool fuse) {
  Program program = simplify(expandProgram(traced, fuse));
  Values inputs = program.inputValues();
  if (primals < 0 || primals > static_cast<int>(inputs.size()) || values < 0 ||
      values > static_cast<int>(program.outputs.size()))
    fail(Code::INVALID_ARGUMENT, "split", "primals and values of the program",
         std::to_string(primals) + " and " + std::to_string(values));
  std::vector<bool> cotangentInput(program.types.size(), false);
  for (size_t i = static_cast<size_t>(primals); i < inputs.size(); ++i) cotangentInput[inputs[i]] = true;
  Values residuals = residualsOf(program, cotangentInput, values);

  Rewrite forward(program), backward(program);
  for (ValueId residual : residuals) backward.set(residual, inputLike(backward.b, program.types[residual]));
  for (const Node& node : program.nodes) {
    if (isConstant(node) || (node.outputs == 1 && cotangentInput[node.firstOutput])) backward.keep(node);
    if (node.phase == Phase::backward)
      backward.keep(node);
    else if (!(node.outputs == 1 && cotangentInput[node.firstOutput]))
      forward.keep(node);
  }
  SplitProgram split;
  Values y(program.outputs.begin(), program.outputs.begin() + values),
      xBar(program.outputs.begin() + values, program.outputs.end());
  y.insert(y.end(), residuals.begin(), residuals.end());
  split.forward = forward.finish(y);
  split.backward = backward.finish(xBar);
  return split;
}

}  // namespace pushforward
