// Expressions over ops: in the elementwise table a derivative is written as a formula, and this type turns the formula into nodes.
#pragma once
#include "core/builder.h"

namespace pushforward {

/** A value of the program being built, or a number that becomes a scalar constant when it meets one. */
class E {
 public:
  E(double number) : number_(number) {}  // NOLINT: numbers mix freely with expressions
  E(Builder* builder, ValueId value) : builder_(builder), value_(value) {}

  bool isNumber() const { return builder_ == nullptr; }
  double number() const { return number_; }
  Builder* builder() const { return builder_; }
  ValueId in(Builder& b) const { return isNumber() ? b.scalar(number_) : value_; }

 private:
  Builder* builder_ = nullptr;
  ValueId value_ = none;
  double number_ = 0;
};

inline E apply(const char* op, std::initializer_list<E> operands) {
  Builder* b = nullptr;
  for (const E& operand : operands)
    if (operand.builder()) b = operand.builder();
  std::vector<ValueId> inputs;
  for (const E& operand : operands) inputs.push_back(operand.in(*b));
  return E(b, b->emit(op, inputs));
}

inline E operator-(const E& x) { return x.isNumber() ? E(-x.number()) : apply("neg", {x}); }
inline E operator+(const E& x, const E& y) {
  return x.isNumber() && y.isNumber() ? E(x.number() + y.number()) : apply("add", {x, y});
}
inline E operator-(const E& x, const E& y) {
  return x.isNumber() && y.isNumber() ? E(x.number() - y.number()) : apply("sub", {x, y});
}
/** The condition c of where(c, 1, 0), or of where(c, 0, 1) with `inverted`; none for anything else. */
inline ValueId maskCondition(const E& x, bool& inverted) {
  if (x.isNumber()) return none;
  const Program& program = x.builder()->program();
  const Node& node = program.producerOf(x.in(*x.builder()));
  if (node.op->name != "where") return none;
  auto isFull = [&](ValueId value, double number) {
    const Node& full = program.producerOf(value);
    return full.op->name == "full" && full.attributes.number("value", -1) == number;
  };
  inverted = isFull(node.inputs[1], 0) && isFull(node.inputs[2], 1);
  return inverted || (isFull(node.inputs[1], 1) && isFull(node.inputs[2], 0)) ? node.inputs[0] : none;
}

// A mask times y is a selection: an infinite or NaN y in the branch not taken must not reach the result as 0·∞.
inline E operator*(const E& x, const E& y) {
  if (x.isNumber() && y.isNumber()) return E(x.number() * y.number());
  if (x.isNumber() && x.number() == 1) return y;
  if (y.isNumber() && y.number() == 1) return x;
  bool inverted = false;
  for (bool swap : {false, true}) {
    const E &mask = swap ? y : x, &other = swap ? x : y;
    ValueId condition = maskCondition(mask, inverted);
    if (condition == none) continue;
    E c(mask.builder(), condition);
    return inverted ? apply("where", {c, E(0), other}) : apply("where", {c, other, E(0)});
  }
  return apply("mul", {x, y});
}
inline E operator/(const E& x, const E& y) {
  return x.isNumber() && y.isNumber() ? E(x.number() / y.number()) : apply("div", {x, y});
}

}  // namespace pushforward
