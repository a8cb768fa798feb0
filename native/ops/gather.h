// Parameter blocks of gather, scatter_add and one_hot.
#pragma once
#include "core/kernel.h"

namespace pushforward {

/**
 * A table [outer, size, inner] and rows picked from it, [outer, count, inner], by indices [count]. Operands: gather table, indices, rows;
 * scatter_add rows, indices, table. An index outside [0, size) makes its row NaN (int32: −2³¹) in gather; scatter_add leaves that row out.
 */
struct GatherParameters {
  int64_t outer, size, inner, count;
  int32_t integer;  // of gather: elements are int32
};

/** Operands indices [count], y [count, classes]. An index outside [0, classes) gives a row of zeros. */
struct OneHotParameters {
  int64_t count, classes;
};

}  // namespace pushforward
