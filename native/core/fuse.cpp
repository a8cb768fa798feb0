#include "core/fuse.h"

#include <functional>
#include <unordered_map>

#include "core/activation.h"
#include "core/error.h"
#include "core/generated.h"
#include "core/rewrite.h"

namespace pushforward {

using Values = std::vector<ValueId>;

std::vector<int> countUses(const Program& program) {
  std::vector<int> uses(program.types.size(), 0);
  for (const Node& node : program.nodes)
    for (ValueId input : node.inputs)
      if (input != none) ++uses[input];
  for (ValueId output : program.outputs) ++uses[output];
  return uses;
}

namespace {

bool plainProduct(const Program& program, const Node& node) {
  return node.op->name == "matmul" && !node.attributes.flag("transposeA") && !node.attributes.flag("transposeB") &&
         !node.attributes.flag("unrounded") && program.types[node.inputs[1]].shape.rank() == 2;
}

/** The name under which an elementwise node is an epilogue: gelu's tanh form is called gelu there. Empty: it cannot be one. */
std::string activationName(const Node& node) {
  if (node.op->row < 0 || node.inputs.size() != 1 || node.op->name == "gelu" || node.op->name == "neg") return "";
  return node.op->name == "geluTanh" ? "gelu" : node.op->name;
}

/** Tries to emit `node` as a dense or as a conv2d with an activation; returns none when it does not match. */
ValueId matchDense(Rewrite& rewrite, const std::vector<int>& uses, const Node& node) {
  const Program& source = rewrite.source;
  Builder& b = rewrite.b;
  if (node.op->name == "add") {
    for (int side = 0; side < 2; ++side) {
      ValueId product = node.inputs[side], bias = node.inputs[1 - side];
      const Node& producer = source.producerOf(product);
      const Shape& shape = source.types[product].shape;
      if (uses[product] != 1 || !plainProduct(source, producer)) continue;
      if (source.types[bias].shape != Shape{shape[shape.rank() - 1]}) continue;
      return b.emit("dense", {rewrite[producer.inputs[0]], rewrite[producer.inputs[1]], rewrite[bias]});
    }
    return none;
  }
  std::string activation = activationName(node);
  if (activation.empty() || uses[node.inputs[0]] != 1) return none;
  const Node product = b.program().producerOf(rewrite[node.inputs[0]]);
  bool layer = product.op->name == "dense" || product.op->name == "conv2d";
  if (layer && product.attributes.text("activation", "none") == "none") {
    Attributes attributes = product.attributes;
    attributes.set("activation", activation);
    return b.emit(*product.op, product.inputs, attributes)[0];
  }
  if (!plainProduct(b.program(), product)) return none;
  return b.emit("dense", product.inputs, {{"activation", activation}});
}

}  // namespace

Program fuseDense(const Program& program) {
  Rewrite rewrite(program);
  std::vector<int> uses = countUses(program);
  bool changed = false;
  for (const Node& node : program.nodes) {
    rewrite.b.phase = node.phase;
    ValueId dense = matchDense(rewrite, uses, node);
    if (dense == none) {
      rewrite.keep(node);
    } else {
      rewrite.set(node, {dense});
      changed = true;
    }
  }
  return changed ? simplify(rewrite.finish()) : program;
}

Program lowerProgram(const Program& program, bool all) {
  Rewrite rewrite(program);
  bool changed = false;
  for (const Node& node : program.nodes) {
    if (!node.op->lower || (node.op->kernels && !all)) {
      rewrite.keep(node);
      continue;
    }
    rewrite.b.phase = node.phase;
    Values inputs = rewrite(node.inputs);
    ExpandContext context{rewrite.b, node, inputs, !all};
    rewrite.set(node, node.op->lower(context));
    changed = true;
  }
  Program lowered = rewrite.finish();
  return changed ? lowerProgram(lowered, all) : lowered;
}

namespace {

std::vector<bool> neededNodes(const Program& program) {
  std::vector<bool> needed(program.nodes.size(), false);
  for (size_t n = 0; n < program.nodes.size(); ++n)
    if (!program.nodes[n].op->writes.empty() || program.nodes[n].op->name == "input") needed[n] = true;
  for (ValueId output : program.outputs) needed[program.producer[output]] = true;
  for (size_t n = program.nodes.size(); n-- > 0;) {
    if (!needed[n]) continue;
    for (ValueId input : program.nodes[n].inputs)
      if (input != none) needed[program.producer[input]] = true;
  }
  return needed;
}

size_t hashNode(const Op* op, const Values& inputs) {
  size_t hash = std::hash<const void*>()(op);
  for (ValueId input : inputs) hash = hash * 1099511628211u + input;
  return hash;
}

}  // namespace

Program simplify(const Program& program) {
  Rewrite rewrite(program);
  std::vector<bool> needed = neededNodes(program);
  std::unordered_multimap<size_t, size_t> seen;  // hash → node of the result
  for (size_t n = 0; n < program.nodes.size(); ++n) {
    const Node& node = program.nodes[n];
    if (!needed[n]) continue;
    if (!node.op->writes.empty() || !node.bodies.empty() || node.op->name == "input") {
      rewrite.keep(node);
      continue;
    }
    Values inputs = rewrite(node.inputs);
    const Program& result = rewrite.b.program();
    size_t hash = hashNode(node.op, inputs);
    const Node* twin = nullptr;
    auto range = seen.equal_range(hash);
    for (auto entry = range.first; entry != range.second && !twin; ++entry) {
      const Node& candidate = result.nodes[entry->second];
      // A mask drawn again in the backward phase of a checkpoint is not to be kept from the forward one.
      bool drawnAgain = node.op->name == "random" && candidate.phase != node.phase;
      if (candidate.op == node.op && candidate.inputs == inputs && candidate.attributes == node.attributes &&
          !drawnAgain)
        twin = &candidate;
    }
    if (twin) {
      Values values;
      for (uint32_t i = 0; i < twin->outputs; ++i) values.push_back(twin->firstOutput + i);
      rewrite.set(node, values);
    } else {
      seen.emplace(hash, result.nodes.size());
      rewrite.keep(node);
    }
  }
  return rewrite.finish();
}

namespace {

void absorbIntoUpdate(const Program& program, const std::vector<int>& uses, Rewrite& rewrite, const Node& node,
                      Values& inputs, Attributes& attributes) {
  ValueId gradient = node.inputs[3], rest = none;
  if (gradient == none || uses[gradient] != 1) return;
  if (program.producerOf(gradient).op->name == "add") {  // of a directional gradient and another, of the same shape
    const Values& terms = program.producerOf(gradient).inputs;
    const bool first = program.producerOf(terms[0]).op->name == "directionalGradient";
    gradient = terms[first ? 0 : 1];
    rest = terms[first ? 1 : 0];
    if (program.producerOf(gradient).op->name != "directionalGradient" || uses[gradient] != 1 ||
        !(program.types[rest] == program.types[gradient]))
      return;
  }
  const Node& producer = program.producerOf(gradient);
  if (producer.op->name == "directionalGradient" && isTangent(program.producerOf(producer.inputs[1]))) {
    inputs[3] = rewrite[rest];
    inputs[4] = rewrite[producer.inputs[0]];
    absorbTangent(attributes, "tangent", program.producerOf(producer.inputs[1]));
  } else if (producer.op->name == "matmul" && producer.attributes.flag("transposeA") &&
             !producer.attributes.flag("transposeB") && !producer.attributes.flag("unrounded") &&
             program.types[producer.inputs[0]].shape.rank() == 2 &&
             program.types[producer.inputs[1]].shape.rank() == 2) {
    inputs[3] = none;
    inputs[5] = rewrite[producer.inputs[0]];
    inputs[6] = rewrite[producer.inputs[1]];
  }
}

}  // namespace

Program absorbGenerated(const Program& program) {
  Rewrite rewrite(program);
  std::vector<int> uses = countUses(program);
  for (const Node& node : program.nodes) {
    Values inputs = rewrite(node.inputs);
    Attributes attributes = node.attributes;
    for (const Absorption& absorption : node.op->absorbs) {
      if (node.inputs[absorption.input] == none) continue;
      const Node& producer = program.producerOf(node.inputs[absorption.input]);
      if (!isTangent(producer) || (producer.attributes.integer("rank", 0) > 0 && !absorption.lowRank)) continue;
      absorbTangent(attributes, absorption.name, producer);
      inputs[absorption.input] = none;
    }
    if (!node.op->writes.empty() && node.inputs.size() > 6)
      absorbIntoUpdate(program, uses, rewrite, node, inputs, attributes);
    bool product = !node.op->writes.empty() && inputs.size() > 6 && inputs[6] != none;
    rewrite.b.phase = product ? Phase::backward : node.phase;
    rewrite.set(node, rewrite.b.emit(*node.op, inputs, attributes, node.bodies));
  }
  return simplify(rewrite.finish());
}

}  // namespace pushforward
