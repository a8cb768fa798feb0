// The plan as text: a row a step, with its operations, bytes and random words, and its floor: the longest of
// operations, bytes and words at the measured peaks; of a merge between steps, its share of a step; then the totals.
#include <algorithm>
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

/**
 * Microseconds. Of the bytes a step moves, those of at most what the second-level caches hold can have been there when it
 * began, and be there when it ends; the rest comes from, and goes, further.
 */
double floorOf(const Cost& cost, const Peaks& peaks) {
  auto at = [](double amount, double peak) { return peak > 0 ? 1e6 * amount / peak : 0; };
  const double nearBytes = std::min(cost.bytes, 2 * peaks.nearSize);
  const double bytes = at(nearBytes, peaks.nearBytes) + at(cost.bytes - nearBytes, peaks.farBytes);
  return std::max({at(cost.operations, peaks.operations), bytes, at(cost.words, peaks.words)});
}

}  // namespace

std::string Plan::describe(const Peaks& peaks) const {
  std::string text;
  char line[256];
  const char* head = "%-4s %-24s %11s %11s %11s %11s %9s  %s\n";
  const char* row = "%-4zu %-24s %11.4g %11.4g %11.4g %11zu %9.4g  %s\n";
  std::snprintf(line, sizeof line, head, "step", "kernel", "operations", "bytes", "words", "scratch", "floor/us",
                "operands");
  text += line;
  Cost total;
  double floors = 0;
  size_t lastNode = program_.nodes.size();
  for (size_t s = 0; s < steps_.size() + merges_.size(); ++s) {
    const bool merge = s >= steps_.size();
    const Step& step = merge ? merges_[s - steps_.size()] : steps_[s];
    const Node& node = program_.nodes[step.node];
    Cost cost = step.node != lastNode && node.op->cost ? node.op->cost(contextOf(node)) : Cost{};
    if (merge) cost = {cost.operations / keptSteps_, cost.bytes / keptSteps_, cost.words / keptSteps_};
    lastNode = step.node;
    total.operations += cost.operations;
    total.bytes += cost.bytes;
    total.words += cost.words;
    floors += floorOf(cost, peaks);
    std::string loopName = step.loop ? "loop of " + std::to_string(step.loop->trips) : "";
    std::string operands;
    for (const Place& operand : step.operands) operands += (operands.empty() ? "" : " ") + placeText(operand);
    std::snprintf(line, sizeof line, row, s, step.loop ? loopName.c_str() : step.kernel->name, cost.operations,
                  cost.bytes, cost.words, step.scratchBytes, floorOf(cost, peaks), operands.c_str());
    text += line;
  }
  std::snprintf(line, sizeof line, "%-4s %-24s %11.4g %11.4g %11.4g %11s %9.4g\n", "", "total", total.operations,
                total.bytes, total.words, "", floors);
  text += line;
  std::snprintf(line, sizeof line,
                "operands: w workspace, t tape, in input. workspace %zu bytes, tape %zu, constants %zu\n"
                "peaks a second: %.4g operations, %.4g words, %.4g bytes near, %.4g far (0: not measured)\n",
                workspaceBytes_, tapeBytes_, constantBytes_, peaks.operations, peaks.words, peaks.nearBytes,
                peaks.farBytes);
  return text + line;
}

}  // namespace pushforward
