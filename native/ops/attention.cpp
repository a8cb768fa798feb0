// y = P v, P = softmax(s) along the keys, s = q kᵀ / √d + mask: q [..., n, d], k [..., m, d], v [..., m, e], mask [n, m] → y [..., n, e].
// causal: query i sees the keys j ≤ i + (m − n), so that the last query sees all of them: with m = n each sees itself and what came before,
// and with m > n the queries are the last n of m positions. s = −∞ elsewhere. (PyTorch's is_causal, written for m = n, keeps j ≤ i instead;
// this is its causal_lower_right.)
//   ṡ = (q̇ kᵀ + q k̇ᵀ) / √d,  Ṗ = P ⊙ (ṡ − Σ P ⊙ ṡ),  ẏ = Ṗ v + P v̇                   attention_pushforward: y and K tangents
//   P̄ = ȳ vᵀ,  s̄ = P ⊙ (P̄ − Σ P ⊙ P̄) / √d,  q̄ = s̄ k,  k̄ = s̄ᵀ q,  v̄ = Pᵀ ȳ           attention_pullback
// attention_pushforward(q, k, v, mask?, q̇?, k̇?, v̇?) → y, ẏ [K, ...]; attention_pullback(q, k, v, ȳ, mask?) → q̄, k̄, v̄. The kernels hold P
// for one tile of queries at a time and find it again in the pullback, so the tape has q, k and v, and nothing of n·m elements is stored;
// the lowering, which second derivatives and {fuse: false} use, does store it. The mask is data: it has no tangent.
#include "ops/attention.h"

#include <cmath>
#include <limits>

#include "core/builder.h"
#include "core/error.h"
#include "core/op.h"
#include "ops/axes.h"

namespace pushforward {

namespace {

using Values = std::vector<ValueId>;

struct Sizes {
  int64_t batch, n, m, d, e;
  bool causal;
};

Sizes sizesOf(const Shape& q, const Shape& k, const Shape& v, const Attributes& attributes) {
  int rank = q.rank();
  return {q.product(0, rank - 2), q[rank - 2], k[rank - 2], q[rank - 1], v[rank - 1], attributes.flag("causal")};
}

void expectShape(const Op& op, const char* what, const Type* type, const Shape& shape) {
  if (type && type->shape != shape)
    fail(Code::SHAPE_MISMATCH, op.name, std::string(what) + " " + shape.text(), type->shape.text());
}

/** Leading axes and the length of the first operand, the width of the second. */
Shape withLast(const Shape& shape, int64_t last) {
  std::vector<int64_t> dims = shape.dims();
  dims.back() = last;
  return Shape(dims);
}

/** Checks q, k and v, and the mask, which is input `mask`; gives the shape of y. */
Shape checkAttention(const TypeContext& context, size_t mask) {
  const std::string& name = context.op.name;
  for (const Type* type : context.input)
    if (type && type->dtype != DType::real) fail(Code::DTYPE_MISMATCH, name, "real tensors", type->text());
  const Shape &q = context.input[0]->shape, &k = context.input[1]->shape, &v = context.input[2]->shape;
  int rank = q.rank();
  bool fits =
      rank >= 2 && k.rank() == rank && v.rank() == rank && k[rank - 1] == q[rank - 1] && v[rank - 2] == k[rank - 2];
  for (int axis = 0; fits && axis < rank - 2; ++axis) fits = k[axis] == q[axis] && v[axis] == q[axis];
  if (!fits)
    fail(Code::SHAPE_MISMATCH, name, "q [..., n, d], k [..., m, d] and v [..., m, e] with the same leading axes",
         q.text() + ", " + k.text() + " and " + v.text());
  Sizes s = sizesOf(q, k, v, context.attributes);
  if (s.m < 1 || s.d < 1)
    fail(Code::SHAPE_MISMATCH, name, "at least one key and one feature", q.text() + " and " + k.text());
  if (s.causal && s.m < s.n)
    fail(Code::SHAPE_MISMATCH, name, "at least as many keys as queries with causal, or the first queries see none",
         std::to_string(s.n) + " queries and " + std::to_string(s.m) + " keys");
  if (context.input.size() > mask) expectShape(context.op, "a mask", context.input[mask], Shape{s.n, s.m});
  return withLast(q, s.e);
}

// ---- lowering ----------------------------------------------------------------------------------------------------------

ValueId product(Builder& b, ValueId x, ValueId y, bool transposeX, bool transposeY) {
  return b.emit("matmul", {x, y},
                {{"transposeA", double(transposeX)}, {"transposeB", double(transposeY)}, {"unrounded", 1.0}});
}

/** 0, 1, … + first as a tensor. */
ValueId countedFrom(Builder& b, int64_t first, const Shape& shape) {
  std::vector<double> data(static_cast<size_t>(shape.count()));
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<double>(first + static_cast<int64_t>(i));
  return b.emit("constant", {}, {{"shape", shape.dims()}, {"dtype", std::string("real")}, {"data", data}});
}

/** What the lowerings of the three ops share. */
class Lowered {
 public:
  Lowered(Builder& b, const Values& x, ValueId mask, const Attributes& attributes)
      : b_(b), s_(sizesOf(b.shape(x[0]), b.shape(x[1]), b.shape(x[2]), attributes)) {
    ValueId scores = scaled(product(b, x[0], x[1], false, true));
    if (mask != none) scores = b.emit("add", {scores, mask});
    if (s_.causal)
      seen_ = b.emit("lessEqual", {countedFrom(b, 0, Shape{1, s_.m}), countedFrom(b, s_.m - s_.n, Shape{s_.n, 1})});
    p_ = b.emit("softmax", {masked(scores, -std::numeric_limits<double>::infinity())});
  }

