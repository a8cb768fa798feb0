// random {shape, distribution, parameter, stream, directions, firstDirection, rank, fixedStep, scale} → [shape], or [K, shape] for
// K = directions ≥ 1: the numbers of DESIGN section 4, drawn from the run's key and step. No inputs, no tangent.
#include "ops/random.h"

#include <map>

#include "core/builder.h"
#include "core/error.h"
#include "core/op.h"

namespace pushforward {

namespace {

const std::map<std::string, Distribution>& distributions() {
  static const std::map<std::string, Distribution> table = {{"uniform", Distribution::uniform},
                                                            {"gaussian", Distribution::gaussian},
                                                            {"rademacher", Distribution::rademacher}};
  return table;
}

void within(const Attributes& attributes, const char* name, double fallback, double low, double high) {
  double value = attributes.number(name, fallback);
  if (!(value >= low && value <= high) || value != double(int64_t(value)))
    fail(
        Code::INVALID_ARGUMENT, "random",
        std::string(name) + " an integer from " + std::to_string(int64_t(low)) + " to " + std::to_string(int64_t(high)),
        std::to_string(value));
}

std::vector<Type> inferRandom(const TypeContext& context) {
  const Attributes& a = context.attributes;
  std::string distribution = a.text("distribution", "gaussian");
  if (!distributions().count(distribution))
    fail(Code::INVALID_ARGUMENT, "random", "distribution uniform, gaussian or rademacher",
         "'" + distribution.substr(0, 40) + "'");
  within(a, "parameter", 0, 0, 4294967295.0);
  within(a, "stream", 0, 0, 31);
  within(a, "directions", 0, 0, 1024);
  within(a, "firstDirection", 0, 0, (1 << 24) - 1);
  within(a, "rank", 0, 0, 64);
  within(a, "fixedStep", -1, -1, 4294967295.0);
  Shape shape(*a.list("shape"));
  if (a.integer("rank", 0) > 0 && shape.rank() < 2)
    fail(Code::SHAPE_MISMATCH, "random", "at least two axes for a low-rank tangent", shape.text());
  int64_t directions = a.integer("directions", 0);
  return {{DType::real, directions ? shape.prepend(directions) : shape}};
}

RandomParameters parametersOf(const PlanContext& context) {
  const Attributes& a = context.node.attributes;
  Shape shape(*a.list("shape"));
  RandomParameters p{};
  p.n = shape.rank() ? shape[shape.rank() - 1] : 1;
  p.rows = shape.rank() > 1 ? shape.product(0, shape.rank() - 1) : 1;
  p.directions = static_cast<int32_t>(std::max<int64_t>(1, a.integer("directions", 0)));
  p.firstDirection = static_cast<int32_t>(a.integer("firstDirection", 0));
  p.distribution = distributions().at(a.text("distribution", "gaussian"));
  p.parameter = static_cast<uint32_t>(a.integer("parameter", 0));
  p.stream = static_cast<uint32_t>(a.integer("stream", 0));
  p.rank = static_cast<int32_t>(a.integer("rank", 0));
  p.fixedStep = a.integer("fixedStep", -1);
  p.scale = a.number("scale", 1);
  p.panelColumns = context.made.columns;
  return p;
}

const OpRegistration random = [] {
  Op op;
  op.name = "random";
  op.constantDerivative = true;
  op.makesPanels = true;
  op.attributes = {{"shape", AttributeKind::list, true},  {"distribution", AttributeKind::text},
                   {"parameter", AttributeKind::number},  {"stream", AttributeKind::number},
                   {"directions", AttributeKind::number}, {"firstDirection", AttributeKind::number},
                   {"rank", AttributeKind::number},       {"fixedStep", AttributeKind::number},
                   {"scale", AttributeKind::number}};
  op.infer = inferRandom;
  op.kernels = [](const PlanContext& context) -> std::vector<KernelPlan> {
    return {{"random", parameterBlock(parametersOf(context)), allOperands(context)}};
  };
  op.cost = [](const PlanContext& context) {
    double n = double(context.output[0]->shape.count());
    return Cost{0, 4 * n, context.node.attributes.text("distribution", "gaussian") == "rademacher" ? n / 32 : n};
  };
  return op;
}();

}  // namespace

}  // namespace pushforward
