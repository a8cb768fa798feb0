// Fusion: rewrites of a flat program that change how it is computed, never what. {fuse: false} leaves them out; both must agree.
#pragma once
#include "core/op.h"
#include "core/program.h"

namespace pushforward {

/**
 * relu(add(matmul(x, w), b)) and its like → dense(x, w, b, relu), relu(conv2d(x, w, b)) → conv2d(x, w, b, relu), before differentiation, so
 * that the rules of dense and conv2d apply.
 */
Program fuseDense(const Program& program);

/** Replaces ops that have no kernel (or, with `all`, every op that can be) by their lowering, until none is left. */
Program lowerProgram(const Program& program, bool all);

/** Common subexpressions once; what no output and no update needs, not at all. */
Program simplify(const Program& program);

/** Generated tangents and gradients made for one update become attributes of the op that uses them. */
Program absorbGenerated(const Program& program);

/**
 * What backprop does to a cotangent between two pullbacks, done by them where the device has kernels that can: relu's slope, by the one that makes
 * it (Op::gated); a bias's cotangent, its sum over all pixels, by the filter's pullback, which reads it.
 */
Program fusePullbacks(const Program& program, const Device& device);

/** Elementwise nodes of one iteration space, each used inside the group only but the last, become one `chain`. */
Program fuseChains(const Program& program);

/** Every use of every value, outputs included. */
std::vector<int> countUses(const Program& program);

}  // namespace pushforward
