// Micro-programs in float64, one element at a time: what the reference kernels run. Defined in
// ops/elementwise_reference.cpp.
#pragma once
#include "core/micro_program.h"

namespace pushforward::reference {

/** outputs[o] = the program of inputs[·], for one element. */
void evaluateMicroProgram(const MicroProgram& program, const double* inputs, double* outputs);

/** A program of one input and one output, e.g. an activation. */
double evaluateMicroProgram(const MicroProgram& program, double input);

}  // namespace pushforward::reference
