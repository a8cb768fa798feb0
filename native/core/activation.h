// Activations of an epilogue: any one-argument row of the elementwise table, by name.
#pragma once
#include <string>

#include "core/builder.h"
#include "core/micro_program.h"

namespace pushforward {

/** Throws INVALID_ARGUMENT, naming `where`, unless `name` is 'none' or such a row. gelu means its tanh form here. */
void checkActivation(const std::string& where, const std::string& name);
/** act(z); z itself for 'none'. */
ValueId emitActivation(Builder& b, const std::string& name, ValueId z);
/** act'(z); none for 'none' (the slope is 1). */
ValueId emitSlope(Builder& b, const std::string& name, ValueId z);
/** Whether act'(z) can be told from y = act(z) alone, as relu's and tanh's can: then backprop keeps y and not z. */
bool slopeFromResult(const std::string& name);
/** act'(z) written in y. */
ValueId emitSlopeFromResult(Builder& b, const std::string& name, ValueId y);

/** z → act(z) and z → act'(z) for a kernel; no ops for 'none'. */
MicroProgram activationMicro(const std::string& name);
MicroProgram slopeMicro(const std::string& name);

/** A program of elementwise nodes and scalars, as a micro-program: its inputs are the program's. */
MicroProgram compileMicro(const Program& program);

}  // namespace pushforward
