#include "core/kept.h"

#include <algorithm>
#include <map>

#include "core/device.h"
#include "core/generated.h"
#include "core/op.h"
#include "core/rewrite.h"

namespace pushforward {

namespace {

constexpr size_t wInput = 1, keptInput = 6;
constexpr size_t momentumInput = 1, gradientInput = 3, coefficientInput = 4;
constexpr int64_t rowsTogether = 16, columnsTogether = 32;  // what kernels of every instruction set take whole

bool isPlainRankOne(const Program& program, const Node& update) {
  const Attributes& a = update.attributes;
  const TangentOperand law = generatedOperand(a, "tangent");
  return update.op->name == "sgd" && update.inputs[coefficientInput] != none && a.integer("mergeEvery", 1) > 1 &&
         law.kind == TangentKind::lowRank && law.rank == 1 &&
         program.types[update.inputs[coefficientInput]].shape.count() == 1 && update.inputs[momentumInput] == none &&
         update.inputs[gradientInput] == none && a.number("weightDecay", 0) == 0 && !a.find("rate");
}

bool readByProductsAlone(const Program& program, ValueId w, const Node& update) {
  for (const Node& node : program.nodes)
    for (size_t i = 0; i < node.inputs.size() && &node != &update; ++i)
      if (node.inputs[i] == w && (node.op->name != "dense_pushforward" || i != wInput)) return false;
  return std::find(program.outputs.begin(), program.outputs.end(), w) == program.outputs.end();
}

bool isKept(const Program& program, const Node& node) {
  if (!isPlainRankOne(program, node)) return false;
  const ValueId w = node.inputs[0];
  const Shape& shape = program.types[w].shape;
  return layoutOf(program, w).inPanels() && shape[0] > 0 && shape[0] % rowsTogether == 0 &&
         shape[1] % columnsTogether == 0 && readByProductsAlone(program, w, node);
}

}  // namespace

Program keepUpdates(const Program& program, const Device& device) {
  if (device.panelColumns == 0) return program;
  std::map<ValueId, const Node*> updates;  // of every weight whose updates are kept
  for (const Node& node : program.nodes)
    if (isKept(program, node)) updates[node.inputs[0]] = &node;
  if (updates.empty()) return program;
  Rewrite rewrite(program);
  std::map<ValueId, ValueId> kept;
  const int64_t wide = device.panelColumns;
  for (const Node& node : program.nodes) {
    rewrite.b.phase = node.phase;
    std::vector<ValueId> inputs = rewrite(node.inputs);
    const auto found = node.inputs.empty() ? updates.end() : updates.find(node.inputs[0]);
    if (found != updates.end() && found->second == &node) {
      const Shape& shape = program.types[node.inputs[0]].shape;
      Attributes law{{"rows", double(shape[0])}, {"columns", double(shape[1])}};
      for (const AttributeSpec& spec : generatedAttributes("tangent"))
        law.set(spec.name, node.attributes.number(spec.name, 0));
      std::vector<ValueId> operands = {kept[node.inputs[0]], inputs[coefficientInput]};
      operands.insert(operands.end(), inputs.begin() + node.op->guardsFrom, inputs.end());
      rewrite.b.emit(getOp("keepFactors"), operands, law);
      rewrite.b.emit(getOp("mergeFactors"), {inputs[0], kept[node.inputs[0]]}, {});
      continue;
    }
    if (node.op->name == "dense_pushforward" && updates.count(node.inputs[wInput])) {
      inputs.resize(keptInput, none);
      inputs.push_back(kept[node.inputs[wInput]]);
    }
    rewrite.set(node, rewrite.b.clone(node, inputs));
    const auto weight = updates.find(node.firstOutput);
    if (node.outputs == 0 || weight == updates.end()) continue;
    const Shape& shape = program.types[node.firstOutput].shape;
    const int64_t every = weight->second->attributes.integer("mergeEvery", 1);
    kept[node.firstOutput] =
        rewrite.b.emit(getOp("parameter"), {},
                       {{"name", "state/kept/" + node.attributes.text("name", "")},
                        {"shape", std::vector<int64_t>{every, (shape[0] + wide - 1) / wide * wide + shape[1]}}})[0];
  }
  return rewrite.finish();
}

int keptSteps(const Program& program) {
  for (const Node& node : program.nodes)
    if (node.op->name == "mergeFactors") return static_cast<int>(program.types[node.inputs[1]].shape[0]);
  return 1;
}

}  // namespace pushforward
