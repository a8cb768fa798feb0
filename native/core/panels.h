// Weights in panels. A slot [rows, n] that is a weight of products may lie as the products of the device read it: one
// panel of `columns` columns after the other, each row by row; the last may be narrower. Then a step packs no weights.
// Users never see it: slots are read and written row by row.
#pragma once
#include <cstddef>

#include "core/program.h"

namespace pushforward {

/** Columns of a panel of this weight, 0: row by row. `panelColumns` is the device's; the last panel may be half as wide. */
int64_t panelColumnsOf(const Type& type, int64_t panelColumns);

/**
 * Marks the parameters that lie in panels (attribute panels.columns), and puts a copy, row by row, in front of
 * everything that cannot read them so.
 */
Program layOutPanels(const Program& program, int64_t panelColumns);

/** Columns of the panels that a value lies in, 0: row by row. */
int64_t panelsOf(const Program& program, ValueId value);

/** Copies of a slot, 4 bytes an element. */
void toPanels(const Type& type, int64_t columns, const void* rows, void* panels);
void fromPanels(const Type& type, int64_t columns, const void* panels, void* rows);

}  // namespace pushforward
