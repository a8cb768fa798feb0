// Builds a program node by node, inferring types as it goes. Every way to make a node goes through `emit`.
#pragma once
#include <string>
#include <vector>

#include "core/op.h"
#include "core/program.h"

namespace pushforward {

class Builder {
 public:
  explicit Builder(Program& program) : program_(program) {}

  /** Checks arity, attributes and shapes (Error names the op); returns the values defined. */
  std::vector<ValueId> emit(const Op& op, std::vector<ValueId> inputs, Attributes attributes = {},
                            std::vector<std::shared_ptr<const Program>> bodies = {});
  ValueId emit(const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {});

  // By value: the next emit may move the program's types.
  Type type(ValueId value) const { return program_.types[value]; }
  Shape shape(ValueId value) const { return program_.types[value].shape; }
  Program& program() { return program_; }
  Phase phase = Phase::forward;

  ValueId scalar(double value);
  ValueId full(const Shape& shape, double value);
  /** Same value when the shape is the same already. */
  ValueId reshape(ValueId x, const Shape& shape);
  ValueId broadcast(ValueId x, const Shape& shape);
  /** Sum over the axes along which `shape` was broadcast: the adjoint of broadcast. */
  ValueId unbroadcast(ValueId x, const Shape& shape);
  /** End to end along an axis, any number of them. */
  ValueId joined(std::vector<ValueId> parts, int axis);
  /** none is zero. */
  ValueId addOrNone(ValueId x, ValueId y);
  /** A tangent [K, shape] reshaped to [K, 1…, shape] so that it broadcasts against values of `rank` axes. */
  ValueId alignTangent(ValueId xDot, int rank);
  /** Copies a node with its inputs replaced. */
  std::vector<ValueId> clone(const Node& node, const std::vector<ValueId>& inputs);

 private:
  Program& program_;
};

}  // namespace pushforward
