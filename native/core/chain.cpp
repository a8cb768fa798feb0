// Groups elementwise nodes into chains and compiles them to micro-programs.
#include <algorithm>
#include <unordered_map>

#include "core/activation.h"
#include "core/error.h"
#include "core/fuse.h"
#include "core/rewrite.h"

namespace pushforward {

using Values = std::vector<ValueId>;

namespace {

/** Without leading axes of size 1: broadcasting aligns right, so these alone may differ inside a group. */
Shape iterationSpace(const Shape& shape) {
  int first = 0;
  while (first < shape.rank() && shape[first] == 1) ++first;
  return shape.tail(first);
}

bool isScalarConstant(const Node& node) { return node.op->name == "full"; }

/** Nodes of one chain, in program order; the last is its root. */
struct Group {
  std::vector<size_t> nodes;
};

/** What a group reads from outside, and how many scalars it holds. */
struct Reads {
  Values inputs;
  std::vector<double> scalars;
};

Reads readsOf(const Program& program, const std::vector<bool>& member, const std::vector<size_t>& nodes) {
  Reads reads;
  for (size_t n : nodes)
    for (ValueId input : program.nodes[n].inputs) {
      const Node& producer = program.producerOf(input);
      if (isScalarConstant(producer)) {
        double value = producer.attributes.number("value", 0);
        if (std::find(reads.scalars.begin(), reads.scalars.end(), value) == reads.scalars.end())
          reads.scalars.push_back(value);
      } else if (!member[program.producer[input]] &&
                 std::find(reads.inputs.begin(), reads.inputs.end(), input) == reads.inputs.end()) {
        reads.inputs.push_back(input);
      }
    }
  return reads;
}

bool fits(const Reads& reads, size_t ops) {
  return reads.inputs.size() <= maxMicroInputs && reads.scalars.size() <= maxMicroImmediates && ops <= maxMicroOps;
}

/** Sweeps backwards from the root: a node joins when all its readers have joined. */
Group growGroup(const Program& program, const std::vector<std::vector<size_t>>& readers,
                const std::vector<bool>& isOutput, const std::vector<bool>& taken, size_t root) {
  Shape space = iterationSpace(program.types[program.nodes[root].firstOutput].shape);
  std::vector<bool> member(program.nodes.size(), false);
  Group group{{root}};
  member[root] = true;
  for (size_t n = root; n-- > 0;) {
    const Node& node = program.nodes[n];
    if (node.op->row < 0 || taken[n] || isOutput[node.firstOutput] || readers[node.firstOutput].empty()) continue;
    if (!(iterationSpace(program.types[node.firstOutput].shape) == space)) continue;
    bool inside = true;
    for (size_t reader : readers[node.firstOutput]) inside = inside && member[reader];
    if (!inside) continue;
    std::vector<size_t> nodes = group.nodes;
    nodes.push_back(n);
    member[n] = true;
    if (fits(readsOf(program, member, nodes), nodes.size()))
      group.nodes = nodes;
    else
      member[n] = false;
  }
  std::sort(group.nodes.begin(), group.nodes.end());
  return group;
}

/** The group as a program over scalars: one `input` per value it reads. */
std::shared_ptr<const Program> groupBody(const Program& program, const Group& group, Values& inputs) {
  std::vector<bool> member(program.nodes.size(), false);
  for (size_t n : group.nodes) member[n] = true;
  inputs = readsOf(program, member, group.nodes).inputs;
  auto body = std::make_shared<Program>();
  Builder b(*body);
  std::unordered_map<ValueId, ValueId> map;
  for (ValueId input : inputs)
    map[input] =
        b.emit("input", {},
               {{"shape", std::vector<int64_t>{}}, {"dtype", std::string(dtypeName(program.types[input].dtype))}});
  for (size_t n : group.nodes) {
    const Node& node = program.nodes[n];
    Values local;
    for (ValueId input : node.inputs) {
      const Node& producer = program.producerOf(input);
      if (isScalarConstant(producer))
        local.push_back(b.scalar(producer.attributes.number("value", 0)));
      else
        local.push_back(map.at(input));
    }
    map[node.firstOutput] = b.emit(*node.op, local)[0];
  }
  body->outputs = {map.at(program.nodes[group.nodes.back()].firstOutput)};
  return body;
}

}  // namespace

Program fuseChains(const Program& program) {
  std::vector<std::vector<size_t>> readers(program.types.size());
  std::vector<bool> isOutput(program.types.size(), false), taken(program.nodes.size(), false);
  for (size_t n = 0; n < program.nodes.size(); ++n)
    for (ValueId input : program.nodes[n].inputs)
      if (input != none) readers[input].push_back(n);
  for (ValueId output : program.outputs) isOutput[output] = true;

  std::vector<Group> groupAt(program.nodes.size());
  for (size_t n = program.nodes.size(); n-- > 0;) {
    if (program.nodes[n].op->row < 0 || taken[n]) continue;
    groupAt[n] = growGroup(program, readers, isOutput, taken, n);
    for (size_t member : groupAt[n].nodes) taken[member] = true;
  }

  Rewrite rewrite(program);
  for (size_t n = 0; n < program.nodes.size(); ++n) {
    const Node& node = program.nodes[n];
    if (groupAt[n].nodes.empty()) {
      if (!taken[n]) rewrite.keep(node);
      continue;
    }
    Values reads;
    std::shared_ptr<const Program> body = groupBody(program, groupAt[n], reads);
    const Type& type = program.types[node.firstOutput];
    Values inputs;
    for (ValueId read : reads) {
      const Node& producer = program.producerOf(read);
      bool through = producer.op->name == "broadcast" &&
                     program.types[producer.inputs[0]].shape.rank() == program.types[read].shape.rank();
      inputs.push_back(rewrite[through ? producer.inputs[0] : read]);
    }
    rewrite.b.phase = node.phase;
    rewrite.set(node,
                rewrite.b.emit(getOp("chain"), inputs,
                               {{"shape", type.shape.dims()}, {"dtype", std::string(dtypeName(type.dtype))}}, {body}));
  }
  return simplify(rewrite.finish());
}

MicroProgram compileMicro(const Program& program) {
  MicroProgram micro{};
  Values inputs = program.inputValues();
  micro.inputs = static_cast<int32_t>(inputs.size());
  std::vector<int16_t> reg(program.types.size(), -1);
  std::vector<double> scalars;
  std::vector<int> scalarOf(program.types.size(), -1);
  for (const Node& node : program.nodes) {
    if (!isScalarConstant(node)) continue;
    double value = node.attributes.number("value", 0);
    size_t at = static_cast<size_t>(std::find(scalars.begin(), scalars.end(), value) - scalars.begin());
    if (at == scalars.size()) scalars.push_back(value);
    scalarOf[node.firstOutput] = static_cast<int>(at);
  }
  micro.immediates = static_cast<int32_t>(scalars.size());
  if (micro.inputs > maxMicroInputs || micro.immediates > maxMicroImmediates)
    fail(Code::INVALID_ARGUMENT, "chain", "at most 12 inputs and 12 scalars",
         std::to_string(micro.inputs) + " and " + std::to_string(micro.immediates));
  std::copy(scalars.begin(), scalars.end(), micro.immediate);
  for (size_t i = 0; i < inputs.size(); ++i) reg[inputs[i]] = static_cast<int16_t>(i);
  for (size_t v = 0; v < scalarOf.size(); ++v)
    if (scalarOf[v] >= 0) reg[v] = static_cast<int16_t>(micro.inputs + scalarOf[v]);
  for (const Node& node : program.nodes) {
    if (node.op->row < 0) continue;
    if (micro.ops == maxMicroOps) fail(Code::INVALID_ARGUMENT, "chain", "at most 32 elementwise ops", "more");
    MicroOp op{static_cast<int16_t>(node.op->row), {-1, -1, -1}};
    for (size_t i = 0; i < node.inputs.size(); ++i) op.in[i] = reg[node.inputs[i]];
    reg[node.firstOutput] = static_cast<int16_t>(micro.inputs + micro.immediates + micro.ops);
    micro.op[micro.ops++] = op;
  }
  micro.outputs = static_cast<int32_t>(program.outputs.size());
  for (size_t i = 0; i < program.outputs.size(); ++i) micro.output[i] = reg[program.outputs[i]];
  return micro;
}

}  // namespace pushforward
