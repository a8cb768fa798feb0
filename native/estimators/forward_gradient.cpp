// forwardGradient {sampler, rank, directions, wrt, parameters, project, clip} holds one program f: x₁ … x_n → loss, extras.
// One pass: c_k = ∇f·V_k for K directions V_k over the inputs in wrt (Baydin et al. 2022, arXiv 2202.08587, section 3.1), then
// ḡ = (1/K) Σ_k c_k V_k for each of them. Outputs: the outputs of f, c [K], ḡ per entry of wrt. With project or clip it is
// ḡ = (1/K) Σ_k c′_k V_k, c′ by `combine` (ops/combine.cpp), and c′ [K] is an output between c and ḡ.
// With controlVariate: β there is one more input s for each entry of wrt, of its shape, and c′_k = c_k − s·V_k, ḡ = (1/K) Σ_k c′_k V_k + s,
// without bias whatever s is. Further outputs, behind ḡ: (1 − β)(ḡ − s), by which s becomes β s + (1 − β) ḡ.
//   gaussian, rademacher  V_k iid, stream 0
//   lowRank               V_k = (1/√r) Σ_q a_kq b_kqᵀ for tensors of rank ≥ 2, rademacher for the rest
//   sphere                V_k = s_k·gaussian, s_k = √(n / Σ v²) over all of wrt together: c is linear in V, so s_k scales c afterwards
// wrt[i] has the parameter ordinal parameters[i] (DESIGN section 4).
#include "core/builder.h"
#include "core/differentiate.h"
#include "core/error.h"
#include "core/op.h"
#include "core/tangent.h"

