// Weights as products read them. A slot [rows, n] that is a weight may lie in panels or planes (core/weight_layout.h), so
// that no step packs it. Users never see it: slots are read and written row by row.
#pragma once
#include <cstddef>

#include "core/program.h"
#include "core/weight_layout.h"

namespace pushforward {

/** `columns` of a panel, 0 for rows. */
struct SlotLayout {
  WeightLayout layout = WeightLayout::rows;
  int64_t columns = 0;
  bool inPanels() const { return layout != WeightLayout::rows; }
  friend bool operator==(const SlotLayout& a, const SlotLayout& b) {
    return a.layout == b.layout && a.columns == b.columns;
  }
};

/**
 * Marks the parameters that lie in panels or, with `planes`, in planes, and puts a copy, row by row, in front of
 * everything that cannot read them so. `panelColumns` is the device's, 0: all stay row by row.
 */
Program layOutPanels(const Program& program, int64_t panelColumns, bool planes);

/** How a value lies in memory. */
SlotLayout layoutOf(const Program& program, ValueId value);

/** Copies between float32 row by row and another layout. */
void toPanels(const Type& type, const SlotLayout& layout, const void* rows, void* panels);
void fromPanels(const Type& type, const SlotLayout& layout, const void* panels, void* rows);

}  // namespace pushforward
