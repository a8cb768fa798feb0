// One rule for each op, in a table: given where the examples lie in its inputs, where they lie in its output. An op without a rule, and an op
// that reduces, scans, normalises or multiplies over that axis, is refused by name. Values without examples need no rule.
#include "estimators/batch_axis.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "core/error.h"
#include "core/op.h"
#include "ops/axes.h"

namespace pushforward {

namespace {

/** A node with what is known of its inputs. */
struct Site {
  const Program& program;
  const Node& node;
  const Batch& batch;

  BatchAxis in(size_t i) const {
    bool present = i < node.inputs.size() && node.inputs[i] != none;
    return present ? batch.axes[node.inputs[i]] : BatchAxis{};
  }
  const Shape& shape(size_t i) const { return program.types[node.inputs[i]].shape; }
  const Shape& out() const { return program.types[node.firstOutput].shape; }
  [[noreturn]] void refuse(const std::string& received) const {
    fail(Code::INVALID_ARGUMENT, node.op->name,
         "ops that take each example by itself, as an estimator with noise for each example needs,", received);
  }
  void expect(bool apart, const char* received) const {
    if (!apart) refuse(received);
  }
  void expectSame(size_t i, const char* what) const {
    if (in(i)) refuse(std::string(what) + " that differs from example to example");
  }
};

using Rule = BatchAxis (*)(const Site&);

constexpr const char* reduces = "a reduction over the batch (nn.batchNorm makes one in training)";
constexpr const char* mixes = "examples that meet each other along the batch axis";

/** Inputs that share the output's axes, aligned right as broadcasting does. */
BatchAxis aligned(const Site& site, size_t from, size_t to) {
  BatchAxis found;
  for (size_t i = from; i < std::min(to, site.node.inputs.size()); ++i) {
    BatchAxis axis = site.in(i);
    if (!axis) continue;
    int rank = site.out().rank(), own = site.shape(i).rank();
    BatchAxis here{axis.axis + rank - own, axis.repeat};
    site.expect(site.out()[here.axis] == site.shape(i)[axis.axis] && (!found || found == here), mixes);
    found = here;
  }
  return found;
}

BatchAxis elementwise(const Site& site) { return aligned(site, 0, 3); }
BatchAxis same(const Site& site) { return site.in(0); }

/** Rows of input 0, whose last axis is used up or rewritten; the rest is shared. */
BatchAxis rows(const Site& site) {
  for (size_t i = 1; i < site.node.inputs.size(); ++i) site.expectSame(i, "an operand");
  site.expect(site.in(0).axis < site.shape(0).rank() - 1, mixes);
  return site.in(0);
}

/** Images: the examples come first. */
BatchAxis images(const Site& site) {
  for (size_t i = 1; i < site.node.inputs.size(); ++i) site.expectSame(i, "an operand");
  site.expect(site.in(0).axis == 0, mixes);
  return site.in(0);
}

BatchAxis alongLast(const Site& site) {
  site.expect(site.in(0).axis != axisAttribute(site.node.op->name, site.node.attributes, -1, site.shape(0).rank()),
              mixes);
  return site.in(0);
}

BatchAxis reduction(const Site& site) {
  BatchAxis axis = site.in(0);
  int before = 0;
  for (int64_t reduced : reducedAxes(site.node.op->name, site.node.attributes, site.shape(0).rank())) {
    site.expect(reduced != axis.axis, reduces);
    before += reduced < axis.axis;
  }
  return {site.node.attributes.flag("keepDims") ? axis.axis : axis.axis - before, axis.repeat};
}

BatchAxis argmax(const Site& site) {
  int along = axisAttribute("argmax", site.node.attributes, -1, site.shape(0).rank());
  site.expect(along != site.in(0).axis, reduces);
  return {site.in(0).axis - (along < site.in(0).axis), site.in(0).repeat};
}

/** Examples stay apart where a new axis begins at the same element and holds a whole number of elements for each. */
BatchAxis reshape(const Site& site) {
  const Shape &from = site.shape(0), &to = site.out();
  int64_t outer = from.product(0, site.in(0).axis);
  for (int axis = 0; axis < to.rank(); ++axis)
    if (to.product(0, axis) == outer && to[axis] > 0 && to[axis] % site.batch.size == 0)
      return {axis, to[axis] / site.batch.size};
  site.refuse("a reshape that cuts through examples");
}

BatchAxis transpose(const Site& site) {
  const std::vector<int64_t>* given = site.node.attributes.list("permutation");
  int rank = site.out().rank();
  for (int axis = 0; axis < rank; ++axis)
    if ((given ? normaliseAxis("transpose", (*given)[static_cast<size_t>(axis)], rank) : rank - 1 - axis) ==
        site.in(0).axis)
      return {axis, site.in(0).repeat};
  site.refuse(mixes);
}

/** slice and pad: all of the batch, or none of it. */
BatchAxis whole(const Site& site) {
  site.expect(site.out()[site.in(0).axis] == site.shape(0)[site.in(0).axis], "a part of the batch");
  return site.in(0);
}

BatchAxis concat(const Site& site) {
  BatchAxis axis = aligned(site, 0, site.node.inputs.size());
  site.expect(axis.axis != axisAttribute("concat", site.node.attributes, 0, site.out().rank()), mixes);
  return axis;
}

BatchAxis gather(const Site& site) {
  int along = axisAttribute("gather", site.node.attributes, 0, site.shape(0).rank());
  BatchAxis table = site.in(0), indices = site.in(1);
  site.expect(!(table && indices) && !(table && table.axis == along), mixes);
  if (indices) return {along + indices.axis, indices.repeat};
  return {table.axis < along ? table.axis : table.axis - 1 + site.shape(1).rank(), table.repeat};
}

BatchAxis crossEntropy(const Site& site) {
  site.expect(!site.in(0) || site.in(0).axis < site.shape(0).rank() - 1, mixes);
  site.expect(!site.in(0) || !site.in(1) || site.in(0) == site.in(1), mixes);
  return site.in(0) ? site.in(0) : site.in(1);
}

BatchAxis squaredError(const Site& site) {
  for (size_t i = 0; i < 2; ++i) site.expect(!site.in(i) || site.in(i).axis == 0, reduces);
  return site.in(0) ? site.in(0) : site.in(1);
}

BatchAxis matmul(const Site& site) {
  BatchAxis found;
  int rank = site.out().rank();
  for (size_t i = 0; i < 2; ++i) {
    BatchAxis axis = site.in(i);
    if (!axis) continue;
    int own = site.shape(i).rank();
    bool transposed = site.node.attributes.flag(i == 0 ? "transposeA" : "transposeB");
    bool rowsFree = (i == 0) != transposed;  // the free axis is the last but one
    int free = rowsFree ? own - 2 : own - 1, inner = rowsFree ? own - 1 : own - 2;
    site.expect(axis.axis != inner, "a product that sums over the batch");
    BatchAxis here{axis.axis == free ? (i == 0 ? rank - 2 : rank - 1) : axis.axis + rank - own, axis.repeat};
    site.expect((!found || found == here) && site.out()[here.axis] == site.shape(i)[axis.axis], mixes);
    found = here;
  }
  return found;
}

BatchAxis attention(const Site& site) {
  site.expectSame(3, "a mask");
  for (size_t i = 0; i < 3; ++i) site.expect(site.in(i).axis < site.out().rank() - 2, mixes);
  return aligned(site, 0, 3);
}

const std::map<std::string, Rule>& rules() {
  static const std::map<std::string, Rule> table = {{"dense", rows},
                                                    {"layerNorm", rows},
                                                    {"rmsNorm", rows},
                                                    {"conv2d", images},
                                                    {"convolve", images},
                                                    {"maxPool2d", images},
                                                    {"avgPool2d", images},
                                                    {"softmax", alongLast},
                                                    {"logSoftmax", alongLast},
                                                    {"cumsum", alongLast},
                                                    {"argmax", argmax},
                                                    {"sum", reduction},
                                                    {"mean", reduction},
                                                    {"max", reduction},
                                                    {"logSumExp", reduction},
                                                    {"reshape", reshape},
                                                    {"transpose", transpose},
                                                    {"broadcast", elementwise},
                                                    {"slice", whole},
                                                    {"pad", whole},
                                                    {"concat", concat},
                                                    {"gather", gather},
                                                    {"oneHot", same},
                                                    {"stopGradient", same},
                                                    {"softmaxCrossEntropy", crossEntropy},
                                                    {"meanSquaredError", squaredError},
                                                    {"matmul", matmul},
                                                    {"attention", attention}};
  return table;
}

BatchAxis axisOf(const Site& site) {
  auto rule = rules().find(site.node.op->name);
  if (rule != rules().end()) return rule->second(site);
  if (site.node.op->row >= 0) return elementwise(site);
  site.refuse("an op that may mix them");
}

/** The node that makes a loss of the examples' losses. */
const Node& lossOf(const Program& program, size_t loss) {
  const Node& root = program.producerOf(program.outputs[loss]);
  if (root.op->name != "mean" && root.op->name != "sum")
    fail(
        Code::INVALID_ARGUMENT, root.op->name,
        "a loss that ends in the mean or the sum over the examples, as an estimator with noise for each example needs,",
        "one that ends in " + root.op->name);
  return root;
}

}  // namespace

ExampleView exampleView(const Shape& shape, const BatchAxis& axis, int64_t size) {
  int64_t outer = shape.product(0, axis.axis);
  return {outer, size, size && outer ? shape.count() / (size * outer) : 0};
}

Batch trackBatch(const Program& program, const std::vector<int64_t>& batched, size_t losses) {
  Batch batch;
  batch.axes.resize(program.types.size());
  const std::vector<ValueId> inputs = program.inputValues();
  std::set<const Node*> roots;
  for (size_t l = 0; l < losses; ++l) roots.insert(&lossOf(program, l));
  for (int64_t index : batched) {
    if (index < 0 || index >= static_cast<int64_t>(inputs.size()))
      fail(Code::INVALID_ARGUMENT, "input", "batched to list inputs", std::to_string(index));
    const Shape& shape = program.types[inputs[static_cast<size_t>(index)]].shape;
    if (shape.rank() == 0 || shape[0] == 0 || (batch.size && batch.size != shape[0]))
      fail(Code::SHAPE_MISMATCH, "input", "at least one example along the first axis of the data, as many in each",
           shape.text());
    batch.size = shape[0];
    batch.axes[inputs[static_cast<size_t>(index)]] = {0, 1};
  }
  for (const Node& node : program.nodes) {
    bool any = false;
    for (ValueId input : node.inputs) any |= input != none && batch.axes[input];
    if (!any || roots.count(&node)) continue;
    BatchAxis axis = axisOf({program, node, batch});
    for (uint32_t i = 0; i < node.outputs; ++i) batch.axes[node.firstOutput + i] = axis;
  }
  for (size_t l = 0; l < losses; ++l) {
    const Node& root = lossOf(program, l);
    batch.losses.push_back(root.inputs[0]);
    if (!batch.axes[root.inputs[0]])
      fail(Code::INVALID_ARGUMENT, root.op->name,
           "a loss over the examples of a batch, as an estimator with noise for each example needs,",
           "a loss without a batch axis");
  }
  return batch;
}

}  // namespace pushforward
