// activityGradient {directions, wrt, parameters, batched, exactLast?, losses?} holds one program f: x₁ … x_n → losses, extras, a loss the mean (or
// sum) of per-example losses f_i. Noise u_i of signs on every pre-activation z_i of example i (Ren, Kornblith, Liao, Hinton 2022, arXiv 2210.03310):
//   żᵢ += uᵢ,   cᵢ = Σ_layers ∂fᵢ/∂zᵢ · uᵢ in one pass,   z̄ = (1/K) Σ_k (c_k ⊙ u_k) / B,   w̄ = the layer's own pullback of z̄
// u is zero where relu follows and is off: there the derivative is zero, and noise would be variance alone. u is drawn again for the
// pullback, so what is kept of the pass are the layers' data inputs, and the results of those relus. No cotangent passes through a layer.
// Several losses: c_i of a channel (a place along the last axis of z) is the sum over the losses that it reaches; where the channels of a layer are
// dealt out to losses, each channel has its own loss's alone.
// exactLast: z̄ of the last layer of each loss is ∂loss/∂z, pulled back through what follows it (the loss alone); it has no noise.
// Stream 4: parameter = the first that the layer reads, direction = use · K + k, use = how many layers before read that one first.
// Outputs: the outputs of f, c [K] per loss (summed over examples), ḡ per entry of wrt.
#include <map>
#include <set>

#include "core/builder.h"
#include "core/differentiate.h"
#include "core/error.h"
#include "core/fuse.h"
#include "estimators/examples.h"

namespace pushforward {

namespace {

using Values = std::vector<ValueId>;

/** u [K, shape of z] of a layer. */
ValueId emitNoise(Builder& b, const Attributes& attributes, const Shape& shape) {
  Attributes law = attributes;
  law.set("shape", shape.dims());
  law.set("distribution", std::string("rademacher"));
  law.set("stream", 4.0);
  return b.emit("random", {}, law);
}

const Op& activityNoise() {
  static const Op op = noiseOp("activityNoise",
                               {{"parameter", AttributeKind::number},
                                {"directions", AttributeKind::number},
                                {"firstDirection", AttributeKind::number}},
                               [](JvpContext& context) {
                                 Builder& b = context.b;
                                 ValueId z = context.x[0];
                                 ValueId u = emitNoise(b, context.node.attributes, b.shape(z));
                                 context.y = {z};
                                 context.yDot = {b.addOrNone(context.xDot[0], u)};
                               });
  return op;
}

/** The relu that alone reads a pre-activation: its result, none where there is none. */
ValueId switchOf(const Program& program, const std::vector<int>& uses, ValueId z) {
  if (uses[z] != 1) return none;
  for (const Node& node : program.nodes)
    if (node.op->name == "relu" && node.inputs[0] == z) return node.firstOutput;
  return none;
}

/** A layer as a program of its own: its inputs in order, its output. */
Program layerProgram(const Program& program, const Node& layer) {
  Program alone;
  Builder b(alone);
  Values inputs;
  for (ValueId input : layer.inputs) {
    if (input == none) {
      inputs.push_back(none);
      continue;
    }
    const Type& type = program.types[input];
    inputs.push_back(
        b.emit("input", {}, {{"shape", type.shape.dims()}, {"dtype", std::string(dtypeName(type.dtype))}}));
  }
  alone.outputs = b.clone(layer, inputs);
  return alone;
}

/** Values of the program that are kept for after the pass, each once. */
class Kept {
 public:
  void add(ValueId value) {
    if (value != none && places_.emplace(value, values_.size()).second) values_.push_back(value);
  }
  const Values& values() const { return values_; }
  ValueId of(ValueId value, const ExamplePass& pass) const {
    return value == none ? none : pass.values[places_.at(value)];
  }

