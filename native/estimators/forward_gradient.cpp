// forwardGradient {sampler, rank, directions, wrt, parameters, losses?, project, clip} holds one program f: x₁ … x_n → losses, extras.
// One pass: c_lk = ∇f_l·V_k for K directions V_k over the inputs in wrt (Baydin et al. 2022, arXiv 2202.08587, section 3.1), then
// ḡ = (1/K) Σ_k (Σ_l c_lk) V_k for each of them, over the losses f_l that it reaches. Outputs: the outputs of f, c [K] per loss, ḡ per entry of
// wrt. Of one loss there are more: with project or clip ḡ = (1/K) Σ_k c′_k V_k, c′ by `combine` (ops/combine.cpp), and c′ [K] is an output between
// c and ḡ. With controlVariate: β there is one more input s for each entry of wrt, of its shape, and c′_k = c_k − s·V_k,
// ḡ = (1/K) Σ_k c′_k V_k + s, without bias whatever s is. Further outputs, behind ḡ: (1 − β)(ḡ − s), by which s becomes β s + (1 − β) ḡ.
//   gaussian, rademacher  V_k iid, stream 0
//   lowRank               V_k = (1/√r) Σ_q a_kq b_kqᵀ for tensors of rank ≥ 2, rademacher for the rest
//   sphere                V_k = s_k·gaussian, s_k = √(n / Σ v²) over all of wrt together: c is linear in V, so s_k scales c afterwards
#include "core/builder.h"
#include "core/differentiate.h"
#include "core/error.h"
#include "core/op.h"
#include "core/tangent.h"
#include "estimators/directions.h"
#include "estimators/losses.h"

namespace pushforward {

namespace {

using Values = std::vector<ValueId>;

struct Options : Directions {
  bool project;
  double clip;
  double momentum;  // β, negative: no control variate
  bool varies() const { return momentum >= 0; }
  bool combines() const { return project || clip != 0 || varies(); }
};

Options optionsOf(const Attributes& attributes) {
  Options options{directionsOf("forwardGradient", attributes), attributes.flag("project"), attributes.number("clip", 0),
                  attributes.number("controlVariate", -1)};
  if (options.varies() && (options.momentum >= 1 || options.project || options.clip != 0))
    fail(Code::INVALID_ARGUMENT, "forwardGradient", "a control variate of momentum below 1, without project or clip",
         std::to_string(options.momentum));
  return options;
}

std::vector<Type> inferForwardGradient(const TypeContext& context) {
  std::vector<Type> types = inferLossProgram(context);
  const Options options = optionsOf(context.attributes);
  const size_t inputs = context.bodies[0]->inputValues().size();
  const size_t wanted = inputs + (options.varies() ? options.wrt.size() : 0);
  if (context.input.size() != wanted)
    fail(Code::INVALID_ARGUMENT, "forwardGradient", std::to_string(wanted) + " inputs",
         std::to_string(context.input.size()));
  const int64_t losses = lossCount(context.attributes);
  if (losses > 1 && options.combines())
    fail(Code::INVALID_ARGUMENT, "forwardGradient",
         "neither a projection nor clip nor a control variate with local losses", std::to_string(losses) + " losses");
  for (int64_t vectors = losses + (options.combines() ? 1 : 0); vectors > 0; --vectors)
    types.push_back({DType::real, Shape{options.count}});
  const std::vector<Type> gradients = inferWrt(context, options);
  types.insert(types.end(), gradients.begin(), gradients.end());
  if (!options.varies()) return types;
  for (size_t i = 0; i < gradients.size(); ++i) {
    const Type* variate = context.input[inputs + i];
    if (!variate || !(*variate == gradients[i]))
      fail(Code::SHAPE_MISMATCH, "forwardGradient", "a control variate " + gradients[i].text(),
           variate ? variate->text() : "nothing");
  }
  types.insert(types.end(), gradients.begin(), gradients.end());
  return types;
}

/** Σ v_k², [K]. */
ValueId emitSquares(Builder& b, const Options& options, ValueId tangent) {
  int64_t k = options.count;
  ValueId flat = b.reshape(b.emit("square", {tangent}), Shape{k, b.shape(tangent).count() / k});
  return b.emit("sum", {flat}, {{"axis", std::vector<int64_t>{1}}});
}

/** c′ from the coefficients of the tangents as they are generated. */
ValueId emitCombine(Builder& b, const Options& options, const std::vector<Shape>& shapes, ValueId coefficient,
                    bool project, double clip) {
  std::vector<int64_t> kinds, ranks, rows, columns;
  for (const Shape& shape : shapes) {
    const TangentKind kind = options.rankOf(shape) > 0 ? TangentKind::lowRank
                             : options.isGaussian()    ? TangentKind::gaussian
                                                       : TangentKind::rademacher;
    kinds.push_back(static_cast<int64_t>(kind));
    ranks.push_back(options.rankOf(shape));
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
    total =
        b.addOrNone(total, b.emit("tangentDot", {variates[i], tangents[i]}, {{"directions", double(options.count)}}));
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
    tangents.push_back(emitTangents(b, options, i, shapes.back()));
    xDot[options.wrt[i]] = tangents.back();
    n += double(shapes.back().count());
    // At once, so that no two tangents live together: the kernels of the pass make their own.
    if (options.sampler == "sphere") squares = b.addOrNone(squares, emitSquares(b, options, tangents.back()));
  }
  JvpResult pass = emitJvp(b, f, x, xDot, options.count, context.fuse);
  Values outputs = pass.outputs;
  ValueId scale = squares == none ? none : b.emit("sqrt", {b.emit("div", {b.scalar(n), squares})});
  ValueId variate = emitVariateProducts(b, options, variates, tangents);
  const int64_t losses = lossCount(context.node.attributes);
  Values coefficients;
  for (int64_t l = 0; l < losses; ++l) {
    const ValueId along = pass.tangents[static_cast<size_t>(l)];
    const ValueId c = along == none ? b.full(Shape{options.count}, 0) : along;
    const Coefficients made = emitCoefficients(b, options, shapes, c, scale, variate);
    outputs.push_back(made.c);
    coefficients.push_back(made.coefficient);
  }
  if (options.combines()) outputs.push_back(coefficients[0]);
  const LossReach reach(f, static_cast<size_t>(losses));
  for (size_t i = 0; i < tangents.size(); ++i) {
    ValueId coefficient = sumOver(b, coefficients, reach.of(f.inputValues()[static_cast<size_t>(options.wrt[i])]));
    ValueId estimate =
        coefficient == none ? b.full(shapes[i], 0) : b.emit("directionalGradient", {coefficient, tangents[i]});
    outputs.push_back(variates.empty() ? estimate : b.emit("add", {estimate, variates[i]}));
  }
  if (variates.empty()) return outputs;
  ValueId part = b.emit("mul", {coefficients[0], b.scalar(1 - options.momentum)});
  for (ValueId tangent : tangents) outputs.push_back(b.emit("directionalGradient", {part, tangent}));
  return outputs;
}

const OpRegistration forwardGradient = [] {
  Op op;
  op.name = "forwardGradient";
  op.maxInputs = 1 << 16;
  op.attributes = directionAttributes();
  for (const char* name : {"project", "clip", "controlVariate"}) op.attributes.push_back({name, AttributeKind::number});
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
