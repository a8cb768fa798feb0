// What the rules of shape ops, reductions and softmax share: axes and integers as users send them, checked and
// normalised.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/builder.h"
#include "core/op.h"

namespace pushforward {

/** [-rank, rank) → [0, rank); INVALID_ARGUMENT names the op. */
int normaliseAxis(const std::string& op, int64_t axis, int rank);

/** A number attribute that must be an integer (JavaScript has one kind of number). */
int64_t integerAttribute(const std::string& op, const Attributes& attributes, const std::string& name,
                         int64_t fallback);

/** The single `axis` of concat, softmax, …, normalised. */
int axisAttribute(const std::string& op, const Attributes& attributes, int64_t fallback, int rank);

/** The axes of a reduction, ascending and distinct; absent or empty: all of them. */
std::vector<int64_t> reducedAxes(const std::string& op, const Attributes& attributes, int rank);

/** DTYPE_MISMATCH unless input i is real (int32). */
void expectDType(const TypeContext& context, int input, DType dtype);

/** `shape` with size 1 on `axes`: the shape that broadcasts back after a reduction. */
Shape keptShape(const Shape& shape, const std::vector<int64_t>& axes);

/** Each axis + 1: the same axes of a tangent, which has K in front. */
std::vector<int64_t> tangentAxes(std::vector<int64_t> axes);

/** `list` with `first` in front: an attribute that has one entry per axis, for a tangent. */
std::vector<int64_t> withLeading(int64_t first, std::vector<int64_t> list);

/** Σ x over `axes`, which keep size 1. */
ValueId sumKeepingDims(Builder& b, ValueId x, const std::vector<int64_t>& axes);

/** Every operand crosses memory once, at four bytes an element; `perInput` operations for each element of input 0. */
Cost streamingCost(const PlanContext& context, double perInput);

}  // namespace pushforward
