#include <cfenv>
#include <cmath>

#include "builder.h"
#include "ops.h"

namespace softcuda {
namespace {

inline uint32_t bitsOf(float x) {
  uint32_t u;
  std::memcpy(&u, &x, 4);
  return u;
}
inline float floatOf(uint32_t u) {
  float x;
  std::memcpy(&x, &u, 4);
  return x;
}
inline float flush(float x) {  // denormals to zero of their sign
  uint32_t u = bitsOf(x);
  return floatOf((u & 0x7F800000u) == 0 ? u & 0x80000000u : u);
}
inline double flush(double x) { return x; }
// The device has one NaN for float32; float64 keeps what IEEE arithmetic gives.
inline float canonical(float x) { return x != x ? floatOf(0x7FFFFFFFu) : x; }
inline double canonical(double x) { return x; }
template <class T>
T saturate(T x) {
  return x > T(0) ? (x < T(1) ? x : T(1)) : T(0);
}

template <bool ftz, bool sat, class Operation>
struct With {
  template <class... T>
  static auto run(T... x) {
    auto r = canonical(ftz ? flush(Operation::run(flush(x)...)) : Operation::run(x...));
    return sat ? saturate(r) : r;
  }
};

#define FLOAT1(Name, expression) \
  struct Name {                  \
    template <class T>           \
    static T run(T a) {          \
      return expression;         \
    }                            \
  }
#define FLOAT2(Name, expression) \
  struct Name {                  \
    template <class T>           \
    static T run(T a, T b) {     \
      return expression;         \
    }                            \
  }

FLOAT2(Add, a + b);
FLOAT2(Subtract, a - b);
FLOAT2(Multiply, a* b);
FLOAT2(Divide, a / b);
FLOAT1(Reciprocal, T(1) / a);
FLOAT1(SquareRoot, std::sqrt(a));
FLOAT1(ReciprocalRoot, static_cast<T>(1.0 / std::sqrt(static_cast<double>(a))));
FLOAT1(Sine, std::sin(a));
FLOAT1(Cosine, std::cos(a));
FLOAT1(Log2, std::log2(a));
FLOAT1(Exp2, std::exp2(a));
FLOAT1(HyperbolicTangent, std::tanh(a));
FLOAT1(Absolute, std::fabs(a));
FLOAT1(Negate, -a);
struct Fma {
  template <class T>
  static T run(T a, T b, T c) {
    return std::fma(a, b, c);
  }
};
inline bool negative(float x) { return bitsOf(x) >> 31; }
inline bool negative(double x) { return std::signbit(x); }
// A NaN loses against a number; -0 < +0.
FLOAT2(Minimum, a != a ? b : b != b ? a : a < b ? a : b < a ? b : negative(a) ? a : b);
FLOAT2(Maximum, a != a ? b : b != b ? a : a > b ? a : b > a ? b : negative(a) ? b : a);
FLOAT2(MinimumNaN, a != a ? a : b != b ? b : Minimum::run(a, b));
FLOAT2(MaximumNaN, a != a ? a : b != b ? b : Maximum::run(a, b));
struct CopySign {  // the sign of a, the rest of b
  static float run(float a, float b) { return floatOf((bitsOf(a) & 0x80000000u) | (bitsOf(b) & 0x7FFFFFFFu)); }
  static double run(double a, double b) { return std::copysign(b, a); }
};
// abs.ftz and neg.ftz flush, but keep a NaN's bits.
template <class Operation>
struct Flushed {
  static float run(float a) { return Operation::run(flush(a)); }
};

// Other roundings than to nearest: the processor's rounding mode changes around the loop.
template <int mode, Handler handler>
void rounded(Warp& w, const Instruction& i, uint32_t mask) {
  std::fesetround(mode);
  handler(w, i, mask);
  std::fesetround(FE_TONEAREST);
}

template <class Operation, class T, bool ftz, bool sat, class... S>
Handler handlerFor(const std::string& rounding) {
  constexpr Handler nearest = apply<With<ftz, sat, Operation>, T, S...>;
  if (rounding == ".rz") return rounded<FE_TOWARDZERO, nearest>;
  if (rounding == ".rm") return rounded<FE_DOWNWARD, nearest>;
  if (rounding == ".rp") return rounded<FE_UPWARD, nearest>;
  return nearest;
}

template <class Operation, class T, class... S>
void addRounded(Forms& f, const std::string& base, std::initializer_list<const char*> roundings, bool saturating) {
  constexpr uint8_t s = sizeof(T);
  const char* type = s == 4 ? ".f32" : ".f64";
  for (const char* r : roundings) {
    std::string name = base + r;
    Form form{nullptr, s, {}, true};
    for (size_t i = 0; i < sizeof...(S); ++i) form.sources[i] = s;
    form.run = handlerFor<Operation, T, false, false, S...>(r);
    f[name + type] = form;
    if (s == 8) continue;
    form.run = handlerFor<Operation, T, true, false, S...>(r);
    f[name + ".ftz" + type] = form;
    if (!saturating) continue;
    form.run = handlerFor<Operation, T, false, true, S...>(r);
    f[name + ".sat" + type] = form;
    form.run = handlerFor<Operation, T, true, true, S...>(r);
    f[name + ".ftz.sat" + type] = form;
  }
}

template <class T>
void addTyped(Forms& f, const std::string& type) {
  constexpr uint8_t s = sizeof(T);
  addRounded<Add, T, T, T>(f, "add", {"", ".rn", ".rz", ".rm", ".rp"}, true);
  addRounded<Subtract, T, T, T>(f, "sub", {"", ".rn", ".rz", ".rm", ".rp"}, true);
  addRounded<Multiply, T, T, T>(f, "mul", {"", ".rn", ".rz", ".rm", ".rp"}, true);
  addRounded<Fma, T, T, T, T>(f, "fma", {".rn", ".rz", ".rm", ".rp"}, true);
  addRounded<Fma, T, T, T, T>(f, "mad", {".rn", ".rz", ".rm", ".rp"}, true);
  addRounded<Divide, T, T, T>(f, "div", {".rn", ".rz", ".rm", ".rp"}, false);
  addRounded<Reciprocal, T, T>(f, "rcp", {".rn", ".rz", ".rm", ".rp"}, false);
  addRounded<SquareRoot, T, T>(f, "sqrt", {".rn", ".rz", ".rm", ".rp"}, false);
  addRounded<ReciprocalRoot, T, T>(f, "rsqrt", {".approx"}, false);
  addRounded<Minimum, T, T, T>(f, "min", {""}, false);
  addRounded<Maximum, T, T, T>(f, "max", {""}, false);
  f["abs." + type] = {apply<Absolute, T, T>, s, {s}, true};
  f["neg." + type] = {apply<Negate, T, T>, s, {s}, true};
  f["copysign." + type] = {apply<CopySign, T, T, T>, s, {s, s}, true};
}

}  // namespace

void addFloatForms(Forms& f) {
  addTyped<float>(f, "f32");
  addTyped<double>(f, "f64");
  f["abs.ftz.f32"] = {apply<Flushed<Absolute>, float, float>, 4, {4}, true};
  f["neg.ftz.f32"] = {apply<Flushed<Negate>, float, float>, 4, {4}, true};
  addRounded<Divide, float, float, float>(f, "div", {".approx", ".full"}, false);
  addRounded<Reciprocal, float, float>(f, "rcp", {".approx"}, false);
  addRounded<SquareRoot, float, float>(f, "sqrt", {".approx"}, false);
  addRounded<Sine, float, float>(f, "sin", {".approx"}, false);
  addRounded<Cosine, float, float>(f, "cos", {".approx"}, false);
  addRounded<Log2, float, float>(f, "lg2", {".approx"}, false);
  addRounded<Exp2, float, float>(f, "ex2", {".approx"}, false);
  f["tanh.approx.f32"] = {apply<With<false, false, HyperbolicTangent>, float, float>, 4, {4}, true};
  for (const char* ftz : {"", ".ftz"}) {
    bool flushes = *ftz;
    f[std::string("min") + ftz + ".NaN.f32"] = {flushes ? apply<With<true, false, MinimumNaN>, float, float, float>
                                                        : apply<With<false, false, MinimumNaN>, float, float, float>,
                                                4,
                                                {4, 4},
                                                true};
    f[std::string("max") + ftz + ".NaN.f32"] = {flushes ? apply<With<true, false, MaximumNaN>, float, float, float>
                                                        : apply<With<false, false, MaximumNaN>, float, float, float>,
                                                4,
                                                {4, 4},
                                                true};
  }
  f["rcp.approx.ftz.f64"] = {apply<Reciprocal, double, double>, 8, {8}, true};
  f["rsqrt.approx.ftz.f64"] = {apply<ReciprocalRoot, double, double>, 8, {8}, true};
}

}  // namespace softcuda
