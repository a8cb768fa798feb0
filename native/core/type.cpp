#include "core/type.h"

#include <algorithm>

#include "core/error.h"

namespace pushforward {

const char* dtypeName(DType dtype) { return dtype == DType::real ? "real" : "int32"; }

static std::string textOf(const std::vector<int64_t>& dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i) text += (i ? ", " : "") + std::to_string(dims[i]);
  return text + "]";
}

Shape::Shape(const std::vector<int64_t>& dims) {
  if (dims.size() > maxRank) fail(Code::SHAPE_MISMATCH, "shape", "at most 8 axes (9 with directions)", textOf(dims));
  int64_t count = 1;
  for (int64_t size : dims) {
    if (size < 0) fail(Code::SHAPE_MISMATCH, "shape", "sizes of at least 0", textOf(dims));
    if (size > maxElements || (size > 0 && count > maxElements / size))
      fail(Code::SHAPE_MISMATCH, "shape", "at most 2^40 elements", textOf(dims));
    count *= std::max<int64_t>(size, 1);
    dims_[rank_++] = size;
  }
}

int64_t Shape::count() const { return product(0, rank_); }
std::string Shape::text() const { return textOf(dims()); }

Shape Shape::prepend(int64_t size) const {
  std::vector<int64_t> all = dims();
  all.insert(all.begin(), size);
  return Shape(all);
}

Shape Shape::tail(int from) const { return Shape(std::vector<int64_t>(dims_ + from, dims_ + rank_)); }

int64_t Shape::product(int from, int to) const {
  int64_t product = 1;
  for (int axis = from; axis < to; ++axis) product *= dims_[axis];
  return product;
}

bool operator==(const Shape& a, const Shape& b) {
  return a.rank_ == b.rank_ && std::equal(a.dims_, a.dims_ + a.rank_, b.dims_);
}

std::string Type::text() const { return std::string(dtypeName(dtype)) + shape.text(); }

Shape broadcastShapes(const std::string& where, const Shape& a, const Shape& b) {
  int rank = std::max(a.rank(), b.rank());
  std::vector<int64_t> dims(rank);
  for (int i = 0; i < rank; ++i) {
    int ia = i - (rank - a.rank()), ib = i - (rank - b.rank());
    int64_t da = ia < 0 ? 1 : a[ia], db = ib < 0 ? 1 : b[ib];
    if (da != db && da != 1 && db != 1)
      fail(Code::SHAPE_MISMATCH, where, "shapes that broadcast (sizes equal or 1, aligned right)",
           a.text() + " and " + b.text());
    dims[i] = da == 1 ? db : da;
  }
  return Shape(dims);
}

bool broadcastsTo(const Shape& from, const Shape& to) {
  if (from.rank() > to.rank()) return false;
  int offset = to.rank() - from.rank();
  for (int axis = 0; axis < from.rank(); ++axis)
    if (from[axis] != 1 && from[axis] != to[axis + offset]) return false;
  return true;
}

std::vector<int64_t> stridesOf(const Shape& shape) {
  std::vector<int64_t> strides(shape.rank());
  int64_t stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

std::vector<int64_t> broadcastStrides(const Shape& from, const Shape& to) {
  std::vector<int64_t> own = stridesOf(from), strides(to.rank(), 0);
  int offset = to.rank() - from.rank();
  for (int axis = 0; axis < from.rank(); ++axis)
    if (from[axis] != 1) strides[axis + offset] = own[axis];
  return strides;
}

}  // namespace pushforward
