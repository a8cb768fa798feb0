// exampleGradient {rank, directions, wrt, parameters, batched, losses?} holds one program f: x₁ … x_n → losses, extras, a loss the mean (or sum)
// of per-example losses f_i. A low-rank direction V_i of the weights for every example i:
//   żᵢ += Σ_q (xᵢ·a_iq) b_iqᵀ / √r + β_i,   cᵢ = ∇fᵢ·Vᵢ in one pass,   w̄ = (1/B) Σ_i c_i Σ_q a_iq b_iqᵀ / √r = Lᵀ diag(c) R / B,   b̄ = Σ cᵢ βᵢ / B
// (mean over K directions). L = the a [K·r·B, in] and R = the b [K·r·B, out] are drawn again for the update, which multiplies them out itself: no
// tangent and no gradient is stored whole, and no pullback runs. An example of several positions (x [B, T, in]) has one V for all of them.
// Streams 7 and 8, indexed [B, in] and [B, out], direction k·r + q; a vector is β, stream 7 as [B, n], direction k. Parameters that dense
// layers alone read; a parameter read twice has one V. Of several losses, c_i is the sum over those that the parameter reaches.
// Outputs: the outputs of f, c [K] per loss (summed over examples), ḡ per entry of wrt.
#include <cmath>
#include <set>

#include "core/builder.h"
#include "core/differentiate.h"
#include "core/error.h"
#include "estimators/examples.h"

