// Cuts a program that holds a vjp at its tape: one half computes the value and the residuals, the other the cotangents from them.
#pragma once
#include "core/program.h"

namespace pushforward {

struct SplitProgram {
  Program forward;   // inputs x; outputs y, then the residuals
  Program backward;  // inputs: the residuals, then ȳ; outputs x̄
};

/**
 * `program` is traced: its first `primals` inputs are x, the rest ȳ; its first `values` outputs are y, the rest x̄. Residuals are the
 * values of the forward phase, arguments included, that the backward phase reads.
 */
SplitProgram splitAtTape(const Program& program, int primals, int values, bool fuse);

}  // namespace pushforward
