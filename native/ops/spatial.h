// What the rules of convolutions and pools share: attributes with one entry per spatial axis, and how often a window fits.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "core/op.h"

namespace pushforward {

/** Along y and x. */
using Pair = std::array<int64_t, 2>;

/** A list of two integers from `least` to 2³¹ − 1; `fallback` when it is absent. INVALID_ARGUMENT names op and attribute. */
Pair pairAttribute(const std::string& op, const Attributes& attributes, const std::string& name, int64_t least,
                   const Pair& fallback);

/** As an attribute. */
std::vector<int64_t> listOf(const Pair& pair);

/** "[3, 3]" */
std::string textOf(const Pair& pair);

/**
 * How often a window of `window` elements, `dilation` apart, fits along each axis of an image with `padding` zeros on both sides:
 * ⌊(size + 2·padding − (window − 1)·dilation − 1) / stride⌋ + 1. SHAPE_MISMATCH when it does not fit at all.
 */
Pair windowCounts(const std::string& op, const Pair& size, const Pair& window, const Pair& stride, const Pair& padding,
                  const Pair& dilation);

/** Axes 1 and 2 of an image [B, H, W, C]. */
Pair spatialSize(const Shape& image);

/** A tangent [K, a, …] as [K·a, …]: directions are more examples. */
Shape mergeDirections(const Shape& tangent);

}  // namespace pushforward
