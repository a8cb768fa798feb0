#include "core/segment.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/fuse.h"
#include "core/rewrite.h"

namespace pushforward {

using Values = std::vector<ValueId>;

namespace {

/** Data of the program: each segment has its own copy. */
bool isConstant(const Node& node) { return node.op->name == "full" || node.op->name == "constant"; }
/** Nodes without work: they stay where they are. */
bool isLeaf(const Node& node) { return isConstant(node) || node.op->name == "input" || node.op->name == "parameter"; }

/** The nodes [first, last) of a list as a program, with what it reads and what of it is read later. */
struct Segment {
  std::shared_ptr<Program> body = std::make_shared<Program>();
  Values inputs, outputs;  // of the source program
};

Segment makeSegment(const Program& program, const std::vector<size_t>& nodes, const std::vector<size_t>& lastReader) {
  Segment segment;
  Builder b(*segment.body);
  std::map<ValueId, ValueId> map;
  std::vector<bool> inside(program.nodes.size(), false);
  for (size_t n : nodes) inside[n] = true;
  for (size_t n : nodes)
    for (ValueId input : program.nodes[n].inputs) {
      if (input == none || map.count(input) || inside[program.producer[input]] || isConstant(program.producerOf(input)))
        continue;
      const Type& type = program.types[input];
      map[input] = b.emit("input", {}, {{"shape", type.shape.dims()}, {"dtype", std::string(dtypeName(type.dtype))}});
      segment.inputs.push_back(input);
    }
  for (size_t n : nodes) {
    const Node& node = program.nodes[n];
    Values inputs;
    for (ValueId input : node.inputs) {
      if (input != none && !map.count(input)) map[input] = b.clone(program.producerOf(input), {})[0];
      inputs.push_back(input == none ? none : map.at(input));
    }
    Values outputs = b.clone(node, inputs);
    for (uint32_t i = 0; i < node.outputs; ++i) {
      map[node.firstOutput + i] = outputs[i];
      if (lastReader[node.firstOutput + i] > nodes.back()) {
        segment.outputs.push_back(node.firstOutput + i);
        segment.body->outputs.push_back(outputs[i]);
      }
    }
  }
  return segment;
}

}  // namespace

Program segmentProgram(const Program& program, int64_t segments) {
  std::vector<size_t> work;
  for (size_t n = 0; n < program.nodes.size(); ++n)
    if (!isLeaf(program.nodes[n])) work.push_back(n);
  size_t count =
      segments > 0 ? static_cast<size_t>(segments) : static_cast<size_t>(std::lround(std::sqrt(double(work.size()))));
  count = std::max<size_t>(1, std::min(count, work.size()));
  std::vector<size_t> lastReader(program.types.size(), 0);
  for (size_t n = 0; n < program.nodes.size(); ++n)
    for (ValueId input : program.nodes[n].inputs)
      if (input != none) lastReader[input] = n;
  for (ValueId output : program.outputs) lastReader[output] = program.nodes.size();

  Rewrite rewrite(program);
  for (const Node& node : program.nodes)
    if (isLeaf(node)) rewrite.keep(node);
  for (size_t s = 0; s < count; ++s) {
    std::vector<size_t> nodes(work.begin() + static_cast<std::ptrdiff_t>(s * work.size() / count),
                              work.begin() + static_cast<std::ptrdiff_t>((s + 1) * work.size() / count));
    if (s + 1 == count) {
      for (size_t n : nodes) rewrite.keep(program.nodes[n]);
      continue;
    }
    Segment segment = makeSegment(program, nodes, lastReader);
    if (segment.outputs.empty()) continue;
    Values made = rewrite.b.emit(getOp("checkpoint"), rewrite(segment.inputs), {}, {segment.body});
    for (size_t i = 0; i < made.size(); ++i) rewrite.set(segment.outputs[i], made[i]);
  }
  return rewrite.finish();
}

}  // namespace pushforward
