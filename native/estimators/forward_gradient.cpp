// forwardGradient {sampler, rank, directions, wrt, parameters, losses?} holds one program f: x₁ … x_n → losses, extras.
// One pass: c_lk = ∇f_l·V_k for K directions V_k over the inputs in wrt (Baydin et al. 2022, arXiv 2202.08587, section 3.1), then
// ḡ = (1/K) Σ_k (Σ_l c_lk) V_k for each of them, over the losses f_l that it reaches. Outputs: the outputs of f, c [K] per loss, ḡ per entry of
// wrt.
//   gaussian, rademacher  V_k iid, stream 0
//   lowRank               V_k = (1/√r) Σ_q a_kq b_kqᵀ for tensors of rank ≥ 2, rademacher for the rest
//   sphere                V_k = s_k·gaussian, s_k = √(n / Σ v²) over all of wrt together: c is linear in V, so s_k scales c afterwards
// wrt[i] has the parameter ordinal parameters[i] (DESIGN section 4).
#include <cmath>

#include "core/builder.h"
#include "core/differentiate.h"
#include "core/error.h"
#include "core/op.h"
#include "estimators/losses.h"

namespace pushforward {

namespace {

using Values = std::vector<ValueId>;

struct Options {
  std::string sampler;
  int64_t rank, directions;
  std::vector<int64_t> wrt, parameters;
};

Options optionsOf(const Attributes& attributes) {
  Options options{attributes.text("sampler", ""), attributes.integer("rank", 1), attributes.integer("directions", 1),
                  *attributes.list("wrt"), *attributes.list("parameters")};
  const std::string& s = options.sampler;
  if (s != "gaussian" && s != "rademacher" && s != "lowRank" && s != "sphere")
    fail(Code::INVALID_ARGUMENT, "forwardGradient", "sampler gaussian, rademacher, lowRank or sphere",
         "'" + s.substr(0, 40) + "'");
  if (options.rank < 1 || options.rank > 64)
    fail(Code::INVALID_ARGUMENT, "forwardGradient", "a rank from 1 to 64", std::to_string(options.rank));
  if (options.directions < 1 || options.directions > 1024)
    fail(Code::INVALID_ARGUMENT, "forwardGradient", "1 to 1024 directions", std::to_string(options.directions));
  if (options.wrt.empty() || options.wrt.size() != options.parameters.size())
    fail(Code::INVALID_ARGUMENT, "forwardGradient", "one parameter ordinal for each of at least one input",
         std::to_string(options.wrt.size()) + " inputs and " + std::to_string(options.parameters.size()) + " ordinals");
  return options;
}

std::vector<Type> inferForwardGradient(const TypeContext& context) {
  if (context.bodies.size() != 1)
    fail(Code::INVALID_ARGUMENT, "forwardGradient", "one program", std::to_string(context.bodies.size()));
  const Program& f = *context.bodies[0];
  Options options = optionsOf(context.attributes);
  Values inputs = f.inputValues();
  if (context.input.size() != inputs.size())
    fail(Code::INVALID_ARGUMENT, "forwardGradient", std::to_string(inputs.size()) + " inputs",
         std::to_string(context.input.size()));
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!context.input[i] || !(*context.input[i] == f.types[inputs[i]]))
      fail(Code::SHAPE_MISMATCH, "forwardGradient", "input " + std::to_string(i) + " " + f.types[inputs[i]].text(),
           context.input[i] ? context.input[i]->text() : "nothing");
  const double losses = context.attributes.number("losses", 1);
  if (!(losses >= 1 && losses <= 65536 && losses == std::floor(losses)))
    fail(Code::INVALID_ARGUMENT, "forwardGradient", "1 to 65536 losses", std::to_string(losses));
  for (size_t l = 0; double(l) < losses; ++l) {
    const Type* loss = l < f.outputs.size() ? &f.types[f.outputs[l]] : nullptr;
    if (!loss || loss->shape.rank() != 0 || loss->dtype != DType::real)
      fail(Code::SHAPE_MISMATCH, "forwardGradient", "a real scalar loss", loss ? loss->text() : "none");
  }
  std::vector<Type> types;
  for (ValueId output : f.outputs) types.push_back(f.types[output]);
  for (int64_t l = 0; l < lossCount(context.attributes); ++l) types.push_back({DType::real, Shape{options.directions}});
  for (int64_t index : options.wrt) {
    if (index < 0 || index >= static_cast<int64_t>(inputs.size()) || f.types[inputs[index]].dtype != DType::real)
      fail(Code::INVALID_ARGUMENT, "forwardGradient", "wrt to list real inputs", std::to_string(index));
    types.push_back(f.types[inputs[index]]);
  }
  return types;
}

ValueId emitTangent(Builder& b, const Options& options, int64_t parameter, const Shape& shape) {
  bool factors = options.sampler == "lowRank" && shape.rank() >= 2;
  std::string distribution = options.sampler == "gaussian" || options.sampler == "sphere" ? "gaussian" : "rademacher";
  return b.emit("random", {},
                {{"shape", shape.dims()},
                 {"distribution", distribution},
                 {"parameter", double(parameter)},
                 {"directions", double(options.directions)},
                 {"rank", factors ? double(options.rank) : 0.0}});
}

/** Σ v_k², [K]. */
ValueId emitSquares(Builder& b, const Options& options, ValueId tangent) {
  int64_t k = options.directions;
  ValueId flat = b.reshape(b.emit("square", {tangent}), Shape{k, b.shape(tangent).count() / k});
  return b.emit("sum", {flat}, {{"axis", std::vector<int64_t>{1}}});
}

Values expandForwardGradient(ExpandContext& context) {
  Builder& b = context.b;
  const Program& f = *context.node.bodies[0];
  Options options = optionsOf(context.node.attributes);
  Values xDot(context.x.size(), none), tangents;
  ValueId squares = none;
  double n = 0;
  for (size_t i = 0; i < options.wrt.size(); ++i) {
    tangents.push_back(emitTangent(b, options, options.parameters[i], b.shape(context.x[options.wrt[i]])));
    xDot[options.wrt[i]] = tangents.back();
    n += double(b.shape(context.x[options.wrt[i]]).count());
    // At once, so that no two tangents live together: the kernels of the pass make their own.
    if (options.sampler == "sphere") squares = b.addOrNone(squares, emitSquares(b, options, tangents.back()));
  }
  JvpResult pass = emitJvp(b, f, context.x, xDot, options.directions, context.fuse);
  Values outputs = pass.outputs;
  ValueId scale = none;
  if (options.sampler == "sphere") scale = b.emit("sqrt", {b.emit("div", {b.scalar(n), squares})});
  const LossReach reach(f, static_cast<size_t>(lossCount(context.node.attributes)));
  Values coefficients;
  for (int64_t l = 0; l < lossCount(context.node.attributes); ++l) {
    ValueId along = pass.tangents[static_cast<size_t>(l)];
    ValueId c = along == none ? b.full(Shape{options.directions}, 0) : along;
    if (scale != none) c = b.emit("mul", {c, scale});
    coefficients.push_back(scale == none ? c : b.emit("mul", {c, scale}));
    outputs.push_back(c);
  }
  const Values inputs = f.inputValues();
  for (size_t i = 0; i < tangents.size(); ++i) {
    ValueId coefficient = sumOver(b, coefficients, reach.of(inputs[static_cast<size_t>(options.wrt[i])]));
    outputs.push_back(coefficient == none ? b.full(b.shape(tangents[i]).tail(1), 0)
                                          : b.emit("directionalGradient", {coefficient, tangents[i]}));
  }
  return outputs;
}

const OpRegistration forwardGradient = [] {
  Op op;
  op.name = "forwardGradient";
  op.maxInputs = 1 << 16;
  op.attributes = {{"sampler", AttributeKind::text, true},    {"rank", AttributeKind::number},
                   {"directions", AttributeKind::number},     {"wrt", AttributeKind::list, true},
                   {"parameters", AttributeKind::list, true}, {"losses", AttributeKind::number}};
  op.infer = inferForwardGradient;
  op.expand = expandForwardGradient;
  return op;
}();

// directionalGradient(c [K], v [K, …]) → (1/K) Σ_k c_k v_k
const OpRegistration directionalGradient = [] {
  Op op;
  op.name = "directionalGradient";
  op.minInputs = op.maxInputs = 2;
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    const Shape& v = context.input[1]->shape;
    if (v.rank() < 1 || !(context.input[0]->shape == Shape{v[0]}))
      fail(Code::SHAPE_MISMATCH, "directionalGradient", "c [K] and v [K, …]",
           context.input[0]->text() + " and " + v.text());
    return {{DType::real, v.tail(1)}};
  };
  op.lower = [](ExpandContext& context) -> Values {
    Builder& b = context.b;
    Shape v = b.shape(context.x[1]);
    std::vector<int64_t> column(static_cast<size_t>(v.rank()), 1);
    column[0] = v[0];
    ValueId terms = b.emit("mul", {b.reshape(context.x[0], Shape(column)), context.x[1]});
    ValueId total = b.emit("sum", {terms}, {{"axis", std::vector<int64_t>{0}}});
    return {b.emit("mul", {total, b.scalar(1.0 / double(v[0]))})};
  };
  return op;
}();

}  // namespace

}  // namespace pushforward