 private:
  std::map<ValueId, size_t> places_;
  Values values_;
};

/** From a pre-activation to the losses that it reaches: what depends on it, as a program; its inputs are z and `cut`. */
struct Tail {
  Program program;
  Values cut;
};

Tail tailOf(const Examples& examples, ValueId z) {
  const Program& program = examples.program;
  std::vector<bool> behind(program.types.size(), false);
  behind[z] = true;
  Tail tail;
  Rewrite rewrite(program);
  auto input = [&](ValueId value) {
    const Type& type = program.types[value];
    rewrite.set(value, rewrite.b.emit("input", {},
                                      {{"shape", type.shape.dims()}, {"dtype", std::string(dtypeName(type.dtype))}}));
  };
  input(z);
  for (const Node& node : program.nodes) {
    bool reads = false;
    for (ValueId each : node.inputs) reads |= each != none && behind[each];
    if (!reads) continue;
    for (ValueId each : node.inputs) {
      if (each == none || behind[each] || rewrite[each] != none) continue;
      input(each);
      tail.cut.push_back(each);
    }
    rewrite.keep(node);
    for (uint32_t i = 0; i < node.outputs; ++i) behind[node.firstOutput + i] = true;
  }
  Values losses;
  for (size_t l : examples.reach.of(z))
    if (behind[program.outputs[l]]) losses.push_back(program.outputs[l]);
  if (!losses.empty()) tail.program = simplify(rewrite.finish(losses));
  return tail;
}

/** c / K of the examples for each channel of z, as runs of channels [K, 1, B, 1, run] side by side; of one run [K, 1, B, 1]. none: all zero. */
ValueId emitChannelShares(Builder& b, const Examples& examples, ValueId z, const Values& shares, int64_t k) {
  const bool alongLast = examples.batch.axes[z].axis == examples.program.types[z].shape.rank() - 1;  // the examples
  const std::vector<LossRun> runs =
      alongLast ? std::vector<LossRun>{{0, 1, examples.reach.of(z)}} : examples.reach.runs(z);
  const int64_t batch = examples.batch.size;
  Values parts;
  bool any = false;
  for (const LossRun& run : runs) {
    ValueId sum = sumOver(b, shares, run.losses);
    any |= sum != none;
    ValueId c = sum == none ? b.full(Shape{k, batch}, 0) : b.emit("mul", {sum, b.scalar(1 / double(k))});
    if (runs.size() == 1) return any ? b.reshape(c, Shape{k, 1, batch, 1}) : none;
    parts.push_back(b.broadcast(b.reshape(c, Shape{k, 1, batch, 1, 1}), Shape{k, 1, batch, 1, run.size}));
  }
  return any ? b.joined(parts, 4) : none;
}

/** z̄ = (1/K) Σ_k c_k ⊙ u_k, the noise masked; none for zero. */
ValueId emitCotangent(Builder& b, const Examples& examples, ValueId z, const Attributes& law, ValueId on,
                      const Values& shares) {
  const Shape shape = examples.program.types[z].shape;
  const int64_t k = law.integer("directions", 1);
  ValueId c = emitChannelShares(b, examples, z, shares, k);
  if (c == none) return none;
  ExampleView view = examples.view(z);
  ValueId u = emitNoise(b, law, shape);
  if (on != none) u = b.emit("where", {b.emit("greater", {on, b.scalar(0)}), u, b.scalar(0)});
  const bool inRuns = b.shape(c).rank() == 5;
  const int64_t channels = inRuns ? b.shape(c)[4] : 1;
  ValueId apart = b.reshape(u, inRuns ? Shape{k, view.outer, view.size, view.inner / channels, channels}
                                      : Shape{k, view.outer, view.size, view.inner});
  ValueId terms = b.emit("mul", {apart, c});
  return b.reshape(k == 1 ? terms : b.emit("sum", {terms}, {{"axis", std::vector<int64_t>{0}}}), shape);
}

/** The last layer of each loss, in order of the program. */
std::set<size_t> lastLayers(const Examples& examples, const std::vector<size_t>& layers) {
  std::map<size_t, size_t> last;
  for (size_t n : layers)
    for (size_t l : examples.reach.of(examples.program.nodes[n].firstOutput)) last[l] = n;
  std::set<size_t> found;
  for (const auto& [loss, n] : last) found.insert(n);
  return found;
}

/** z̄ = ∂loss/∂z, summed over the losses of the tail; none for zero. */
ValueId emitExactCotangent(ExpandContext& context, const Tail& tail, const Kept& kept, const ExamplePass& pass,
                           ValueId z) {
  if (tail.program.outputs.empty()) return none;
  Builder& b = context.b;
  Values x = {kept.of(z, pass)};
  for (ValueId value : tail.cut) x.push_back(kept.of(value, pass));
  std::vector<bool> wanted(x.size(), false);
  wanted[0] = true;
  auto ones = [&](const Values& losses) { return Values(losses.size(), b.scalar(1)); };
  return emitVjp(b, tail.program, x, wanted, ones, context.fuse).cotangents[0];
}

Values expandActivityGradient(ExpandContext& context) {
  Builder& b = context.b;
  const Examples examples(context.node);
  const Program& program = examples.program;
  const int64_t k = context.node.attributes.integer("directions", 1);
  const std::vector<int> uses = countUses(program);

  std::vector<size_t> layers;
  for (size_t n = 0; n < program.nodes.size(); ++n)
    if (examples.isLayer(program.nodes[n])) layers.push_back(n);
  std::map<size_t, Tail> exact;
  if (context.node.attributes.flag("exactLast"))
    for (size_t n : lastLayers(examples, layers)) exact[n] = tailOf(examples, program.nodes[n].firstOutput);

  std::vector<Noise> noise(program.nodes.size());
  std::map<int64_t, int64_t> used;
  Kept kept;
  for (size_t n : layers) {
    const Node& layer = program.nodes[n];
    for (ValueId input : layer.inputs) kept.add(input);
    if (exact.count(n)) continue;
    const int64_t first = examples.firstParameter(layer);
    noise[n] = {
        &activityNoise(),
        {},
        {{"parameter", double(first)}, {"directions", double(k)}, {"firstDirection", double(k * used[first]++)}}};
    kept.add(switchOf(program, uses, layer.firstOutput));
  }
  for (const auto& [n, tail] : exact) {
    kept.add(program.nodes[n].firstOutput);
    for (ValueId value : tail.cut) kept.add(value);
  }

  ExamplePass pass = emitExamplePass(context, examples, noise, kept.values());
  Phase before = b.phase;
  b.phase = Phase::backward;
  Values weightBar(program.types.size(), none);
  for (size_t n : layers) {
    const Node& layer = program.nodes[n];
    const ValueId z = layer.firstOutput;
    ValueId zBar = none;
    if (exact.count(n)) {
      zBar = emitExactCotangent(context, exact[n], kept, pass, z);
    } else {
      ValueId on = kept.of(switchOf(program, uses, z), pass);
      zBar = emitCotangent(b, examples, z, noise[n].attributes, on, pass.shares);
    }
    if (zBar == none) continue;
    Values x, inputs;
    std::vector<bool> wanted;
    for (ValueId input : layer.inputs) {
      if (input == none) continue;
      inputs.push_back(input);
      x.push_back(kept.of(input, pass));
      wanted.push_back(examples.isWeight(input));
    }
    VjpResult own =
        emitVjp(b, layerProgram(program, layer), x, wanted, [&](const Values&) { return Values{zBar}; }, context.fuse);
    for (size_t i = 0; i < inputs.size(); ++i)
      if (wanted[i]) weightBar[inputs[i]] = b.addOrNone(weightBar[inputs[i]], own.cotangents[i]);
  }
  Values outputs = pass.outputs;
  outputs.insert(outputs.end(), pass.c.begin(), pass.c.end());
  for (ValueId estimate : emitParameterCotangents(context, examples, weightBar)) outputs.push_back(estimate);
  b.phase = before;
  return outputs;
}

const OpRegistration activityGradient = [] {
  Op op;
  op.name = "activityGradient";
  op.maxInputs = 1 << 16;
  op.attributes = {{"sampler", AttributeKind::text, true},    {"rank", AttributeKind::number},
                   {"directions", AttributeKind::number},     {"wrt", AttributeKind::list, true},
                   {"parameters", AttributeKind::list, true}, {"batched", AttributeKind::list, true},
                   {"exactLast", AttributeKind::number},      {"losses", AttributeKind::number}};
  op.infer = [](const TypeContext& context) { return getOp("forwardGradient").infer(context); };
  op.expand = expandActivityGradient;
  return op;
}();

}  // namespace

}  // namespace pushforward
