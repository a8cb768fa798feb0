// The plan as text: a row a step, with its operations, bytes and random words, then the totals.
#include <cstdio>

#include "core/plan.h"

namespace pushforward {

namespace {

std::string placeText(const Place& place) {
  switch (place.kind) {
    case Place::Kind::absent:
      return "-";
    case Place::Kind::fixed:
      return "store";
    case Place::Kind::workspace:
      return "w+" + std::to_string(place.offset);
    case Place::Kind::tape:
      return "t+" + std::to_string(place.offset);
    case Place::Kind::input:
      return "in" + std::to_string(place.offset);
  }
  return "";
}

}  // namespace

std::string Plan::describe() const {
  std::string text;
  char line[256];
  std::snprintf(line, sizeof line, "%-4s %-24s %12s %12s %12s %12s  %s\n", "step", "kernel", "operations", "bytes",
                "words", "scratch", "operands (w workspace, t tape, in input)");
  text += line;
  Cost total;
  size_t lastNode = program_.nodes.size();
  for (size_t s = 0; s < steps_.size(); ++s) {
    const Step& step = steps_[s];
    const Node& node = program_.nodes[step.node];
    PlanContext context{node, {}, {}};
    for (ValueId input : node.inputs) context.input.push_back(input == none ? nullptr : &program_.types[input]);
    for (uint32_t i = 0; i < node.outputs; ++i) context.output.push_back(&program_.types[node.firstOutput + i]);
    Cost cost = step.node != lastNode && node.op->cost ? node.op->cost(context) : Cost{};
    lastNode = step.node;
    total.operations += cost.operations;
    total.bytes += cost.bytes;
    total.words += cost.words;
    std::string operands;
    for (const Place& operand : step.operands) operands += (operands.empty() ? "" : " ") + placeText(operand);
    std::snprintf(line, sizeof line, "%-4zu %-24s %12.4g %12.4g %12.4g %12zu  %s\n", s, step.kernel->name,
                  cost.operations, cost.bytes, cost.words, step.scratchBytes, operands.c_str());
    text += line;
  }
  std::snprintf(line, sizeof line, "%-4s %-24s %12.4g %12.4g %12.4g\n", "", "total", total.operations, total.bytes,
                total.words);
  text += line;
  std::snprintf(line, sizeof line, "workspace %zu bytes, tape %zu, constants %zu\n", workspaceBytes_, tapeBytes_,
                constantBytes_);
  return text + line;
}

}  // namespace pushforward
