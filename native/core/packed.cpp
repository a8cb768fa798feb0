#include "core/packed.h"

#include "core/device.h"
#include "core/generated.h"
#include "core/op.h"
#include "core/rewrite.h"

namespace pushforward {

namespace {

constexpr int64_t tile = 32, deepest = 4096;
constexpr int64_t mostRows =
    1024;  // of primal and tangents that a layer finishes together (apartRows in ops/dense_epilogue.h)
constexpr int xInput = 0, wInput = 1, xDotInput = 3, wDotInput = 4;

bool isPushforward(const Node& node) { return node.op->name == "dense_pushforward"; }
TangentKind tangentKind(const Node& node) {
  return node.inputs[wDotInput] != none ? TangentKind::given : generatedOperand(node.attributes, "wDot").kind;
}

/** Whether the layer finishes whole tiles of rows at once. */
bool finishesTiles(const Program& program, const Node& node) {
  if (!isPushforward(node) && node.op->name != "dense") return false;
  const Shape &x = program.types[node.inputs[xInput]].shape, &w = program.types[node.inputs[wInput]].shape;
  int64_t rows = x.product(0, x.rank() - 1), k = isPushforward(node) ? node.attributes.integer("directions", 1) : 0;
  if (rows == 0 || rows % tile != 0 || w[0] == 0 || w[0] > deepest || tile * (1 + k) > mostRows) return false;
  if (k == 0) return true;
  TangentKind kind = tangentKind(node);
  bool dense = kind != TangentKind::zero && kind != TangentKind::lowRank;
  return !dense || rows * (1 + k) <= mostRows;  // a panel of a dense tangent is made once, for all rows
}

/** The projections of a low-rank tangent are of x itself, not rounded. */
bool readsPacked(const Program& program, const Node& node, size_t input) {
  if (!finishesTiles(program, node) || program.types[node.inputs[wInput]].shape[0] % tile != 0) return false;
  if (input == xInput) return !isPushforward(node) || tangentKind(node) != TangentKind::lowRank;
  return isPushforward(node) && input == xDotInput;
}

bool writesPacked(const Program& program, const Node& node) {
  return finishesTiles(program, node) && program.types[node.inputs[wInput]].shape[1] % tile == 0;
}

/** Of every value, whether it is packed. */
std::vector<bool> packedValues(const Program& program) {
  std::vector<bool> packed(program.types.size(), false), isRead = packed;
  for (const Node& node : program.nodes)
    if (writesPacked(program, node))
      for (uint32_t i = 0; i < node.outputs; ++i) packed[node.firstOutput + i] = true;
  for (const Node& node : program.nodes)
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == none) continue;
      isRead[node.inputs[i]] = true;
      if (!readsPacked(program, node, i)) packed[node.inputs[i]] = false;
    }
  for (ValueId output : program.outputs)
    if (output != none) packed[output] = false;
  for (size_t i = 0; i < packed.size(); ++i) packed[i] = packed[i] && isRead[i];
  return packed;
}

}  // namespace

Program packActivations(const Program& program, const Device& device) {
  if (device.set != "amx" || device.precision != Precision::bf16) return program;
  const std::vector<bool> packed = packedValues(program);
  Rewrite rewrite(program);
  for (const Node& node : program.nodes) {
    Node marked = node;
    const auto mark = [&](const char* name, ValueId value) {
      if (value != none && packed[value]) marked.attributes.set(name, 1.0);
    };
    if (finishesTiles(program, node)) {
      mark("packed.x", node.inputs[xInput]);
      mark("packed.y", node.firstOutput);
      if (isPushforward(node)) {
        mark("packed.xDot", node.inputs[xDotInput]);
        mark("packed.yDot", node.firstOutput + 1);
      }
    }
    rewrite.b.phase = node.phase;
    rewrite.set(node, rewrite.b.clone(marked, rewrite(node.inputs)));
  }
  return rewrite.finish();
}

}  // namespace pushforward
