#include "estimators/losses.h"

#include <algorithm>

#include "core/op.h"

namespace pushforward {

namespace {

int64_t lastSize(const Shape& shape) { return shape.rank() == 0 ? 1 : shape[shape.rank() - 1]; }

/** Channels of an input that those of the output come from: all of them, unless the op is known to keep channels apart. */
std::vector<bool> channelsBefore(const Node& node, const Shape& input, const Shape& output,
                                 const std::vector<bool>& channels) {
  std::vector<bool> before(static_cast<size_t>(lastSize(input)), false);
  const std::string& name = node.op->name;
  if (name == "slice" && input.rank() > 0) {
    int64_t start = node.attributes.list("start")->back();
    std::copy(channels.begin(), channels.end(), before.begin() + start);
    return before;
  }
  const bool pool = name == "maxPool2d" || name == "avgPool2d";
  if (pool || (node.op->row >= 0 && input == output)) return channels;
  before.assign(before.size(), true);
  return before;
}

std::vector<std::vector<bool>> reachOf(const Program& program, ValueId loss) {
  std::vector<std::vector<bool>> reach(program.types.size());
  reach[loss] = {true};
  for (size_t n = program.nodes.size(); n-- > 0;) {
    const Node& node = program.nodes[n];
    if (node.op->constantDerivative) continue;
    for (uint32_t i = 0; i < node.outputs; ++i) {
      const ValueId out = node.firstOutput + i;
      if (reach[out].empty()) continue;
      for (ValueId input : node.inputs) {
        if (input == none) continue;
        std::vector<bool> found =
            channelsBefore(node, program.types[input].shape, program.types[out].shape, reach[out]);
        std::vector<bool>& known = reach[input];
        known.resize(found.size(), false);
        for (size_t c = 0; c < found.size(); ++c) known[c] = known[c] || found[c];
      }
    }
  }
  return reach;
}

}  // namespace

LossReach::LossReach(const Program& program, size_t losses) : program_(program) {
  if (losses == 1) return;
  for (size_t l = 0; l < losses; ++l) channels_.push_back(reachOf(program, program.outputs[l]));
}

Losses LossReach::of(ValueId value) const {
  if (channels_.empty()) return {0};
  Losses found;
  for (size_t l = 0; l < channels_.size(); ++l)
    if (!channels_[l][value].empty()) found.push_back(l);
  return found;
}

std::vector<LossRun> LossReach::runs(ValueId value) const {
  const int64_t size = lastSize(program_.types[value].shape);
  if (channels_.empty()) return {{0, size, {0}}};
  std::vector<LossRun> runs;
  for (int64_t c = 0; c < size; ++c) {
    Losses here;
    for (size_t l = 0; l < channels_.size(); ++l)
      if (!channels_[l][value].empty() && channels_[l][value][static_cast<size_t>(c)]) here.push_back(l);
    if (runs.empty() || runs.back().losses != here) runs.push_back({c, 0, here});
    ++runs.back().size;
  }
  return runs;
}

int64_t lossCount(const Attributes& attributes) { return attributes.integer("losses", 1); }

ValueId sumOver(Builder& b, const std::vector<ValueId>& terms, const Losses& losses) {
  ValueId total = none;
  for (size_t l : losses) total = b.addOrNone(total, terms[l]);
  return total;
}

}  // namespace pushforward
