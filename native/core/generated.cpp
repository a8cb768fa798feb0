#include "core/generated.h"

namespace pushforward {

std::vector<AttributeSpec> generatedAttributes(const std::string& name) {
  return {{name + ".kind", AttributeKind::number},
          {name + ".parameter", AttributeKind::number},
          {name + ".rank", AttributeKind::number}};
}

TangentOperand generatedOperand(const Attributes& attributes, const std::string& name) {
  TangentOperand operand{};
  operand.kind = static_cast<TangentKind>(attributes.integer(name + ".kind", static_cast<int>(TangentKind::zero)));
  operand.parameter = static_cast<uint32_t>(attributes.integer(name + ".parameter", 0));
  operand.rank = static_cast<int32_t>(attributes.integer(name + ".rank", 0));
  return operand;
}

bool isTangent(const Node& node) {
  const Attributes& a = node.attributes;
  std::string distribution = a.text("distribution", "gaussian");
  return node.op->name == "random" && a.integer("stream", 0) == 0 && a.integer("firstDirection", 0) == 0 &&
         a.number("fixedStep", -1) < 0 && a.number("scale", 1) == 1 && a.integer("directions", 0) > 0 &&
         (distribution == "gaussian" || distribution == "rademacher");
}

void absorbTangent(Attributes& attributes, const std::string& name, const Node& random) {
  const Attributes& law = random.attributes;
  int64_t rank = law.integer("rank", 0);
  TangentKind kind = rank > 0                                             ? TangentKind::lowRank
                     : law.text("distribution", "gaussian") == "gaussian" ? TangentKind::gaussian
                                                                          : TangentKind::rademacher;
  attributes.set(name + ".kind", double(static_cast<int>(kind)));
  attributes.set(name + ".parameter", law.number("parameter", 0));
  attributes.set(name + ".rank", double(rank));
}

}  // namespace pushforward