namespace pushforward {

namespace {

using Values = std::vector<ValueId>;

/** signs [directions, B, n] */
ValueId emitSigns(Builder& b, int64_t batch, int64_t n, int64_t parameter, int stream, int64_t directions) {
  return b.emit("random", {},
                {{"shape", std::vector<int64_t>{batch, n}},
                 {"distribution", std::string("rademacher")},
                 {"parameter", double(parameter)},
                 {"stream", double(stream)},
                 {"directions", double(directions)}});
}

/** x [B·P, in] → (1/√r) Σ_q (x·a_q) b_qᵀ, [K, B, P, out], a and b of their example. */
ValueId emitProduct(Builder& b, ValueId x, int64_t batch, int64_t out, int64_t parameter, int64_t k, int64_t rank) {
  const Shape shape = b.shape(x);
  const int64_t in = shape[shape.rank() - 1], positions = shape.product(0, shape.rank() - 1) / batch;
  ValueId left = b.reshape(emitSigns(b, batch, in, parameter, 7, k * rank), Shape{k * rank, batch, 1, in});
  ValueId right = b.reshape(emitSigns(b, batch, out, parameter, 8, k * rank), Shape{k * rank, batch, 1, out});
  ValueId along = b.emit("sum", {b.emit("mul", {b.reshape(x, Shape{1, batch, positions, in}), left})},
                         {{"axis", std::vector<int64_t>{3}}, {"keepDims", 1.0}});
  ValueId scaled = b.emit("mul", {along, b.scalar(1 / std::sqrt(double(rank)))});
  ValueId terms = b.reshape(b.emit("mul", {scaled, right}), Shape{k, rank, batch, positions, out});
  return b.emit("sum", {terms}, {{"axis", std::vector<int64_t>{1}}});
}

void jvpExampleNoise(JvpContext& context) {
  Builder& b = context.b;
  const Attributes& a = context.node.attributes;
  const ValueId z = context.x[0];
  const Shape shape = b.shape(z);
  const int64_t k = context.directions, batch = a.integer("batch", 1), out = shape[shape.rank() - 1];
  const Shape apart{k, batch, shape.product(0, shape.rank() - 1) / batch, out};
  ValueId noise = none;
  if (a.find("weight"))
    noise = emitProduct(b, context.x[2], batch, out, a.integer("weight", 0), k, a.integer("rank", 1));
  if (a.find("bias")) {
    ValueId bias = b.reshape(emitSigns(b, batch, out, a.integer("bias", 0), 7, k), Shape{k, batch, 1, out});
    noise = b.addOrNone(noise, bias);
  }
  context.y = {z};
  context.yDot = {b.addOrNone(context.xDot[0], b.reshape(b.broadcast(noise, apart), shape.prepend(k)))};
}

const Op& exampleNoise() {
  static const Op op = noiseOp("exampleNoise",
                               {{"batch", AttributeKind::number},
                                {"rank", AttributeKind::number},
                                {"weight", AttributeKind::number},
                                {"bias", AttributeKind::number}},
                               jvpExampleNoise);
  return op;
}

/** The noise of a layer; refuses all but a dense layer that reads parameters as they are. */
Noise noiseOf(const Examples& examples, const Node& layer, int64_t rank) {
  auto refuse = [&](const std::string& received) {
    fail(Code::INVALID_ARGUMENT, layer.op->name, "parameters that dense layers alone read, with perExample: true,",
         received);
  };
  const Attributes& a = layer.attributes;
  bool product = layer.op->name == "matmul" && !a.flag("transposeA") && !a.flag("transposeB") &&
                 examples.program.types[layer.inputs[1]].shape.rank() == 2;
  if (layer.op->name != "dense" && !product) refuse("one that this op reads");
  if (examples.batch.axes[layer.firstOutput].axis != 0) refuse("a layer whose examples are not its first axis");
  Noise noise{&exampleNoise(), {layer.inputs[0]}, {{"batch", double(examples.batch.size)}, {"rank", double(rank)}}};
  const char* const roles[] = {nullptr, "weight", "bias"};
  for (size_t i = 0; i < layer.inputs.size(); ++i) {
    ValueId input = layer.inputs[i];
    if (!examples.isWeight(input)) continue;
    if (!roles[i] || examples.program.producerOf(input).op->name != "input")
      refuse("one that is computed from a parameter");
    noise.attributes.set(roles[i], double(examples.parameter[input]));
  }
  return noise;
}

/** (1/K) Σ c V over examples and directions: of a matrix as a product that its update absorbs, of a vector as a sum. */
ValueId emitEstimate(Builder& b, const Shape& shape, int64_t parameter, ValueId shares, int64_t k, int64_t rank) {
  const int64_t batch = b.shape(shares)[1];
  ValueId mean = b.emit("mul", {shares, b.scalar(1 / double(k))});
  if (shape.rank() == 1) {
    ValueId terms =
        b.emit("mul", {b.reshape(mean, Shape{k, batch, 1}), emitSigns(b, batch, shape[0], parameter, 7, k)});
    return b.emit("sum", {terms}, {{"axis", std::vector<int64_t>{0, 1}}});
  }
  ValueId left = emitSigns(b, batch, shape[0], parameter, 7, k * rank);
  ValueId right = b.reshape(emitSigns(b, batch, shape[1], parameter, 8, k * rank), Shape{k, rank, batch, shape[1]});
  ValueId scaled = b.emit("mul", {b.reshape(mean, Shape{k, 1, batch, 1}), b.scalar(1 / std::sqrt(double(rank)))});
  ValueId weighted = b.reshape(b.emit("mul", {right, scaled}), Shape{k * rank * batch, shape[1]});
  return b.emit("matmul", {b.reshape(left, Shape{k * rank * batch, shape[0]}), weighted}, {{"transposeA", 1.0}});
}

Values expandExampleGradient(ExpandContext& context) {
  Builder& b = context.b;
  const Examples examples(context.node);
  const Attributes& a = context.node.attributes;
  const int64_t k = a.integer("directions", 1), rank = a.integer("rank", 1);
  std::vector<Noise> noise(examples.program.nodes.size());
  std::set<ValueId> read;
  for (size_t n = 0; n < noise.size(); ++n) {
    const Node& node = examples.program.nodes[n];
    if (!examples.isLayer(node)) continue;
    noise[n] = noiseOf(examples, node, rank);
    read.insert(node.inputs.begin(), node.inputs.end());
  }
  ExamplePass pass = emitExamplePass(context, examples, noise, {});

  Phase before = b.phase;
  b.phase = Phase::backward;  // so that the factors are drawn again and not kept
  const std::vector<int64_t>&wrt = *a.list("wrt"), &parameters = *a.list("parameters");
  const Values inputs = examples.program.inputValues();
  Values outputs = pass.outputs;
  outputs.insert(outputs.end(), pass.c.begin(), pass.c.end());
  for (size_t i = 0; i < wrt.size(); ++i) {
    const Shape shape = b.shape(context.x[static_cast<size_t>(wrt[i])]);
    const ValueId input = inputs[static_cast<size_t>(wrt[i])];
    const ValueId shares = read.count(input) ? sumOver(b, pass.shares, examples.reach.of(input)) : none;
    outputs.push_back(shares == none ? b.full(shape, 0) : emitEstimate(b, shape, parameters[i], shares, k, rank));
  }
  b.phase = before;
  return outputs;
}

const OpRegistration exampleGradient = [] {
  Op op;
  op.name = "exampleGradient";
  op.maxInputs = 1 << 16;
  op.attributes = {{"sampler", AttributeKind::text, true},    {"rank", AttributeKind::number},
                   {"directions", AttributeKind::number},     {"wrt", AttributeKind::list, true},
                   {"parameters", AttributeKind::list, true}, {"batched", AttributeKind::list, true},
                   {"losses", AttributeKind::number}};
  op.infer = [](const TypeContext& context) { return getOp("forwardGradient").infer(context); };
  op.expand = expandExampleGradient;
  return op;
}();

}  // namespace

}  // namespace pushforward
