// Which axis of each value of a program counts the examples of a batch, and the refusal of ops that let examples see each other.
#pragma once
#include <vector>

#include "core/program.h"

namespace pushforward {

/** Axis `axis` holds B · repeat elements, the example counting slowest; axis −1: the value is the same for all examples. */
struct BatchAxis {
  int axis = -1;
  int64_t repeat = 1;
  explicit operator bool() const { return axis >= 0; }
  friend bool operator==(const BatchAxis& a, const BatchAxis& b) { return a.axis == b.axis && a.repeat == b.repeat; }
};

struct Batch {
  int64_t size = 0;
  std::vector<BatchAxis> axes;  // of every value
  std::vector<ValueId> losses;  // what each loss, one of the first outputs, is the mean or the sum of
};

/**
 * The inputs numbered in `batched` have the examples along their first axis. INVALID_ARGUMENT, naming the op, where one reduces or mixes
 * examples before a loss's own mean, or where it is not known what it does with them. Each example's losses then depend on its rows alone.
 */
Batch trackBatch(const Program& program, const std::vector<int64_t>& batched, size_t losses);

/** A shape seen as [o, B, s]. */
struct ExampleView {
  int64_t outer, size, inner;
};
ExampleView exampleView(const Shape& shape, const BatchAxis& axis, int64_t size);

}  // namespace pushforward
