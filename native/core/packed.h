// Activations as the next product reads them. Between two dense layers a value need not be a tensor of floats, row by row: the epilogue of the
// first can round it and pack it for the tiles of the second (cpu/gemm/bf16.h, packTileRows), in half of the place.
#pragma once
#include "core/program.h"

namespace pushforward {

struct Device;

/**
 * On amx at bf16: marks dense nodes whose operands ("packed.x", "packed.xDot") or results ("packed.y", "packed.yDot") are packed: all readers of
 * such a value are products of dense nodes, and its rows and columns fill whole tiles. What is rounded is what they would round.
 */
Program packActivations(const Program& program, const Device& device);

}  // namespace pushforward
