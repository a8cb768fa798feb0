// Micro-programs on a block of contiguous elements: the epilogue of a product. Defined in ops/elementwise_kernel.cpp.
#pragma once
#include <cstdint>

#include "core/micro_program.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr int64_t microBlock = 256;
/** Floats of scratch that a program may use. */
constexpr int64_t microScratch = (maxMicroOps + maxMicroOutputs) * microBlock;

/**
 * outputs[o][i] = the program of inputs[·][i], i < n ≤ microBlock; no alignment is asked for. An output may be the
 * same memory as an input or overlap none; outputs do not overlap each other.
 */
void runMicroProgram(const MicroProgram& program, int64_t n, const float* const* inputs, float* const* outputs,
                     float* scratch);

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
