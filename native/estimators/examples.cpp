#include "estimators/examples.h"

#include <algorithm>

#include "core/activation.h"
#include "core/builder.h"
#include "core/differentiate.h"
#include "core/error.h"
#include "core/fuse.h"

namespace pushforward {

namespace {

using Values = std::vector<ValueId>;

/** The activation of an epilogue becomes a node, so that what comes before it is a value. */
Program splitActivations(const Program& program) {
  Rewrite rewrite(program);
  for (const Node& node : program.nodes) {
    std::string activation = node.attributes.text("activation", "none");
    if (activation == "none") {
      rewrite.keep(node);
      continue;
    }
    Attributes attributes = node.attributes;
    attributes.set("activation", std::string("none"));
    ValueId z = rewrite.b.emit(*node.op, rewrite(node.inputs), attributes)[0];
    rewrite.set(node, {emitActivation(rewrite.b, activation, z)});
  }
  return rewrite.finish();
}

}  // namespace

// With and without fusion a layer is the same: matmul + bias is one layer, and has one noise, also in an unfused plan.
Examples::Examples(const Node& node)
    : program(splitActivations(fuseDense(*node.bodies[0]))),
      losses(static_cast<size_t>(lossCount(node.attributes))),
      batch(trackBatch(program, *node.attributes.list("batched"), losses)),
      reach(program, losses) {
  parameter.assign(program.types.size(), -1);
  const std::vector<int64_t>&wrt = *node.attributes.list("wrt"), &ordinals = *node.attributes.list("parameters");
  const Values inputs = program.inputValues();
  for (size_t i = 0; i < wrt.size(); ++i) {
    ValueId input = inputs[static_cast<size_t>(wrt[i])];
    if (batch.axes[input])
      fail(Code::INVALID_ARGUMENT, node.op->name, "parameters without a batch axis", "one of the data");
    parameter[input] = ordinals[i];
  }
  for (const Node& each : program.nodes) {
    if (each.op->constantDerivative || each.op->name == "input") continue;
    int64_t first = -1;
    for (ValueId input : each.inputs)
      if (input != none && parameter[input] >= 0)
        first = first < 0 ? parameter[input] : std::min(first, parameter[input]);
    for (uint32_t i = 0; i < each.outputs; ++i)
      if (program.types[each.firstOutput + i].dtype == DType::real) parameter[each.firstOutput + i] = first;
  }
}

bool Examples::isLayer(const Node& node) const {
  if (node.op->constantDerivative || node.outputs != 1 || !batch.axes[node.firstOutput]) return false;
  return std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) { return isWeight(input); });
}

int64_t Examples::firstParameter(const Node& layer) const {
  int64_t first = -1;
  for (ValueId input : layer.inputs)
    if (isWeight(input) && (first < 0 || parameter[input] < first)) first = parameter[input];
  return first;
}

namespace {

/** [K, B] of the tangent of a loss's terms. */
ValueId emitShares(Builder& b, const Examples& examples, size_t loss, ValueId terms) {
  if (terms == none) return none;
  const int64_t k = b.shape(terms)[0];
  ExampleView view = examples.view(examples.batch.losses[loss]);
  ValueId apart = b.reshape(terms, Shape{k, view.outer, view.size, view.inner});
  if (view.outer * view.inner != 1) apart = b.emit("sum", {apart}, {{"axis", std::vector<int64_t>{1, 3}}});
  ValueId shares = b.reshape(apart, Shape{k, view.size});
  if (examples.program.producerOf(examples.program.outputs[loss]).op->name != "mean") return shares;
  return b.emit("mul", {shares, b.scalar(1 / double(view.outer * view.size * view.inner))});
}

}  // namespace

Op noiseOp(const char* name, std::vector<AttributeSpec> attributes, void (*jvp)(JvpContext&)) {
  Op op;
  op.name = name;
  op.minInputs = 2;
  op.maxInputs = 3;
  op.attributes = std::move(attributes);
  op.infer = [](const TypeContext& context) -> std::vector<Type> { return {*context.input[0]}; };
  op.jvp = jvp;
  return op;
}

ExamplePass emitExamplePass(ExpandContext& context, const Examples& examples, const std::vector<Noise>& noise,
                            const Values& kept) {
  Builder& b = context.b;
  const Program& program = examples.program;
  const int64_t k = context.node.attributes.integer("directions", 1);
  Rewrite noisy(program);
  for (const Node& node : program.nodes)
    if (node.op->name == "input") noisy.keep(node);
  ValueId marker = noisy.b.emit("input", {}, {{"shape", std::vector<int64_t>{}}, {"dtype", std::string("real")}});
  for (size_t n = 0; n < program.nodes.size(); ++n) {
    const Node& node = program.nodes[n];
    if (node.op->name == "input") continue;
    noisy.keep(node);
    if (!noise[n].op) continue;
    Values inputs = {noisy[node.firstOutput], marker};
    for (ValueId input : noise[n].inputs) inputs.push_back(noisy[input]);
    noisy.set(node, noisy.b.emit(*noise[n].op, inputs, noise[n].attributes));
  }
  const Values& losses = examples.batch.losses;
  Values outputs = program.outputs;
  outputs.insert(outputs.end(), losses.begin(), losses.end());
  outputs.insert(outputs.end(), kept.begin(), kept.end());
  Values x = context.x, xDot(context.x.size(), none);
  x.push_back(none);
  xDot.push_back(b.full(Shape{k}, 0));
  JvpResult result = emitJvp(b, noisy.finish(outputs), x, xDot, k, context.fuse);

  ExamplePass pass;
  const auto own = static_cast<std::ptrdiff_t>(program.outputs.size());
  const auto each = static_cast<std::ptrdiff_t>(losses.size());
  pass.outputs.assign(result.outputs.begin(), result.outputs.begin() + own);
  pass.values.assign(result.outputs.begin() + own + each, result.outputs.end());
  for (size_t l = 0; l < losses.size(); ++l) {
    pass.c.push_back(result.tangents[l] == none ? b.full(Shape{k}, 0) : result.tangents[l]);
    pass.shares.push_back(emitShares(b, examples, l, result.tangents[program.outputs.size() + l]));
  }
  return pass;
}

Values emitParameterCotangents(ExpandContext& context, const Examples& examples, const Values& weightBar) {
  Builder& b = context.b;
  const std::vector<int64_t>& wrt = *context.node.attributes.list("wrt");
  Rewrite rewrite(examples.program);
  for (const Node& node : examples.program.nodes) rewrite.keep(node);
  Values weights, bars;
  for (size_t value = 0; value < weightBar.size(); ++value) {
    if (weightBar[value] == none) continue;
    weights.push_back(static_cast<ValueId>(value));
    bars.push_back(weightBar[value]);
  }
  std::vector<bool> wanted(context.x.size(), false);
  for (int64_t index : wrt) wanted[static_cast<size_t>(index)] = true;
  VjpResult result = emitVjp(
      b, simplify(rewrite.finish(weights)), context.x, wanted, [&](const Values&) { return bars; }, context.fuse);
  Values cotangents;
  for (int64_t index : wrt) {
    ValueId bar = result.cotangents[static_cast<size_t>(index)];
    cotangents.push_back(bar == none ? b.full(b.shape(context.x[static_cast<size_t>(index)]), 0) : bar);
  }
  return cotangents;
}

}  // namespace pushforward
