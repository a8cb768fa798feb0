// jvp and vjp of a flat program, emitted into another program. Both walk the rules of the ops, so they nest: the result is made of ops.
#pragma once
#include <vector>

#include "core/builder.h"
#include "core/program.h"

namespace pushforward {

/** Expands every op that holds programs (call, forwardGradient, …), inner first, until none is left. */
Program expandProgram(const Program& program, bool fuse);

/** Emits a flat program with its `input` nodes replaced by `inputs`; other leaves are copied. Returns the outputs. */
std::vector<ValueId> inlineProgram(Builder& b, const Program& program, const std::vector<ValueId>& inputs);

struct JvpResult {
  std::vector<ValueId> outputs, tangents;  // tangents [K, …], none where zero
};
/** xDot[i]: tangent of input i, [K, …], none where zero. */
JvpResult emitJvp(Builder& b, const Program& program, const std::vector<ValueId>& x, const std::vector<ValueId>& xDot,
                  int64_t directions, bool fuse);

struct VjpResult {
  std::vector<ValueId> outputs;
  std::vector<ValueId> cotangents;  // of each input; none where zero or not wanted
};
/** Cotangents of the outputs are made by `yBar` when the primal outputs are there, none for zero. */
VjpResult emitVjp(Builder& b, const Program& program, const std::vector<ValueId>& x, const std::vector<bool>& wanted,
                  const std::function<std::vector<ValueId>(const std::vector<ValueId>& outputs)>& yBar, bool fuse);

}  // namespace pushforward
