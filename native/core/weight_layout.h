// How a weight [rows, n] of products lies in memory. Plain data: kernels include it.
#pragma once
#include <cstdint>

namespace pushforward {

/**
 * rows: row by row. panels: one panel of columns after the other, each row by row; the last may be narrower. planes:
 * panels of pairs, for products of bf16; word (i/2, j) of a panel holds row i of column j in its lower half and row i + 1
 * in its upper. First come the high halves of all panels, each the number rounded to bf16, to nearest, ties away from
 * zero; then the low ones, int16, with bits of the float32 = high · 2¹⁶ + low mod 2³²: one copy, and nothing lost.
 */
enum class WeightLayout : int32_t { rows = 0, panels = 1, planes = 2 };

/** Copies of a weight [rows, n] between rows and planes whose panels have `columns` columns. */
void toPlanes(int64_t rows, int64_t n, int64_t columns, const float* from, uint32_t* planes);
void fromPlanes(int64_t rows, int64_t n, int64_t columns, const uint32_t* planes, float* to);

}  // namespace pushforward
