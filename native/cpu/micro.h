// Micro-programs on a block of contiguous elements: the epilogue of a product. Defined in ops/elementwise_kernel.cpp.
#pragma once
#include <cstdint>

#include "core/micro_program.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr int64_t microBlock = 256, mostMicroElements = 1024;
/** Floats of scratch that a program may use. */
constexpr int64_t microScratch = (maxMicroOps + maxMicroOutputs) * microBlock;

/** Elements that a program takes at once: within the same scratch a short one takes more, and is set up less often. */
inline int64_t microElements(const MicroProgram& program) {
  const bool isShort = (program.ops + program.outputs) * mostMicroElements <= microScratch;
  return isShort ? mostMicroElements : microBlock;
}

/**
 * outputs[o][i] = the program of inputs[·][i], i < n ≤ microElements(program); no alignment is asked for. An output may be the
 * same memory as an input or overlap none; outputs do not overlap each other.
 */
void runMicroProgram(const MicroProgram& program, int64_t n, const float* const* inputs, float* const* outputs,
                     float* scratch);

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
