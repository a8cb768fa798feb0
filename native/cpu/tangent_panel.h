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

/**
 * Signs as bits, for kernels that take them as masks: a block of 128 columns is one draw, of which a panel of 32 columns
 * needs one word. out[4·i + w], i < rows, w < 4: bit b is the sign of element (row + i, 128·block + 32·w + b) of the
 * rademacher tensor [·, n], 1 for −1; elements from column n on are random bits as well. `out` has room for
 * 4·rows + signSlack words.
 */
void fillSignWords(const Draw& draw, int64_t n, int64_t row, int64_t rows, int64_t block, uint32_t* out);

/** Columns of a block of fillSignWords. */
constexpr int64_t signColumns = 128;

/** Words beyond the last that fillSignWords may write. */
constexpr int64_t signSlack = 200;

/**
 * out[i·outStride + j] = ±1 by bit (column + j) of the words at words + i·stride, i < rows, j < columns. A word behind
 * the last that is needed must be readable.
 */
void expandSigns(const uint32_t* words, int64_t stride, int64_t column, int64_t rows, int64_t columns, float* out,
                 int64_t outStride);

#if PUSHFORWARD_LANES == 16
/**
 * Signs as pairs of bf16: word j of out[p·outStride] holds ±1 by bit j of words[2p·stride] and by that of words[(2p + 1)·stride], the
 * latter zero beyond `rows`; columns ≤ 32, whole vectors.
 */
void expandSignPairs(const uint32_t* words, int64_t stride, int64_t rows, int64_t columns, uint32_t* out,
                     int64_t outStride);

/** The same of elements (row + i, column + j) of a rademacher tensor; `column` a multiple of 32. */
void fillSignPairs(const Draw& draw, int64_t n, int64_t row, int64_t rows, int64_t column, int64_t columns,
                   uint32_t* out, int64_t outStride);

/** The same of a gaussian tensor, rounded to bf16; 32 columns, `column` a multiple of 4. */
void fillGaussianPairs(const Draw& draw, int64_t n, int64_t row, int64_t rows, int64_t column, uint32_t* out,
                       int64_t outStride);
#endif

/** The same as fillTangentPanel for uniforms. */
void fillUniformPanel(const Draw& draw, int64_t n, int64_t row, int64_t rows, int64_t column, int64_t columns,
                      float* out, int64_t outStride);

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
