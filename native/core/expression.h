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
inline E operator*(const E& x, const E& y) {
  if (x.isNumber() && y.isNumber()) return E(x.number() * y.number());
  if (x.isNumber() && x.number() == 1) return y;
  if (y.isNumber() && y.number() == 1) return x;
  return apply("mul", {x, y});
}
inline E operator/(const E& x, const E& y) {
  return x.isNumber() && y.isNumber() ? E(x.number() / y.number()) : apply("div", {x, y});
}

}  // namespace pushforward
