// Blocks of a generated tangent, for the packed weights of a product and for updates. Defined in
// ops/random_kernel.cpp.
#pragma once
#include "core/philox.h"
#include "core/tangent.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

/**
 * out[i·outStride + j] = element (row + i, column + j) of the tensor [·, n] drawn by `draw`, i < rows, j < columns;
 * `kind` is gaussian or
 * rademacher, `column` a multiple of 4, column + columns ≤ n. Writes nothing else. One thread; cut a panel up to
 * share it.
 */
void fillTangentPanel(TangentKind kind, const Draw& draw, int64_t n, int64_t row, int64_t rows, int64_t column,
                      int64_t columns, float* out, int64_t outStride);

/** The same for uniforms. */
void fillUniformPanel(const Draw& draw, int64_t n, int64_t row, int64_t rows, int64_t column, int64_t columns,
                      float* out, int64_t outStride);

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
