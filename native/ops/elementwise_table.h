// The elementwise ops, one row each; from a row come the primal, the pushforward, the pullback, every epilogue and
// all higher derivatives. Include it for the table of names; expand PUSHFORWARD_ELEMENTWISE for the formulas.
#pragma once

/**
 * X(name, arity, integer, formula, ∂/∂x, ∂/∂y, ∂/∂z)
 *   integer: the result is int32 (a truth value). where's x is one too.
 *   formula: over a number type V (a vector of float32, or double) with the usual operators, comparisons,
 *     select(mask, a, b) and the functions of cpu/vector_math.h; operands x, y, z.
 *   derivatives: over the expression type E, with r the result and every row as a function; `zero` is zero by
 *     structure.
 * Conventions: relu'(0) = 0, abs'(0) = 0, maximum and minimum send ties to x, clip' = 1 at its bounds; NaN passes
 * through all of these.
 */
// clang-format off
#define PUSHFORWARD_ELEMENTWISE(X)                                                                                  \
  X(add, 2, false, x + y, 1, 1, zero)                                                                               \
  X(sub, 2, false, x - y, 1, -1, zero)                                                                              \
  X(mul, 2, false, x * y, y, x, zero)                                                                               \
  X(div, 2, false, x / y, reciprocal(y), -(r / y), zero)                                                            \
  X(neg, 1, false, -x, -1, zero, zero)                                                                              \
  X(exp, 1, false, exp(x), r, zero, zero)                                                                           \
  X(log, 1, false, log(x), reciprocal(x), zero, zero)                                                               \
  X(sqrt, 1, false, sqrt(x), 0.5 / r, zero, zero)                                                                   \
  X(rsqrt, 1, false, 1 / sqrt(x), -0.5 * (r * square(r)), zero, zero)                                               \
  X(reciprocal, 1, false, 1 / x, -square(r), zero, zero)                                                            \
  X(square, 1, false, x * x, 2 * x, zero, zero)                                                                     \
  X(pow, 2, false, pow(x, y), powDerivativeX(x, y), powDerivativeY(x, r), zero)                                     \
  X(sin, 1, false, sin(x), cos(x), zero, zero)                                                                      \
  X(cos, 1, false, cos(x), -sin(x), zero, zero)                                                                     \
  X(tanh, 1, false, tanh(x), 1 - square(r), zero, zero)                                                             \
  X(sigmoid, 1, false, sigmoid(x), r * (1 - r), zero, zero)                                                         \
  X(relu, 1, false, select(x <= 0, 0, x), isGreater(x, 0), zero, zero)                                              \
  X(leakyRelu, 2, false, select(x > 0, x, x * y), where(greater(x, 0), 1, y), minimum(x, 0), zero)                  \
  X(elu, 2, false, elu(x, y), where(greater(x, 0), 1, y * exp(minimum(x, 0))), elu(minimum(x, 0), 1), zero)         \
  X(gelu, 1, false, gelu(x), geluDerivative(x), zero, zero)                                                         \
  X(geluTanh, 1, false, geluTanh(x), geluTanhDerivative(x), zero, zero)                                             \
  X(silu, 1, false, silu(x), siluDerivative(x, r), zero, zero)                                                      \
  X(softplus, 1, false, softplus(x), sigmoid(x), zero, zero)                                                        \
  X(erf, 1, false, erf(x), 1.12837916709551257390 * exp(-square(x)), zero, zero)                                    \
  X(abs, 1, false, abs(x), sign(x), zero, zero)                                                                     \
  X(maximum, 2, false, select((x < y) | (y != y), y, x), isGreaterEqual(x, y), isGreater(y, x), zero)               \
  X(minimum, 2, false, select((x > y) | (y != y), y, x), isGreaterEqual(y, x), isGreater(x, y), zero)               \
  X(clip, 3, false, select(select(x < y, y, x) > z, z, select(x < y, y, x)), /* min(max(x, y), z) */                \
    isGreaterEqual(x, y) * isGreaterEqual(z, x), isGreater(y, x), isGreater(x, z))                                  \
  X(less, 2, true, select(x < y, 1, 0), zero, zero, zero)                                                           \
  X(lessEqual, 2, true, select(x <= y, 1, 0), zero, zero, zero)                                                     \
  X(greater, 2, true, select(x > y, 1, 0), zero, zero, zero)                                                        \
  X(greaterEqual, 2, true, select(x >= y, 1, 0), zero, zero, zero)                                                  \
  X(equal, 2, true, select(x == y, 1, 0), zero, zero, zero)                                                         \
  X(where, 3, false, select(x != 0, y, z), zero, where(x, 1, 0), where(x, 0, 1))                                    \
  /* Internal: what derivatives are made of, real-valued so that they multiply. */                                  \
  X(isGreater, 2, false, select(x > y, 1, 0), zero, zero, zero)                                                     \
  X(isGreaterEqual, 2, false, select(x >= y, 1, 0), zero, zero, zero)                                               \
  X(sign, 1, false, select(x > 0, 1, select(x < 0, -1, x)), zero, zero, zero)
// clang-format on

namespace pushforward {

struct ElementwiseRow {
  const char* name;
  int arity;
  bool integer;
};

#define PUSHFORWARD_ROW(name, arity, integer, ...) {#name, arity, integer},
constexpr ElementwiseRow elementwiseRows[] = {PUSHFORWARD_ELEMENTWISE(PUSHFORWARD_ROW)};
#undef PUSHFORWARD_ROW

constexpr int elementwiseRowCount = sizeof(elementwiseRows) / sizeof(elementwiseRows[0]);

/** Indices of the rows: row::add. */
namespace row {
#define PUSHFORWARD_ROW(name, ...) name,
enum : int { PUSHFORWARD_ELEMENTWISE(PUSHFORWARD_ROW) };
#undef PUSHFORWARD_ROW
}  // namespace row

// Derivatives that use a value more than once; E is found with its functions.

// y = 0: the derivative is 0 also where x^(−1) is infinite.
template <class E>
E powDerivativeX(const E& x, const E& y) {
  return y * pow(x, where(equal(y, 0), 1, y - 1));
}
// 0^y, y > 0: 0 and not 0 · −∞.
template <class E>
E powDerivativeY(const E& x, const E& r) {
  return r * log(where(equal(x, 0), 1, x));
}
// Φ(x) + x φ(x)
template <class E>
E geluDerivative(const E& x) {
  return 0.5 * (1 + erf(x * 0.70710678118654752440)) + x * (0.39894228040143267794 * exp(-0.5 * square(x)));
}
// x s with s = σ(2u), 2u = x (a + b x²): s + x s (1 − s) (a + 3b x²). Beyond ±64 s is 0 or 1, and x² could overflow.
template <class E>
E geluTanhDerivative(const E& unbounded) {
  const E x = clip(unbounded, -64, 64);
  const E x2 = square(x);
  const E s = sigmoid(x * (1.59576912160573071176 + 0.07135481627160024875 * x2));
  return s + x * (s * (1 - s)) * (1.59576912160573071176 + 0.21406444881480074625 * x2);
}
// r = x s: s + r (1 − s)
template <class E>
E siluDerivative(const E& x, const E& r) {
  const E s = sigmoid(x);
  return s + r * (1 - s);
}

}  // namespace pushforward