namespace pushforward {

namespace {

using Values = std::vector<ValueId>;

struct Options {
  std::string sampler;
  int64_t rank, directions;
  std::vector<int64_t> wrt, parameters;
  bool project;
  double clip;
  double momentum;  // β, negative: no control variate
  bool varies() const { return momentum >= 0; }
  bool combines() const { return project || clip != 0 || varies(); }
};

Options optionsOf(const Attributes& attributes) {
  Options options{attributes.text("sampler", ""),      attributes.integer("rank", 1),
                  attributes.integer("directions", 1), *attributes.list("wrt"),
                  *attributes.list("parameters"),      attributes.flag("project"),
                  attributes.number("clip", 0),        attributes.number("controlVariate", -1)};
  const std::string& s = options.sampler;
  if (s != "gaussian" && s != "rademacher" && s != "lowRank" && s != "sphere")
    fail(Code::INVALID_ARGUMENT, "forwardGradient", "sampler gaussian, rademacher, lowRank or sphere",
         "'" + s.substr(0, 40) + "'");
  if (options.rank < 1 || options.rank > 64)
    fail(Code::INVALID_ARGUMENT, "forwardGradient", "a rank from 1 to 64", std::to_string(options.rank));
  if (options.directions < 1 || options.directions > 1024)
    fail(Code::INVALID_ARGUMENT, "forwardGradient", "1 to 1024 directions", std::to_string(options.directions));
  if (options.varies() && (options.momentum >= 1 || options.project || options.clip != 0))
    fail(Code::INVALID_ARGUMENT, "forwardGradient", "a control variate of momentum below 1, without project or clip",
         std::to_string(options.momentum));
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
  const size_t wanted = inputs.size() + (options.varies() ? options.wrt.size() : 0);
  if (context.input.size() != wanted)
    fail(Code::INVALID_ARGUMENT, "forwardGradient", std::to_string(wanted) + " inputs",
         std::to_string(context.input.size()));
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!context.input[i] || !(*context.input[i] == f.types[inputs[i]]))
      fail(Code::SHAPE_MISMATCH, "forwardGradient", "input " + std::to_string(i) + " " + f.types[inputs[i]].text(),
           context.input[i] ? context.input[i]->text() : "nothing");
  if (f.outputs.empty() || f.types[f.outputs[0]].shape.rank() != 0 || f.types[f.outputs[0]].dtype != DType::real)
    fail(Code::SHAPE_MISMATCH, "forwardGradient", "a real scalar loss",
         f.outputs.empty() ? "none" : f.types[f.outputs[0]].text());
  std::vector<Type> types;
  for (ValueId output : f.outputs) types.push_back(f.types[output]);
  for (int vectors = options.combines() ? 2 : 1; vectors > 0; --vectors)
    types.push_back({DType::real, Shape{options.directions}});
  for (int64_t index : options.wrt) {
    if (index < 0 || index >= static_cast<int64_t>(inputs.size()) || f.types[inputs[index]].dtype != DType::real)
      fail(Code::INVALID_ARGUMENT, "forwardGradient", "wrt to list real inputs", std::to_string(index));
    types.push_back(f.types[inputs[index]]);
  }
  if (!options.varies()) return types;
  for (size_t i = 0; i < options.wrt.size(); ++i) {
    const Type &type = f.types[inputs[options.wrt[i]]], *variate = context.input[inputs.size() + i];
    if (!variate || !(*variate == type))
      fail(Code::SHAPE_MISMATCH, "forwardGradient", "a control variate " + type.text(),
           variate ? variate->text() : "nothing");
    types.push_back(type);
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

/** c′ from the coefficients of the tangents as they are generated. */
ValueId emitCombine(Builder& b, const Options& options, const std::vector<Shape>& shapes, ValueId coefficient,
                    bool project, double clip) {
  std::vector<int64_t> kinds, ranks, rows, columns;
  for (const Shape& shape : shapes) {
    const bool gaussian = options.sampler == "gaussian" || options.sampler == "sphere";
    const bool factors = options.sampler == "lowRank" && shape.rank() >= 2;
    const TangentKind kind = factors    ? TangentKind::lowRank
                             : gaussian ? TangentKind::gaussian
                                        : TangentKind::rademacher;
    kinds.push_back(static_cast<int64_t>(kind));
    ranks.push_back(factors ? options.rank : 0);
    columns.push_back(shape.rank() > 0 ? shape[shape.rank() - 1] : 1);
    rows.push_back(shape.count() / columns.back());
  }
  return b.emit("combine", {coefficient},
                {{"project", double(project)},
                 {"clip", clip},
                 {"kinds", kinds},
                 {"ranks", ranks},
                 {"parameters", options.parameters},
                 {"rows", rows},
                 {"columns", columns}});
}

/** s·v_k over all parameters, [K]; none without a control variate. */
ValueId emitVariateProducts(Builder& b, const Options& options, const Values& variates, const Values& tangents) {
  ValueId total = none;
  for (size_t i = 0; i < variates.size(); ++i)
    total = b.addOrNone(total,
                        b.emit("tangentDot", {variates[i], tangents[i]}, {{"directions", double(options.directions)}}));
  return total;
}

/** c of the directions, and what their tangents are multiplied by: sphere's directions are `scale` times the generated ones. */
struct Coefficients {
  ValueId c, coefficient;
};
Coefficients emitCoefficients(Builder& b, const Options& options, const std::vector<Shape>& shapes, ValueId c,
                              ValueId scale, ValueId variate) {
  const ValueId scaled = scale == none ? c : b.emit("mul", {c, scale});
  if (options.project) return {scaled, emitCombine(b, options, shapes, c, true, options.clip)};  // no scale: it cancels
  ValueId coefficient = variate == none ? c : b.emit("sub", {c, variate});
  if (scale != none) coefficient = b.emit("mul", {b.emit("mul", {coefficient, scale}), scale});
  return {scaled, options.clip == 0 ? coefficient : emitCombine(b, options, shapes, coefficient, false, options.clip)};
}

Values expandForwardGradient(ExpandContext& context) {
  Builder& b = context.b;
  const Program& f = *context.node.bodies[0];
  Options options = optionsOf(context.node.attributes);
  const auto own = context.x.begin() + static_cast<std::ptrdiff_t>(f.inputValues().size());
  const Values x(context.x.begin(), own), variates(own, context.x.end());
  Values xDot(x.size(), none), tangents;
  std::vector<Shape> shapes;
  ValueId squares = none;
  double n = 0;
  for (size_t i = 0; i < options.wrt.size(); ++i) {
    shapes.push_back(b.shape(x[options.wrt[i]]));
    tangents.push_back(emitTangent(b, options, options.parameters[i], shapes.back()));
    xDot[options.wrt[i]] = tangents.back();
    n += double(shapes.back().count());
    // At once, so that no two tangents live together: the kernels of the pass make their own.
    if (options.sampler == "sphere") squares = b.addOrNone(squares, emitSquares(b, options, tangents.back()));
  }
  JvpResult pass = emitJvp(b, f, x, xDot, options.directions, context.fuse);
  Values outputs = pass.outputs;
  ValueId c = pass.tangents[0] == none ? b.full(Shape{options.directions}, 0) : pass.tangents[0];
  ValueId scale = squares == none ? none : b.emit("sqrt", {b.emit("div", {b.scalar(n), squares})});
  ValueId variate = emitVariateProducts(b, options, variates, tangents);
  Coefficients made = emitCoefficients(b, options, shapes, c, scale, variate);
  outputs.push_back(made.c);
  if (options.combines()) outputs.push_back(made.coefficient);
  for (size_t i = 0; i < tangents.size(); ++i) {
    ValueId estimate = b.emit("directionalGradient", {made.coefficient, tangents[i]});
    outputs.push_back(variates.empty() ? estimate : b.emit("add", {estimate, variates[i]}));
  }
  if (variates.empty()) return outputs;
  ValueId part = b.emit("mul", {made.coefficient, b.scalar(1 - options.momentum)});
  for (ValueId tangent : tangents) outputs.push_back(b.emit("directionalGradient", {part, tangent}));
  return outputs;
}

const OpRegistration forwardGradient = [] {
  Op op;
  op.name = "forwardGradient";
  op.maxInputs = 1 << 16;
  op.attributes = {{"sampler", AttributeKind::text, true},    {"rank", AttributeKind::number},
                   {"directions", AttributeKind::number},     {"wrt", AttributeKind::list, true},
                   {"parameters", AttributeKind::list, true}, {"project", AttributeKind::number},
                   {"clip", AttributeKind::number},           {"controlVariate", AttributeKind::number}};
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