  ValueId p() const { return p_; }
  ValueId scaled(ValueId x) { return b_.emit("mul", {x, b_.scalar(1 / std::sqrt(static_cast<double>(s_.d)))}); }
  /** P ⊙ (z − Σ P ⊙ z): the derivative of the softmax, its own adjoint. */
  ValueId project(ValueId z) {
    z = masked(z, 0);
    ValueId along = sumKeepingDims(b_, b_.emit("mul", {p_, z}), {b_.shape(z).rank() - 1});
    return b_.emit("mul", {p_, b_.emit("sub", {z, along})});
  }

 private:
  ValueId masked(ValueId x, double elsewhere) {
    return seen_ == none ? x : b_.emit("where", {seen_, x, b_.scalar(elsewhere)});
  }

  Builder& b_;
  Sizes s_;
  ValueId seen_ = none, p_ = none;
};

ValueId optional(const Values& x, size_t i) { return i < x.size() ? x[i] : none; }

Values lowerAttention(ExpandContext& context) {
  Lowered lowered(context.b, context.x, optional(context.x, 3), context.node.attributes);
  return {product(context.b, lowered.p(), context.x[2], false, false)};
}

Values lowerPushforward(ExpandContext& context) {
  Builder& b = context.b;
  const Values& x = context.x;
  Lowered lowered(b, x, optional(x, 3), context.node.attributes);
  ValueId qDot = optional(x, 4), kDot = optional(x, 5), vDot = optional(x, 6);
  ValueId y = product(b, lowered.p(), x[2], false, false);
  ValueId sDot = qDot == none ? none : product(b, qDot, x[1], false, true);
  if (kDot != none) sDot = b.addOrNone(sDot, product(b, x[0], kDot, false, true));
  ValueId yDot = sDot == none ? none : product(b, lowered.project(lowered.scaled(sDot)), x[2], false, false);
  if (vDot != none) yDot = b.addOrNone(yDot, product(b, lowered.p(), vDot, false, false));
  Shape tangent = b.shape(y).prepend(context.node.attributes.integer("directions", 1));
  return {y, yDot == none ? b.full(tangent, 0) : yDot};
}

Values lowerPullback(ExpandContext& context) {
  Builder& b = context.b;
  const Values& x = context.x;
  Lowered lowered(b, x, optional(x, 4), context.node.attributes);
  ValueId sBar = lowered.scaled(lowered.project(product(b, x[3], x[2], false, true)));
  return {product(b, sBar, x[1], false, false), product(b, sBar, x[0], true, false),
          product(b, lowered.p(), x[3], true, false)};
}

// ---- rules -------------------------------------------------------------------------------------------------------------

[[noreturn]] void maskHasTangent() {
  fail(Code::NOT_DIFFERENTIABLE, "attention", "a mask that is data (stopGradient makes it so)",
       "one that depends on what is differentiated");
}

Attributes causalOf(const Node& node) { return {{"causal", node.attributes.number("causal", 0)}}; }

void jvpAttention(JvpContext& context) {
  if (optional(context.xDot, 3) != none) maskHasTangent();
  const Values &x = context.x, &dot = context.xDot;
  Attributes attributes = causalOf(context.node);
  attributes.set("directions", static_cast<double>(context.directions));
  Values out = context.b.emit(getOp("attention_pushforward"),
                              {x[0], x[1], x[2], optional(x, 3), dot[0], dot[1], dot[2]}, attributes);
  context.y = {out[0]};
  context.yDot = {out[1]};
}

void vjpAttention(VjpContext& context) {
  if (context.wanted.size() > 3 && context.wanted[3]) maskHasTangent();
  const Values& x = context.x;
  Values bars = context.b.emit(getOp("attention_pullback"), {x[0], x[1], x[2], context.yBar[0], optional(x, 3)},
                               causalOf(context.node));
  for (size_t i = 0; i < 3; ++i)
    if (context.wanted[i]) context.xBar[i] = bars[i];
}

// ---- kernels -----------------------------------------------------------------------------------------------------------

AttentionParameters parametersOf(const PlanContext& context) {
  const Attributes& attributes = context.node.attributes;
  Sizes s = sizesOf(context.input[0]->shape, context.input[1]->shape, context.input[2]->shape, attributes);
  return {s.batch,
          s.n,
          s.m,
          s.d,
          s.e,
          s.causal ? s.m - s.n : s.m,
          static_cast<int32_t>(attributes.integer("directions", 1)),
          1 / std::sqrt(static_cast<double>(s.d))};
}

/** Pairs of query and key that see each other. */
double pairsOf(const AttentionParameters& p) {
  double n = static_cast<double>(p.n), m = static_cast<double>(p.m);
  return static_cast<double>(p.batch) * (p.offset < p.m ? n * (m - (n - 1) / 2) : n * m);
}

/** `products` products of `pairs` rows of d, and as many of e; a softmax costs about 20 operations a pair. */
Cost costOf(const PlanContext& context, double productsOfD, double productsOfE) {
  AttentionParameters p = parametersOf(context);
  Cost cost = streamingCost(context, 0);
  cost.operations =
      pairsOf(p) * (2 * productsOfD * static_cast<double>(p.d) + 2 * productsOfE * static_cast<double>(p.e) + 20);
  return cost;
}

/** The kernel's operands: all that the op may have, -1 for what it does not. */
std::vector<KernelPlan> kernelOf(const PlanContext& context, const char* kernel, int maxInputs) {
  int inputs = static_cast<int>(context.input.size()), outputs = static_cast<int>(context.output.size());
  std::vector<int> operands;
  for (int i = 0; i < maxInputs; ++i) operands.push_back(i < inputs && context.input[i] ? i : -1);
  for (int i = 0; i < outputs; ++i) operands.push_back(inputs + i);
  return {{kernel, parameterBlock(parametersOf(context)), operands}};
}

const OpRegistration attention{[] {
  Op op;
  op.name = "attention";
  op.minInputs = 3;
  op.maxInputs = 4;
  op.attributes = {{"causal", AttributeKind::number}};
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    return {{DType::real, checkAttention(context, 3)}};
  };
  op.jvp = jvpAttention;
  op.vjp = vjpAttention;
  op.lower = lowerAttention;
  op.kernels = [](const PlanContext& context) { return kernelOf(context, "attention_primal", 4); };
  op.cost = [](const PlanContext& context) { return costOf(context, 1, 1); };
  return op;
}()};

const OpRegistration attentionPushforward{[] {
  Op op;
  op.name = "attention_pushforward";
  op.minInputs = 3;
  op.maxInputs = 7;
  op.attributes = {{"causal", AttributeKind::number}, {"directions", AttributeKind::number}};
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    Shape y = checkAttention(context, 3);
    int64_t k = context.attributes.integer("directions", 1);
    if (k < 1 || k > 1024) fail(Code::INVALID_ARGUMENT, context.op.name, "1 to 1024 directions", std::to_string(k));
    static const char* const names[] = {"q tangent", "k tangent", "v tangent"};
    for (size_t i = 0; i < 3 && i + 4 < context.input.size(); ++i)
      expectShape(context.op, names[i], context.input[i + 4], context.input[i]->shape.prepend(k));
    return {{DType::real, y}, {DType::real, y.prepend(k)}};
  };
  op.lower = lowerPushforward;
  op.kernels = [](const PlanContext& context) { return kernelOf(context, "attention_pushforward", 7); };
  op.cost = [](const PlanContext& context) {
    auto has = [&](size_t i) { return context.input.size() > i && context.input[i] ? 1.0 : 0.0; };
    double k = static_cast<double>(context.node.attributes.integer("directions", 1)), scores = has(4) + has(5);
    return costOf(context, 1 + k * scores, 1 + k * ((scores > 0 ? 1 : 0) + has(6)));
  };
  return op;
}()};

const OpRegistration attentionPullback{[] {
  Op op;
  op.name = "attention_pullback";
  op.minInputs = 4;
  op.maxInputs = 5;
  op.attributes = {{"causal", AttributeKind::number}};
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    expectShape(context.op, "a cotangent", context.input[3], checkAttention(context, 4));
    return {*context.input[0], *context.input[1], *context.input[2]};
  };
  op.lower = lowerPullback;
  op.kernels = [](const PlanContext& context) { return kernelOf(context, "attention_pullback", 5); };
  op.cost = [](const PlanContext& context) { return costOf(context, 3, 2); };
  return op;
}()};

}  // namespace

}  // namespace pushforward
