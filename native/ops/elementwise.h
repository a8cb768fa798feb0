// Parameter block of `chain`: one fused elementwise program over a broadcast iteration space.
#pragma once
#include "core/kernel.h"
#include "core/micro_program.h"

namespace pushforward {

/**
 * Operands: inputs of the program, then its outputs. Outputs are dense in the iteration space `shape` (already collapsed to as few
 * axes as the strides allow, innermost last); input i is read at Σ_axis index·stride[i][axis] elements, 0 where it is broadcast.
 * `integer` marks int32 operands (inputs first, then outputs); all others are real.
 */
struct ChainParameters {
  int32_t rank;
  int64_t shape[maxRank];
  int64_t stride[maxMicroInputs][maxRank];
  uint8_t integer[maxMicroInputs + maxMicroOutputs];
  MicroProgram program;
};

}  // namespace pushforward
