// combine(c [K]) → c′ [K]: the coefficients of the estimate ĝ = (1/K) Σ_k c′_k v_k, from c_k = ∇f·v_k. U = [v_1 … v_K] are the tangents of
// all parameters together, G = UᵀU their Gram matrix, in float64; every law is given as attributes, one entry for each parameter.
//   project  ĝ = U G⁻¹ c, the projection of ∇f on the span of U (arXiv 2410.17764): c′ = K G⁻¹ c. NaN where G is singular.
//            A scale of the directions cancels: U → U S, c → S c leave U G⁻¹ c as it is.
//   clip     c′ ← c′ · min(1, clip / ‖ĝ‖), ‖ĝ‖² = c′ᵀ G c′ / K², so that no gradient is stored for its norm.
// The tangents are generated again, a panel of each direction at a time. They are the unrounded ones, also where products round theirs.
#include "ops/combine.h"

#include <cmath>

#include "core/builder.h"
#include "core/error.h"
#include "core/op.h"

namespace pushforward {

namespace {

using List = std::vector<int64_t>;

const char* const listNames[] = {"kinds", "ranks", "parameters", "rows", "columns"};

bool isDrawn(int64_t kind, int64_t rank) {
  if (kind == static_cast<int64_t>(TangentKind::lowRank)) return rank >= 1 && rank <= 64;
  return (kind == static_cast<int64_t>(TangentKind::gaussian) ||
          kind == static_cast<int64_t>(TangentKind::rademacher)) &&
         rank == 0;
}

std::vector<Type> inferCombine(const TypeContext& context) {
  const Attributes& a = context.attributes;
  const Type& c = *context.input[0];
  if (c.dtype != DType::real || c.shape.rank() != 1 || c.shape[0] < 1 || c.shape[0] > 1024)
    fail(Code::SHAPE_MISMATCH, "combine", "real coefficients [K], K from 1 to 1024", c.text());
  const size_t count = a.list(listNames[0])->size();
  for (const char* name : listNames)
    if (a.list(name)->size() != count || count == 0)
      fail(Code::INVALID_ARGUMENT, "combine", "lists of one entry for each of at least one parameter", name);
  const List &kinds = *a.list("kinds"), &ranks = *a.list("ranks"), &parameters = *a.list("parameters"),
             &rows = *a.list("rows"), &columns = *a.list("columns");
  double n = 0;
  for (size_t i = 0; i < count; ++i) {
    if (!isDrawn(kinds[i], ranks[i]))
      fail(Code::INVALID_ARGUMENT, "combine", "the law of a generated tangent",
           "kind " + std::to_string(kinds[i]) + " of rank " + std::to_string(ranks[i]));
    if (parameters[i] < 0 || parameters[i] > 4294967295)
      fail(Code::INVALID_ARGUMENT, "combine", "an ordinal below 2^32", std::to_string(parameters[i]));
    if (rows[i] < 1 || columns[i] < 1 || double(rows[i]) * double(columns[i]) >= 2147483648.0)
      fail(Code::SHAPE_MISMATCH, "combine", "tangents of 1 to 2^31 - 1 elements",
           std::to_string(rows[i]) + " rows of " + std::to_string(columns[i]));
    n += double(rows[i]) * double(columns[i]);
  }
  const double clip = a.number("clip", 0);
  if (!(clip >= 0) || !std::isfinite(clip))
    fail(Code::INVALID_ARGUMENT, "combine", "a finite clip of at least 0", std::to_string(clip));
  if (a.flag("project") && double(c.shape[0]) > n)
    fail(Code::INVALID_ARGUMENT, "combine",
         "at most as many directions as there are parameters (" + std::to_string(int64_t(n)) +
             ") with combine: 'projection', since more are never independent",
         std::to_string(c.shape[0]) + " directions");
  return {c};
}

std::vector<std::byte> blockOf(const PlanContext& context) {
  const Attributes& a = context.node.attributes;
  const List& rows = *a.list("rows");
  CombineParameters p{static_cast<int32_t>(context.input[0]->shape[0]), a.flag("project"), a.number("clip", 0),
                      static_cast<int64_t>(rows.size())};
  std::vector<std::byte> block = parameterBlock(p);
  for (size_t i = 0; i < rows.size(); ++i) {
    DrawnTangent tangent{};
    tangent.law.kind = static_cast<TangentKind>((*a.list("kinds"))[i]);
    tangent.law.rank = static_cast<int32_t>((*a.list("ranks"))[i]);
    tangent.law.parameter = static_cast<uint32_t>((*a.list("parameters"))[i]);
    tangent.rows = rows[i];
    tangent.n = (*a.list("columns"))[i];
    const std::vector<std::byte> bytes = parameterBlock(tangent);
    block.insert(block.end(), bytes.begin(), bytes.end());
  }
  return block;
}

Cost costOf(const PlanContext& context) {
  const Attributes& a = context.node.attributes;
  const double k = double(context.input[0]->shape[0]);
  Cost cost{k * k * k / 3, 8 * k, 0};
  for (size_t i = 0; i < a.list("rows")->size(); ++i) {
    const double rows = double((*a.list("rows"))[i]), n = double((*a.list("columns"))[i]);
    const double rank = double((*a.list("ranks"))[i]);
    const bool gaussian = (*a.list("kinds"))[i] == static_cast<int64_t>(TangentKind::gaussian);
    const double words = rank > 0 ? k * rank * (rows + n) / 32 : gaussian ? k * rows * n : k * rows * n / 32;
    cost.words += words;
    cost.operations += (k + 1) * (rank > 0 ? rank : 1) * words;  // K(K + 1)/2 products of two numbers or words
  }
  return cost;
}

const OpRegistration combine = [] {
  Op op;
  op.name = "combine";
  op.minInputs = op.maxInputs = 1;
  op.attributes = {{"project", AttributeKind::number}, {"clip", AttributeKind::number}};
  for (const char* name : listNames) op.attributes.push_back({name, AttributeKind::list, true});
  op.infer = inferCombine;
  op.kernels = [](const PlanContext& context) -> std::vector<KernelPlan> {
    return {{"combine", blockOf(context), allOperands(context)}};
  };
  op.cost = costOf;
  return op;
}();

}  // namespace

}  // namespace pushforward
