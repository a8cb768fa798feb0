#include "builder.h"
#include "half.h"
#include "ops.h"

namespace softcuda {
namespace {

struct Add {
  static double run(double a, double b) { return addToOdd(a, b); }
};
struct Subtract {
  static double run(double a, double b) { return addToOdd(a, -b); }
};
struct Multiply {
  static double run(double a, double b) { return a * b; }  // exact: 22 bits
};
struct Fma {
  static double run(double a, double b, double c) { return addToOdd(a * b, c); }
};
struct Exp2 {
  static double run(double a) { return std::exp2(a); }
};
struct HyperbolicTangent {
  static double run(double a) { return std::tanh(a); }
};
struct Minimum {
  static double run(double a, double b) {
    return a != a ? b : b != b ? a : a < b || (a == b && std::signbit(a)) ? a : b;
  }
};
struct Maximum {
  static double run(double a, double b) {
    return a != a ? b : b != b ? a : a > b || (a == b && !std::signbit(a)) ? a : b;
  }
};
struct MinimumNaN {
  static double run(double a, double b) { return a != a || b != b ? NAN : Minimum::run(a, b); }
};
struct MaximumNaN {
  static double run(double a, double b) { return a != a || b != b ? NAN : Maximum::run(a, b); }
};

enum Finish { kPlain, kSaturate, kRelu };

template <class F, bool ftz>
double input(uint16_t bits) {
  double x = F::decode(bits);
  if (ftz && (bits & 0x7FFF) != 0 && (bits & F::kInfinity) == 0) return bits & 0x8000 ? -0.0 : 0.0;
  return x;
}
template <class F, bool ftz, Finish finish>
uint16_t output(double x) {
  uint16_t bits = F::encode(x);
  if (ftz && (bits & F::kInfinity) == 0) bits &= 0x8000;
  if (finish == kSaturate) return x > 0 ? (x < 1 ? bits : F::encode(1.0)) : 0;
  if (finish == kRelu) return x != x ? F::kNaN : bits & 0x8000 ? 0 : bits;
  return bits;
}

template <class F, class Operation, bool ftz, Finish finish>
struct Scalar {
  template <class... T>
  static uint16_t run(T... x) {
    return output<F, ftz, finish>(Operation::run(input<F, ftz>(x)...));
  }
};
template <class F, class Operation, bool ftz, Finish finish>
struct Pair {
  template <class... T>
  static uint32_t run(T... x) {
    uint32_t low = output<F, ftz, finish>(Operation::run(input<F, ftz>(static_cast<uint16_t>(x))...));
    uint32_t high = output<F, ftz, finish>(Operation::run(input<F, ftz>(static_cast<uint16_t>(x >> 16))...));
    return low | high << 16;
  }
};

template <class>
using Bits16 = uint16_t;
template <class>
using Bits32 = uint32_t;

template <class F, class Operation, bool ftz, Finish finish, class... S>
void addBoth(Forms& f, const std::string& stem, const std::string& type) {
  Form form{apply<Scalar<F, Operation, ftz, finish>, uint16_t, Bits16<S>...>, 4, {4, 4, 4}, true};
  for (size_t i = sizeof...(S); i < 3; ++i) form.sources[i] = 0;
  f[stem + "." + type] = form;
  form.run = apply<Pair<F, Operation, ftz, finish>, uint32_t, Bits32<S>...>;
  f[stem + "." + type + "x2"] = form;
}

template <uint32_t flip, uint32_t keep>
struct Signs {
  static uint32_t run(uint32_t a) { return (a & keep) ^ flip; }
};

template <class F>
void addTyped(Forms& f, const std::string& type, bool half) {
  for (const char* rounding : {"", ".rn"}) {
    std::string r = rounding;
    addBoth<F, Add, false, kPlain, int, int>(f, "add" + r, type);
    addBoth<F, Subtract, false, kPlain, int, int>(f, "sub" + r, type);
    addBoth<F, Multiply, false, kPlain, int, int>(f, "mul" + r, type);
    if (!half) continue;
    addBoth<F, Add, true, kPlain, int, int>(f, "add" + r + ".ftz", type);
    addBoth<F, Subtract, true, kPlain, int, int>(f, "sub" + r + ".ftz", type);
    addBoth<F, Multiply, true, kPlain, int, int>(f, "mul" + r + ".ftz", type);
    addBoth<F, Add, false, kSaturate, int, int>(f, "add" + r + ".sat", type);
    addBoth<F, Subtract, false, kSaturate, int, int>(f, "sub" + r + ".sat", type);
    addBoth<F, Multiply, false, kSaturate, int, int>(f, "mul" + r + ".sat", type);
  }
  addBoth<F, Fma, false, kPlain, int, int, int>(f, "fma.rn", type);
  addBoth<F, Fma, false, kRelu, int, int, int>(f, "fma.rn.relu", type);
  if (half) {
    addBoth<F, Fma, true, kPlain, int, int, int>(f, "fma.rn.ftz", type);
    addBoth<F, Fma, false, kSaturate, int, int, int>(f, "fma.rn.sat", type);
  }
  addBoth<F, Minimum, false, kPlain, int, int>(f, "min", type);
  addBoth<F, Maximum, false, kPlain, int, int>(f, "max", type);
  addBoth<F, MinimumNaN, false, kPlain, int, int>(f, "min.NaN", type);
  addBoth<F, MaximumNaN, false, kPlain, int, int>(f, "max.NaN", type);
  if (half)
    addBoth<F, Exp2, false, kPlain, int>(f, "ex2.approx", type);
  else
    addBoth<F, Exp2, true, kPlain, int>(f, "ex2.approx.ftz", type);
  addBoth<F, HyperbolicTangent, false, kPlain, int>(f, "tanh.approx", type);
  f["neg." + type] = {apply<Signs<0x8000, 0xFFFF>, uint32_t, uint32_t>, 4, {4}, true};
  f["abs." + type] = {apply<Signs<0, 0x7FFF>, uint32_t, uint32_t>, 4, {4}, true};
  f["neg." + type + "x2"] = {apply<Signs<0x80008000, 0xFFFFFFFF>, uint32_t, uint32_t>, 4, {4}, true};
  f["abs." + type + "x2"] = {apply<Signs<0, 0x7FFF7FFF>, uint32_t, uint32_t>, 4, {4}, true};
}

}  // namespace

void addHalfForms(Forms& f) {
  addTyped<Half>(f, "f16", true);
  addTyped<Bfloat>(f, "bf16", false);
}

}  // namespace softcuda
