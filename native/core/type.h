// Types of values: an element type and a shape of at most eight axes, nine for tangents.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "core/kernel.h"

namespace pushforward {

/** real: float32 on the fast devices, float64 on `reference`. int32 holds labels, indices and truth values, and has no tangent. */
enum class DType : uint8_t { real = 0, int32 = 1 };

const char* dtypeName(DType dtype);

/** No tensor may have more elements than this: bytes of a float64 tensor then stay far below 2⁶³. */
constexpr int64_t maxElements = int64_t{1} << 40;

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(std::vector<int64_t>(dims)) {}
  /** Throws SHAPE_MISMATCH on a rank over 8, a negative size, or more than 2⁴⁰ elements. */
  explicit Shape(const std::vector<int64_t>& dims);

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return dims_[axis]; }
  int64_t count() const;
  std::vector<int64_t> dims() const { return std::vector<int64_t>(dims_, dims_ + rank_); }
  std::string text() const;  // "[64, 10]"

  /** The shape with `size` in front: K directions, a batch. */
  Shape prepend(int64_t size) const;
  /** Axes [from, rank). */
  Shape tail(int from) const;
  /** Product of axes [from, to). */
  int64_t product(int from, int to) const;

  friend bool operator==(const Shape& a, const Shape& b);
  friend bool operator!=(const Shape& a, const Shape& b) { return !(a == b); }

 private:
  int rank_ = 0;
  int64_t dims_[maxRank] = {};
};

struct Type {
  DType dtype = DType::real;
  Shape shape;
  std::string text() const;
  friend bool operator==(const Type& a, const Type& b) { return a.dtype == b.dtype && a.shape == b.shape; }
};

/** NumPy's rule: align right, sizes equal or 1. Throws SHAPE_MISMATCH naming `where`. */
Shape broadcastShapes(const std::string& where, const Shape& a, const Shape& b);
/** Whether `from` broadcasts to exactly `to`. */
bool broadcastsTo(const Shape& from, const Shape& to);
/** Row-major strides in elements. */
std::vector<int64_t> stridesOf(const Shape& shape);
/** Strides of `from` inside the iteration space `to`, 0 on broadcast axes. */
std::vector<int64_t> broadcastStrides(const Shape& from, const Shape& to);

}  // namespace pushforward
