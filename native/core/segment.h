// Cuts a flat program into checkpointed segments, for backprop with less tape.
#pragma once
#include "core/program.h"

namespace pushforward {

/** `segments` runs of consecutive nodes, each a `checkpoint` but the last; 0 means the square root of the number of nodes. */
Program segmentProgram(const Program& program, int64_t segments);

}  // namespace pushforward
