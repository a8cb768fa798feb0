#include "core/panels.h"

#include <algorithm>
#include <cstring>

#include "core/op.h"
#include "core/rewrite.h"

namespace pushforward {

namespace {

/** An alias that changes no shape (stopGradient, recompute) shows a slot as it lies. */
bool showsAsItIs(const Program& program, const Node& node) {
  return node.op->alias >= 0 && program.types[node.firstOutput] == program.types[node.inputs[node.op->alias]];
}

/** The last panel may be half as wide as the others; a pair of planes has two rows. */
SlotLayout layoutFor(const Node& slot, const Type& type, int64_t panelColumns, bool planes) {
  if (!slot.attributes.flag("weight") || type.dtype != DType::real || type.shape.rank() != 2) return {};
  int64_t rows = type.shape[0], n = type.shape[1];
  if (n == 0 || n % (panelColumns / 2) != 0) return {};
  bool state = slot.attributes.text("name", "").rfind("state/", 0) == 0;
  return {planes && !state && rows % 2 == 0 ? WeightLayout::planes : WeightLayout::panels, std::min(panelColumns, n)};
}

}  // namespace

SlotLayout layoutOf(const Program& program, ValueId value) {
  while (value != none) {
    const Node& node = program.producerOf(value);
    if (!showsAsItIs(program, node))
      return {static_cast<WeightLayout>(node.attributes.integer("panels.layout", 0)),
              node.attributes.integer("panels.columns", 0)};
    value = node.inputs[node.op->alias];
  }
  return {};
}

Program layOutPanels(const Program& program, int64_t panelColumns, bool planes) {
  if (panelColumns == 0) return program;
  Rewrite rewrite(program);
  // One for each reader: a copy that is shared lives from the first to the last of them, as long as a pass or more.
  auto rowByRow = [&](ValueId slot) { return rewrite.b.emit(getOp("fromPanels"), {slot}, {})[0]; };
  for (const Node& node : program.nodes) {
    if (node.op->name == "parameter") {
      Attributes attributes = node.attributes;
      SlotLayout layout = layoutFor(node, program.types[node.firstOutput], panelColumns, planes);
      attributes.set("panels.layout", double(static_cast<int>(layout.layout)));
      attributes.set("panels.columns", double(layout.columns));
      rewrite.b.phase = node.phase;
      rewrite.set(node, rewrite.b.emit(*node.op, {}, std::move(attributes)));
      continue;
    }
    rewrite.b.phase = node.phase;
    std::vector<ValueId> inputs = rewrite(node.inputs);
    const std::vector<int>& takes = node.op->takesPanels;
    for (size_t i = 0; i < inputs.size(); ++i)
      if (layoutOf(rewrite.b.program(), inputs[i]).inPanels() && !showsAsItIs(program, node) &&
          std::find(takes.begin(), takes.end(), static_cast<int>(i)) == takes.end())
        inputs[i] = rowByRow(inputs[i]);
    rewrite.set(node, rewrite.b.clone(node, inputs));
  }
  for (ValueId output : program.outputs)
    if (layoutOf(rewrite.b.program(), rewrite[output]).inPanels()) rewrite.set(output, rowByRow(rewrite[output]));
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

/** f(offset of the upper element row by row, offset of the pair) for every pair. */
template <class F>
void forPairs(int64_t rows, int64_t n, int64_t columns, const F& f) {
  for (int64_t column = 0; column < n; column += columns) {
    int64_t wide = std::min(columns, n - column);
    for (int64_t i = 0; i < rows; i += 2)
      for (int64_t j = 0; j < wide; ++j) f(i * n + column + j, (column * rows + i * wide) / 2 + j);
  }
}

uint32_t bitsOf(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return x == x ? bits : 0x7FC00000u;  // a NaN whose upper half could round to another number
}

float floatOf(uint32_t high, uint32_t low) {
  uint32_t bits = (high << 16) + static_cast<uint32_t>(static_cast<int16_t>(low));
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

}  // namespace

void toPlanes(int64_t rows, int64_t n, int64_t columns, const float* from, uint32_t* planes) {
  uint32_t *high = planes, *low = planes + rows * n / 2;
  forPairs(rows, n, columns, [&](int64_t row, int64_t pair) {
    uint32_t first = bitsOf(from[row]), second = bitsOf(from[row + n]);
    high[pair] = (first + 0x8000u) >> 16 | ((second + 0x8000u) & 0xFFFF0000u);
    low[pair] = (first & 0xFFFFu) | second << 16;
  });
}

void fromPlanes(int64_t rows, int64_t n, int64_t columns, const uint32_t* planes, float* to) {
  const uint32_t *high = planes, *low = planes + rows * n / 2;
  forPairs(rows, n, columns, [&](int64_t row, int64_t pair) {
    to[row] = floatOf(high[pair] & 0xFFFFu, low[pair] & 0xFFFFu);
    to[row + n] = floatOf(high[pair] >> 16, low[pair] >> 16);
  });
}

void toPanels(const Type& type, const SlotLayout& layout, const void* rows, void* panels) {
  const float* from = static_cast<const float*>(rows);
  if (layout.layout == WeightLayout::planes)
    return toPlanes(type.shape[0], type.shape[1], layout.columns, from, static_cast<uint32_t*>(panels));
  forRuns(type, layout.columns, [&](int64_t row, int64_t panel, int64_t count) {
    std::memcpy(static_cast<float*>(panels) + panel, from + row, static_cast<size_t>(count) * sizeof(float));
  });
}

void fromPanels(const Type& type, const SlotLayout& layout, const void* panels, void* rows) {
  float* to = static_cast<float*>(rows);
  if (layout.layout == WeightLayout::planes)
    return fromPlanes(type.shape[0], type.shape[1], layout.columns, static_cast<const uint32_t*>(panels), to);
  forRuns(type, layout.columns, [&](int64_t row, int64_t panel, int64_t count) {
    std::memcpy(to + row, static_cast<const float*>(panels) + panel, static_cast<size_t>(count) * sizeof(float));
  });
}

}  // namespace pushforward
