// Cotangents between pullbacks.
//   mul(pullback(…), isGreater(y, 0)) → gated pullback(…, y)
//   filter_pullback(x, δ), sum(δ, all axes but the last) → filter_bias_pullback(x, δ) → w̄, b̄
#include "core/fuse.h"
#include "core/rewrite.h"

namespace pushforward {

namespace {

bool isZero(const Node& node) { return node.op->name == "full" && node.attributes.number("value", 1) == 0; }

/** The gated form of input `side` of a product with relu's slope; none if the node is none, or the device has no kernel. */
ValueId matchGate(Rewrite& rewrite, const std::vector<int>& uses, const Node& node, size_t side, const Device& device) {
  const Program& source = rewrite.source;
  const ValueId product = node.inputs[side];
  const Node &pullback = source.producerOf(product), &slope = source.producerOf(node.inputs[1 - side]);
  const Gated& gated = pullback.op->gated;
  if (slope.op->name != "isGreater" || !isZero(source.producerOf(slope.inputs[1])) || uses[product] != 1) return none;
  const ValueId y = slope.inputs[0];
  if (gated.op.empty() || !findKernel(device.set, gated.kernel) || !(source.types[y] == source.types[product]))
    return none;
  std::vector<ValueId> inputs = rewrite(pullback.inputs);
  if (gated.y < 0)
    inputs.push_back(rewrite[y]);
  else if (pullback.inputs[static_cast<size_t>(gated.y)] != y)
    return none;
  return rewrite.b.emit(getOp(gated.op), inputs, pullback.attributes)[0];
}

/** The node that sums `delta` over all axes but the last. */
const Node* biasCotangent(const Program& program, ValueId delta, const std::vector<size_t>& readers) {
  std::vector<int64_t> axes;
  for (int axis = 0; axis + 1 < program.types[delta].shape.rank(); ++axis) axes.push_back(axis);
  for (size_t n : readers) {
    const Node& node = program.nodes[n];
    const std::vector<int64_t>* list = node.op->name == "sum" ? node.attributes.list("axis") : nullptr;
    if (list && *list == axes && !node.attributes.flag("keepDims")) return &node;
  }
  return nullptr;
}

}  // namespace

Program fusePullbacks(const Program& program, const Device& device) {
  static const std::string both = "conv2d_filter_bias_pullback";
  const bool sums = findKernel(device.set, both) != nullptr;
  const std::vector<int> uses = countUses(program);
  std::vector<std::vector<size_t>> readers(program.types.size());  // behind the node at hand
  for (size_t n = 0; n < program.nodes.size(); ++n)
    for (ValueId input : program.nodes[n].inputs)
      if (input != none && program.nodes[n].op->name == "sum") readers[input].push_back(n);
  Rewrite rewrite(program);
  std::vector<bool> done(program.nodes.size(), false);
  for (size_t n = 0; n < program.nodes.size(); ++n) {
    const Node& node = program.nodes[n];
    if (done[n]) continue;
    rewrite.b.phase = node.phase;
    ValueId gated = none;
    for (size_t side = 0; node.op->name == "mul" && gated == none && side < 2; ++side)
      gated = matchGate(rewrite, uses, node, side, device);
    if (gated != none) {
      rewrite.set(node, {gated});
      continue;
    }
    const Node* bias = sums && node.op->name == "conv2d_filter_pullback"
                           ? biasCotangent(program, node.inputs[1], readers[node.inputs[1]])
                           : nullptr;
    const size_t at = bias ? static_cast<size_t>(bias - program.nodes.data()) : 0;
    if (at <= n) {
      rewrite.keep(node);
      continue;
    }
    const std::vector<ValueId> cotangents = rewrite.b.emit(getOp(both), rewrite(node.inputs), node.attributes);
    rewrite.set(node, {cotangents[0]});
    rewrite.set(*bias, {cotangents[1]});
    done[at] = true;
  }
  return simplify(rewrite.finish());
}

}  // namespace pushforward
