#include "core/op.h"

#include <algorithm>
#include <map>

#include "core/error.h"

namespace pushforward {

static std::map<std::string, Op>& registry() {
  static std::map<std::string, Op> ops;
  return ops;
}

OpRegistration::OpRegistration(Op op) {
  std::string name = op.name;
  registry().emplace(name, std::move(op));
}

const Op* findOp(const std::string& name) {
  auto found = registry().find(name);
  return found == registry().end() ? nullptr : &found->second;
}

const Op& getOp(const std::string& name) {
  const Op* op = findOp(name);
  if (!op) fail(Code::INVALID_ARGUMENT, "program", "the name of an op", "'" + name.substr(0, 60) + "'");
  return *op;
}

std::vector<const Op*> allOps() {
  std::vector<const Op*> ops;
  for (const auto& entry : registry()) ops.push_back(&entry.second);
  return ops;
}

std::string productKernel(const PlanContext& context, const std::string& name) {
  bool rounds = context.precision == Precision::bf16 && !context.node.attributes.flag("unrounded");
  return rounds ? name + "_bf16" : name;
}

std::vector<int> allOperands(const PlanContext& context) {
  std::vector<int> operands;
  int inputs = static_cast<int>(context.input.size());
  for (int i = 0; i < inputs; ++i) operands.push_back(context.input[i] ? i : -1);
  for (int i = 0; i < static_cast<int>(context.output.size()); ++i) operands.push_back(inputs + i);
  return operands;
}

}  // namespace pushforward
