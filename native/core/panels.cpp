#include "core/panels.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "core/op.h"
#include "core/rewrite.h"

namespace pushforward {

int64_t panelColumnsOf(const Type& type, int64_t panelColumns) {
  if (panelColumns == 0 || type.dtype != DType::real || type.shape.rank() != 2) return 0;
  int64_t n = type.shape[1];
  return n > 0 && n % (panelColumns / 2) == 0 ? std::min(panelColumns, n) : 0;
}

namespace {

/** An alias that changes no shape (stopGradient, recompute) shows a slot as it lies. */
bool showsAsItIs(const Program& program, const Node& node) {
  return node.op->alias >= 0 && program.types[node.firstOutput] == program.types[node.inputs[node.op->alias]];
}

}  // namespace

int64_t panelsOf(const Program& program, ValueId value) {
  while (value != none) {
    const Node& node = program.producerOf(value);
    if (!showsAsItIs(program, node)) return node.attributes.integer("panels.columns", 0);
    value = node.inputs[node.op->alias];
  }
  return 0;
}

Program layOutPanels(const Program& program, int64_t panelColumns) {
  if (panelColumns == 0) return program;
  Rewrite rewrite(program);
  std::map<std::pair<ValueId, Phase>, ValueId> copies;  // one a phase: none crosses as tape
  auto rowByRow = [&](ValueId slot) {
    auto found = copies.find({slot, rewrite.b.phase});
    if (found != copies.end()) return found->second;
    return copies[{slot, rewrite.b.phase}] = rewrite.b.emit(getOp("fromPanels"), {slot}, {})[0];
  };
  for (const Node& node : program.nodes) {
    if (node.op->name == "parameter") {
      Attributes attributes = node.attributes;
      int64_t columns = attributes.flag("weight") ? panelColumnsOf(program.types[node.firstOutput], panelColumns) : 0;
      if (columns > 0) attributes.set("panels.columns", double(columns));
      rewrite.b.phase = node.phase;
      rewrite.set(node, rewrite.b.emit(*node.op, {}, std::move(attributes)));
      continue;
    }
    rewrite.b.phase = node.phase;
    std::vector<ValueId> inputs = rewrite(node.inputs);
    const std::vector<int>& takes = node.op->takesPanels;
    for (size_t i = 0; i < inputs.size(); ++i)
      if (panelsOf(rewrite.b.program(), inputs[i]) > 0 && !showsAsItIs(program, node) &&
          std::find(takes.begin(), takes.end(), static_cast<int>(i)) == takes.end())
        inputs[i] = rowByRow(inputs[i]);
    rewrite.set(node, rewrite.b.clone(node, inputs));
  }
  for (ValueId output : program.outputs)
    if (panelsOf(rewrite.b.program(), rewrite[output]) > 0) rewrite.set(output, rowByRow(rewrite[output]));
  return rewrite.finish();
}

namespace {

/** f(offset row by row, offset in panels, count) for every run of neighbours. */
template <class F>
void forRuns(const Type& type, int64_t columns, const F& f) {
  int64_t rows = type.shape[0], n = type.shape[1];
  for (int64_t column = 0; column < n; column += columns) {
    int64_t wide = std::min(columns, n - column);
    for (int64_t i = 0; i < rows; ++i) f(i * n + column, column * rows + i * wide, wide);
  }
}

}  // namespace

void toPanels(const Type& type, int64_t columns, const void* rows, void* panels) {
  const float* from = static_cast<const float*>(rows);
  float* to = static_cast<float*>(panels);
  forRuns(type, columns, [&](int64_t row, int64_t panel, int64_t count) {
    std::memcpy(to + panel, from + row, static_cast<size_t>(count) * sizeof(float));
  });
}

void fromPanels(const Type& type, int64_t columns, const void* panels, void* rows) {
  const float* from = static_cast<const float*>(panels);
  float* to = static_cast<float*>(rows);
  forRuns(type, columns, [&](int64_t row, int64_t panel, int64_t count) {
    std::memcpy(to + row, from + panel, static_cast<size_t>(count) * sizeof(float));
  });
}

}  // namespace pushforward
