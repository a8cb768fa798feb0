// Straight-line programs over the rows of the elementwise table (ops/elementwise_table.h): what a fused chain and the epilogue of a
// product run on a block of elements. Plain data: it travels inside a kernel's parameter block.
#pragma once
#include <cstdint>

namespace pushforward {

constexpr int maxMicroOps = 32;
constexpr int maxMicroInputs = 12;
constexpr int maxMicroImmediates = 12;
constexpr int maxMicroOutputs = 4;

struct MicroOp {
  int16_t row;    // index of the row in the elementwise table
  int16_t in[3];  // registers; -1 beyond the row's arity
};

/**
 * Registers: [0, inputs) the inputs, [inputs, inputs + immediates) scalars, then the result of op i at inputs + immediates + i.
 * Integers and truth values (0, 1) live in registers as reals; loads and stores convert.
 */
struct MicroProgram {
  int32_t inputs;
  int32_t immediates;
  int32_t ops;
  int32_t outputs;
  double immediate[maxMicroImmediates];
  MicroOp op[maxMicroOps];
  int16_t output[maxMicroOutputs];  // registers
};

}  // namespace pushforward
