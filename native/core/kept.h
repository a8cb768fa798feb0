// Updates of rank one that wait as factors. A step of plain sgd along w_dot = a bᵀ need not go through all of w: what reads w is a product
// x w, and x (w + Σ_f a_f b_fᵀ) = x w + Σ_f (x a_f) b_fᵀ. Each step keeps −rate·c·a and b; at steps whose number is a multiple of
// `mergeEvery`, and at the end of a run, the executor has them added to w in one pass. Between two runs nothing is kept.
#pragma once
#include <cstddef>
#include <string>

#include "core/program.h"

namespace pushforward {

struct Device;

/**
 * Where a weight in panels is read by dense_pushforward alone and written by sgd with mergeEvery > 1 along one direction of rank one: its
 * readers take the kept factors as a further input, its update becomes `keepFactors`, and `mergeFactors` stands ready. For host devices
 * whose weights lie in panels.
 */
Program keepUpdates(const Program& program, const Device& device);

/** Of a program that keepUpdates has gone through: steps from one merge to the next; 1: nothing is kept. */
int keptSteps(const Program& program);

}  // namespace pushforward
