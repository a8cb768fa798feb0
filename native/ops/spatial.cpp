#include "ops/spatial.h"

#include "core/error.h"

namespace pushforward {

std::string textOf(const Pair& pair) { return "[" + std::to_string(pair[0]) + ", " + std::to_string(pair[1]) + "]"; }

std::vector<int64_t> listOf(const Pair& pair) { return {pair[0], pair[1]}; }

Pair pairAttribute(const std::string& op, const Attributes& attributes, const std::string& name, int64_t least,
                   const Pair& fallback) {
  const std::vector<int64_t>* given = attributes.list(name);
  if (!given) return fallback;
  const std::string expected =
      name + " to be two integers from " + std::to_string(least) + " to 2^31 - 1, one per spatial axis,";
  if (given->size() != 2)
    fail(Code::INVALID_ARGUMENT, op, expected, "a list of length " + std::to_string(given->size()));
  const Pair pair{(*given)[0], (*given)[1]};
  for (int64_t value : pair)
    if (value < least || value > INT32_MAX) fail(Code::INVALID_ARGUMENT, op, expected, textOf(pair));
  return pair;
}

Pair windowCounts(const std::string& op, const Pair& size, const Pair& window, const Pair& stride, const Pair& padding,
                  const Pair& dilation) {
  Pair counts;
  for (size_t axis = 0; axis < 2; ++axis) {
    const int64_t padded = size[axis] + 2 * padding[axis];
    // In this order nothing overflows: a window may have 2⁴⁰ elements that lie 2³¹ apart.
    if (window[axis] < 1 || padded < 1 || (padded - 1) / dilation[axis] < window[axis] - 1) {
      const bool dilated = dilation[0] != 1 || dilation[1] != 1, pads = padding[0] != 0 || padding[1] != 0;
      fail(Code::SHAPE_MISMATCH, op,
           "a window that fits into an image of " + textOf(size) + (pads ? " with padding " + textOf(padding) : ""),
           textOf(window) + (dilated ? " with dilation " + textOf(dilation) : ""));
    }
    counts[axis] = (padded - 1 - (window[axis] - 1) * dilation[axis]) / stride[axis] + 1;
  }
  return counts;
}

Pair spatialSize(const Shape& image) { return {image[1], image[2]}; }

Shape mergeDirections(const Shape& tangent) { return tangent.tail(2).prepend(tangent[0] * tangent[1]); }

}  // namespace pushforward
