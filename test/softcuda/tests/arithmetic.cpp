// Opcodes bit for bit against plain C++ on edge cases and random operands.
#include <cfenv>
#include <cmath>
#include <limits>
#include <random>

#include "harness.h"

using namespace softcuda;
using namespace softcuda::test;

namespace {

template <class T>
struct Kind;
template <>
struct Kind<float> {
  static constexpr const char *reg = "f32", *load = "f32";
};
template <>
struct Kind<double> {
  static constexpr const char *reg = "f64", *load = "f64";
};
template <>
struct Kind<uint32_t> {
  static constexpr const char *reg = "b32", *load = "b32";
};
template <>
struct Kind<int32_t> {
  static constexpr const char *reg = "b32", *load = "b32";
};
template <>
struct Kind<uint64_t> {
  static constexpr const char *reg = "b64", *load = "b64";
};
template <>
struct Kind<int64_t> {
  static constexpr const char *reg = "b64", *load = "b64";
};
template <>
struct Kind<uint16_t> {
  static constexpr const char *reg = "b16", *load = "b16";
};
template <>
struct Kind<int16_t> {
  static constexpr const char *reg = "b16", *load = "b16";
};

template <class T>
uint64_t bits(T x) {
  uint64_t u = 0;
  std::memcpy(&u, &x, sizeof x);
  return u;
}
float asFloat(uint32_t u) {
  float x;
  std::memcpy(&x, &u, 4);
  return x;
}

std::mt19937_64 randomBits(1);

template <class T>
std::vector<T> operands() {
  std::vector<T> v;
  if constexpr (std::is_floating_point_v<T>) {
    using L = std::numeric_limits<T>;
    for (T x : {T(0),
                T(1),
                T(2),
                T(0.5),
                T(1.5),
                T(2.5),
                T(3.25),
                L::min(),
                L::denorm_min(),
                L::min() / 4,
                L::max(),
                L::infinity(),
                L::epsilon(),
                T(65504),
                T(65520),
                T(2147483648.0),
                T(4294967296.0),
                T(127),
                T(255.5),
                T(1e-10)})
      v.push_back(x), v.push_back(-x);
    v.push_back(L::quiet_NaN());
    for (int n = 0; n < 24; ++n) {
      uint64_t u = randomBits();
      T x;
      std::memcpy(&x, &u, sizeof x);
      v.push_back(x == x ? x : T(n));
    }
    for (int n = 0; n < 24; ++n)
      v.push_back(static_cast<T>(static_cast<int64_t>(randomBits() >> 20)) * T(1e-12) - T(8));
  } else {
    using L = std::numeric_limits<T>;
    for (uint64_t x : {0ull,   1ull,      2ull,      3ull,       7ull,          15ull,         16ull,        31ull,
                       32ull,  33ull,     63ull,     64ull,      65ull,         127ull,        128ull,       255ull,
                       256ull, 0x8000ull, 0xFFFFull, 0x10000ull, 0x12345678ull, 0x80000000ull, 0xFFFFFFFFull})
      v.push_back(static_cast<T>(x)), v.push_back(static_cast<T>(0 - x));
    v.push_back(L::min()), v.push_back(L::max());
    for (int n = 0; n < 24; ++n) v.push_back(static_cast<T>(randomBits()));
    for (int n = 0; n < 8; ++n) v.push_back(static_cast<T>(randomBits() >> 58));
  }
  return v;
}

// `line` computes %d from %a, %b, %c.
template <class D, class... S>
std::vector<D> evaluate(const std::string& line, const std::vector<S>&... inputs) {
  const char* names[] = {"a", "b", "c"};
  const char* kinds[] = {Kind<S>::reg...};
  const char* loads[] = {Kind<S>::load...};
  size_t sizes[] = {sizeof(S)...}, n = std::get<0>(std::tie(inputs...)).size();
  std::string p = ".version 9.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 pd";
  for (size_t i = 0; i < sizeof...(S); ++i) p += std::string(", .param .u64 p") + names[i];
  p += ", .param .u32 n)\n{\n.reg .b32 %i, %t, %n;\n.reg .pred %p, %q;\n.reg .b64 %at, %o;\n.reg .";
  p += std::string(Kind<D>::reg) + " %d;\n";
  for (size_t i = 0; i < sizeof...(S); ++i) p += std::string(".reg .") + kinds[i] + " %" + names[i] + ";\n";
  p += "mov.u32 %i, %ctaid.x;\nmov.u32 %t, %tid.x;\nmad.lo.u32 %i, %i, 256, %t;\nld.param.u32 %n, [n];\n"
       "setp.ge.u32 %p, %i, %n;\n@%p exit;\n";
  for (size_t i = 0; i < sizeof...(S); ++i)
    p += std::string("ld.param.u64 %at, [p") + names[i] + "];\nmul.wide.u32 %o, %i, " + std::to_string(sizes[i]) +
         ";\nadd.s64 %at, %at, %o;\nld.global." + loads[i] + " %" + names[i] + ", [%at];\n";
  p += line + "\nld.param.u64 %at, [pd];\nmul.wide.u32 %o, %i, " + std::to_string(sizeof(D)) +
       ";\nadd.s64 %at, %at, %o;\nst.global." + Kind<D>::load + " [%at], %d;\nret;\n}\n";
  Device d(p);
  uint64_t out = d.empty(n * sizeof(D), "d");
  d.launch("k", {static_cast<unsigned>((n + 255) / 256)}, {256}, out, d.put(inputs, "in")..., static_cast<uint32_t>(n));
  return d.get<D>(out, n);
}

template <class D>
bool same(D got, D expected) {
  if constexpr (std::is_same_v<D, double>)
    if (expected != expected) return got != got;
  return bits(got) == bits(expected);
}

template <class D, class F, class... S>
void compare(const std::string& line, F reference, const std::vector<S>&... inputs) {
  std::vector<D> got = evaluate<D>(line, inputs...);
  for (size_t i = 0; i < got.size(); ++i) {
    D expected = reference(inputs[i]...);
    if (same(got[i], expected)) continue;
    std::string values;
    char text[40];
    for (uint64_t u : {bits(inputs[i])...})
      std::snprintf(text, sizeof text, " %llx", static_cast<unsigned long long>(u)), values += text;
    std::printf("%s of%s: got %llx, expected %llx\n", line.c_str(), values.c_str(),
                static_cast<unsigned long long>(bits(got[i])), static_cast<unsigned long long>(bits(expected)));
    ++failures;
    return;
  }
}

template <class D, class A, class F>
void unary(const std::string& op, F f) {
  compare<D>(op + " %d, %a;", f, operands<A>());
}
template <class D, class A, class B, class F>
void binary(const std::string& op, F f, const std::string& line = "") {
  std::vector<A> a;
  std::vector<B> b;
  for (A x : operands<A>())
    for (B y : operands<B>()) a.push_back(x), b.push_back(y);
  compare<D>(line.empty() ? op + " %d, %a, %b;" : line, f, a, b);
}
template <class D, class A, class B, class C, class F>
void ternary(const std::string& op, F f, const std::string& line = "") {
  auto x = operands<A>();
  auto y = operands<B>();
  auto z = operands<C>();
  std::vector<A> a;
  std::vector<B> b;
  std::vector<C> c;
  for (int n = 0; n < 8192; ++n) {
    a.push_back(x[randomBits() % x.size()]);
    b.push_back(y[randomBits() % y.size()]);
    c.push_back(z[randomBits() % z.size()]);
  }
  compare<D>(line.empty() ? op + " %d, %a, %b, %c;" : line, f, a, b, c);
}

float nan32(float x) { return x == x ? x : asFloat(0x7FFFFFFF); }
float flush(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; }
float clamp01(float x) { return x > 0 ? std::fmin(x, 1.0f) : 0.0f; }
template <class F>
auto rounded(int mode, F f) {
  return [=](auto... x) {
    std::fesetround(mode);
    volatile auto r = f(x...);
    std::fesetround(FE_TONEAREST);
    return nan32(r);
  };
}

TEST(float32) {
  binary<float, float, float>("add.f32", [](float a, float b) { return nan32(a + b); });
  binary<float, float, float>("sub.rn.f32", [](float a, float b) { return nan32(a - b); });
  binary<float, float, float>("mul.f32", [](float a, float b) { return nan32(a * b); });
  binary<float, float, float>("div.rn.f32", [](float a, float b) { return nan32(a / b); });
  binary<float, float, float>("add.ftz.f32", [](float a, float b) { return nan32(flush(flush(a) + flush(b))); });
  binary<float, float, float>("mul.rn.ftz.f32", [](float a, float b) { return nan32(flush(flush(a) * flush(b))); });
  binary<float, float, float>("add.sat.f32", [](float a, float b) { return clamp01(a + b); });
  binary<float, float, float>("min.f32", [](float a, float b) {
    return nan32(a != a ? b : b != b ? a : a == b ? (std::signbit(a) ? a : b) : std::min(a, b));
  });
  binary<float, float, float>("max.f32", [](float a, float b) {
    return nan32(a != a ? b : b != b ? a : a == b ? (std::signbit(a) ? b : a) : std::max(a, b));
  });
  binary<float, float, float>("max.NaN.f32", [](float a, float b) {
    return nan32(a != a || b != b ? NAN : a == b ? (std::signbit(a) ? b : a) : std::max(a, b));
  });
  binary<float, float, float>("copysign.f32", [](float a, float b) { return std::copysign(b, a); });
  ternary<float, float, float, float>("fma.rn.f32", [](float a, float b, float c) { return nan32(std::fma(a, b, c)); });
  ternary<float, float, float, float>(
      "fma.rn.ftz.f32", [](float a, float b, float c) { return nan32(flush(std::fma(flush(a), flush(b), flush(c)))); });
  ternary<float, float, float, float>("fma.rn.sat.f32",
                                      [](float a, float b, float c) { return clamp01(std::fma(a, b, c)); });
  unary<float, float>("sqrt.rn.f32", [](float a) { return nan32(std::sqrt(a)); });
  unary<float, float>("rcp.rn.f32", [](float a) { return nan32(1 / a); });
  unary<float, float>("neg.f32", [](float a) { return asFloat(static_cast<uint32_t>(bits(a)) ^ 0x80000000u); });
  unary<float, float>("abs.ftz.f32", [](float a) { return std::fabs(flush(a)); });
}
TEST(float32_roundings) {
  auto add = [](float a, float b) {
    volatile float x = a, y = b;
    return x + y;
  };
  auto multiply = [](float a, float b) {
    volatile float x = a, y = b;
    return x * y;
  };
  auto divide = [](float a, float b) {
    volatile float x = a, y = b;
    return x / y;
  };
  auto fused = [](float a, float b, float c) {
    volatile float x = a, y = b, z = c;
    return std::fma(x, y, z);
  };
  const std::pair<const char*, int> modes[] = {{"rz", FE_TOWARDZERO}, {"rm", FE_DOWNWARD}, {"rp", FE_UPWARD}};
  for (auto [name, mode] : modes) {
    std::string r = name;
    binary<float, float, float>("add." + r + ".f32", rounded(mode, add));
    binary<float, float, float>("mul." + r + ".f32", rounded(mode, multiply));
    binary<float, float, float>("div." + r + ".f32", rounded(mode, divide));
    ternary<float, float, float, float>("fma." + r + ".f32", rounded(mode, fused));
  }
}
TEST(float32_approximations) {
  auto near = [](const char* op, double (*f)(double), double low, double high) {
    std::vector<float> x;
    for (int n = 0; n <= 1000; ++n) x.push_back(static_cast<float>(low + (high - low) * n / 1000));
    std::vector<float> y = evaluate<float>(std::string(op) + " %d, %a;", x);
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i)
      worst = std::max(worst, std::fabs(y[i] - f(x[i])) / std::max(1.0, std::fabs(f(x[i]))));
    if (!(worst < 1e-6)) std::printf("%s: %g\n", op, worst), ++failures;
  };
  near("ex2.approx.ftz.f32", std::exp2, -20, 20);
  near("lg2.approx.f32", std::log2, 0.01, 100);
  near("sin.approx.f32", std::sin, -3, 3);
  near("cos.approx.ftz.f32", std::cos, -3, 3);
  near("tanh.approx.f32", std::tanh, -5, 5);
  near("rsqrt.approx.f32", [](double x) { return 1 / std::sqrt(x); }, 0.1, 10);
  near("sqrt.approx.ftz.f32", std::sqrt, 0, 10);
  near("rcp.approx.ftz.f32", [](double x) { return 1 / x; }, 0.1, 10);
}
TEST(float64) {
  binary<double, double, double>("add.f64", [](double a, double b) { return a + b; });
  binary<double, double, double>("sub.rn.f64", [](double a, double b) { return a - b; });
  binary<double, double, double>("mul.rn.f64", [](double a, double b) { return a * b; });
  binary<double, double, double>("div.rn.f64", [](double a, double b) { return a / b; });
  ternary<double, double, double, double>("fma.rn.f64", [](double a, double b, double c) { return std::fma(a, b, c); });
  unary<double, double>("sqrt.rn.f64", [](double a) { return std::sqrt(a); });
  unary<double, double>("rcp.rn.f64", [](double a) { return 1 / a; });
}

template <class T>
void integerTests(const std::string& t) {
  using U = std::make_unsigned_t<T>;
  using W = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
  constexpr int n = sizeof(T) * 8;
  binary<T, T, T>("add." + t, [](T a, T b) { return static_cast<T>(U(a) + U(b)); });
  binary<T, T, T>("sub." + t, [](T a, T b) { return static_cast<T>(U(a) - U(b)); });
  binary<T, T, T>("mul.lo." + t, [](T a, T b) { return static_cast<T>(static_cast<unsigned __int128>(W(a) * W(b))); });
  binary<T, T, T>("mul.hi." + t, [](T a, T b) { return static_cast<T>(W(a) * W(b) >> n); });
  binary<T, T, T>("min." + t, [](T a, T b) { return std::min(a, b); });
  binary<T, T, T>("max." + t, [](T a, T b) { return std::max(a, b); });
  binary<T, T, T>("div." + t, [](T a, T b) { return b == 0 ? T(-1) : static_cast<T>(W(a) / W(b)); });
  binary<T, T, T>("rem." + t, [](T a, T b) { return b == 0 ? a : static_cast<T>(W(a) % W(b)); });
  ternary<T, T, T, T>("mad.lo." + t,
                      [](T a, T b, T c) { return static_cast<T>(static_cast<unsigned __int128>(W(a) * W(b)) + U(c)); });
  ternary<T, T, T, T>("mad.hi." + t, [](T a, T b, T c) { return static_cast<T>(U(W(a) * W(b) >> n) + U(c)); });
  binary<T, T, uint32_t>("shr." + t,
                         [](T a, uint32_t b) { return static_cast<T>(W(a) >> std::min<uint32_t>(b, 127)); });
}
TEST(integers) {
  integerTests<uint16_t>("u16");
  integerTests<int16_t>("s16");
  integerTests<uint32_t>("u32");
  integerTests<int32_t>("s32");
  integerTests<uint64_t>("u64");
  integerTests<int64_t>("s64");
}
TEST(wide_products) {
  binary<uint64_t, uint32_t, uint32_t>("mul.wide.u32", [](uint32_t a, uint32_t b) { return uint64_t{a} * b; });
  binary<int64_t, int32_t, int32_t>("mul.wide.s32", [](int32_t a, int32_t b) { return int64_t{a} * b; });
  binary<int32_t, int16_t, int16_t>("mul.wide.s16", [](int16_t a, int16_t b) { return int32_t{a} * b; });
  ternary<uint64_t, uint32_t, uint32_t, uint64_t>(
      "mad.wide.u32", [](uint32_t a, uint32_t b, uint64_t c) { return uint64_t{a} * b + c; });
  ternary<int64_t, int32_t, int32_t, int64_t>("mad.wide.s32", [](int32_t a, int32_t b, int64_t c) {
    return static_cast<int64_t>(static_cast<uint64_t>(int64_t{a} * b) + static_cast<uint64_t>(c));
  });
}
template <class T>
void bitTests(const std::string& t) {
  constexpr unsigned n = sizeof(T) * 8;
  binary<T, T, T>("and." + t, [](T a, T b) { return static_cast<T>(a & b); });
  binary<T, T, T>("or." + t, [](T a, T b) { return static_cast<T>(a | b); });
  binary<T, T, T>("xor." + t, [](T a, T b) { return static_cast<T>(a ^ b); });
  unary<T, T>("not." + t, [](T a) { return static_cast<T>(~a); });
  binary<T, T, uint32_t>("shl." + t, [](T a, uint32_t b) { return b < n ? static_cast<T>(a << b) : T(0); });
  binary<T, T, uint32_t>("shr." + t, [](T a, uint32_t b) { return b < n ? static_cast<T>(a >> b) : T(0); });
  if constexpr (sizeof(T) >= 4) {
    unary<uint32_t, T>("popc." + t, [](T a) {
      uint32_t c = 0;
      for (; a; a &= a - 1) ++c;
      return c;
    });
    unary<uint32_t, T>("clz." + t, [](T a) {
      uint32_t c = 0;
      while (c < n && !(a >> (n - 1 - c) & 1)) ++c;
      return c;
    });
    unary<T, T>("brev." + t, [](T a) {
      T r = 0;
      for (unsigned k = 0; k < n; ++k) r = r << 1 | (a >> k & 1);
      return r;
    });
    ternary<T, T, T, uint32_t>(
        "bfi." + t,
        [](T a, T b, uint32_t c) {
          unsigned at = c & 0xFF;
          T mask = at < n ? T(0x7F) << at : 0;
          return static_cast<T>((b & ~mask) | (at < n ? a << at & mask : 0));
        },
        "bfi." + t + " %d, %a, %b, %c, 7;");
  }
}
TEST(bits_of_integers) {
  bitTests<uint16_t>("b16");
  bitTests<uint32_t>("b32");
  bitTests<uint64_t>("b64");
  auto field = [](auto a, uint32_t b, uint32_t c) {
    using T = decltype(a);
    constexpr unsigned n = sizeof(T) * 8;
    unsigned at = b & 0xFF, length = c & 0xFF;
    std::make_unsigned_t<T> u = a, r = 0;
    if (length == 0) return T(0);
    for (unsigned k = 0; k < n; ++k) {
      unsigned from = std::min(at + std::min(k, length - 1), n - 1);  // beyond the field or the register: its top bit
      bool beyond = k >= length || at + k >= n;
      if (beyond && !std::is_signed_v<T>) continue;
      r |= static_cast<std::make_unsigned_t<T>>(u >> from & 1) << k;
    }
    return static_cast<T>(r);
  };
  ternary<uint32_t, uint32_t, uint32_t, uint32_t>("bfe.u32", field);
  ternary<int32_t, int32_t, uint32_t, uint32_t>("bfe.s32", field);
  ternary<uint64_t, uint64_t, uint32_t, uint32_t>("bfe.u64", field);
  ternary<int64_t, int64_t, uint32_t, uint32_t>("bfe.s64", field);
  ternary<uint32_t, uint32_t, uint32_t, uint32_t>("prmt.b32", [](uint32_t a, uint32_t b, uint32_t c) {
    uint32_t r = 0;
    for (int k = 0; k < 4; ++k) {
      uint32_t s = c >> 4 * k & 15, byte = (s & 4 ? b : a) >> 8 * (s & 3) & 255;
      r |= (s & 8 ? (byte >> 7) * 255 : byte) << 8 * k;
    }
    return r;
  });
  for (unsigned table : {0xE8u, 0x96u, 0xCAu, 0x01u, 0x80u, 0x6Au, 0x3Cu})
    ternary<uint32_t, uint32_t, uint32_t, uint32_t>(
        "lop3.b32",
        [=](uint32_t a, uint32_t b, uint32_t c) {
          uint32_t r = 0;
          for (int k = 0; k < 32; ++k) r |= (table >> ((a >> k & 1) * 4 + (b >> k & 1) * 2 + (c >> k & 1)) & 1) << k;
          return r;
        },
        "lop3.b32 %d, %a, %b, %c, " + std::to_string(table) + ";");
  ternary<uint32_t, uint32_t, uint32_t, uint32_t>("shf.l.wrap.b32", [](uint32_t a, uint32_t b, uint32_t c) {
    return c % 32 ? b << c % 32 | a >> (32 - c % 32) : b;
  });
  ternary<uint32_t, uint32_t, uint32_t, uint32_t>("shf.r.clamp.b32", [](uint32_t a, uint32_t b, uint32_t c) {
    return c >= 32 ? b : c ? a >> c | b << (32 - c) : a;
  });
}
TEST(carries) {
  // 128-bit sums in pieces of 64, from operands of 64 bits: (a, b) + (b, c)
  ternary<uint64_t, uint64_t, uint64_t, uint64_t>(
      "add.cc",
      [](uint64_t a, uint64_t b, uint64_t c) {
        unsigned __int128 x = static_cast<unsigned __int128>(b) << 64 | a,
                          y = static_cast<unsigned __int128>(c) << 64 | b;
        return static_cast<uint64_t>((x + y) >> 64);
      },
      "{ .reg .b64 l; add.cc.u64 l, %a, %b; addc.u64 %d, %b, %c; }");
  ternary<uint32_t, uint32_t, uint32_t, uint32_t>(
      "sub.cc",
      [](uint32_t a, uint32_t b, uint32_t c) {
        uint64_t x = uint64_t{b} << 32 | a, y = uint64_t{c} << 32 | b;
        return static_cast<uint32_t>((x - y) >> 32);
      },
      "{ .reg .b32 l; sub.cc.u32 l, %a, %b; subc.u32 %d, %b, %c; }");
  ternary<uint32_t, uint32_t, uint32_t, uint32_t>(
      "mad.cc", [](uint32_t a, uint32_t b, uint32_t c) { return static_cast<uint32_t>((uint64_t{a} * b + c) >> 32); },
      "{ .reg .b32 l; mad.lo.cc.u32 l, %a, %b, %c; madc.hi.u32 %d, %a, %b, 0; }");
}

template <class T>
void comparisons(const std::string& t, bool floating) {
  struct Row {
    const char* name;
    bool (*f)(T, T);
  };
  std::vector<Row> rows = {{"eq", [](T a, T b) { return a == b; }}, {"lt", [](T a, T b) { return a < b; }},
                           {"le", [](T a, T b) { return a <= b; }}, {"gt", [](T a, T b) { return a > b; }},
                           {"ge", [](T a, T b) { return a >= b; }}, {"ne", [](T a, T b) { return a < b || a > b; }}};
  if (floating)
    for (Row r : std::vector<Row>{{"equ", [](T a, T b) { return !(a < b || a > b); }},
                                  {"neu", [](T a, T b) { return !(a == b); }},
                                  {"ltu", [](T a, T b) { return !(a >= b); }},
                                  {"leu", [](T a, T b) { return !(a > b); }},
                                  {"gtu", [](T a, T b) { return !(a <= b); }},
                                  {"geu", [](T a, T b) { return !(a < b); }},
                                  {"num", [](T a, T b) { return a == a && b == b; }},
                                  {"nan", [](T a, T b) { return a != a || b != b; }}})
      rows.push_back(r);
  for (const Row& r : rows) {
    std::string op = std::string("setp.") + r.name + "." + t;
    auto f = r.f;
    binary<uint32_t, T, T>(
        op, [=](T a, T b) { return f(a, b) ? 1u : 2u; }, op + " %p, %a, %b;\nselp.b32 %d, 1, 2, %p;");
  }
  auto f = rows[1].f;
  binary<uint32_t, T, T>(
      "setp.and", [=](T a, T b) { return (f(a, b) && a == a ? 1u : 0u) + (!f(a, b) && a == a ? 2u : 0u); },
      "{ .reg .pred c; .reg .b32 x; setp.eq." + t + " c, %a, %a;\nsetp.lt.and." + t +
          " %p|%q, %a, %b, c;\nselp.b32 %d, 1, 0, %p;\nselp.b32 x, 2, 0, %q;\nadd.u32 %d, %d, x; }");
}
TEST(comparing) {
  comparisons<float>("f32", true);
  comparisons<double>("f64", true);
  comparisons<uint32_t>("u32", false);
  comparisons<int32_t>("s32", false);
  comparisons<uint64_t>("u64", false);
  comparisons<int64_t>("s64", false);
  comparisons<int16_t>("s16", false);
}

template <class I, class F>
I toInteger(F x) {
  constexpr bool big = sizeof(I) == 8 || sizeof(F) == 8;
  if (x != x) return big ? static_cast<I>(uint64_t{1} << (sizeof(I) * 8 - 1)) : I(0);
  long double v = x;
  if (v <= static_cast<long double>(std::numeric_limits<I>::min())) return std::numeric_limits<I>::min();
  if (v >= static_cast<long double>(std::numeric_limits<I>::max())) return std::numeric_limits<I>::max();
  return static_cast<I>(v);
}
TEST(conversions) {
  unary<int32_t, float>("cvt.rzi.s32.f32", [](float x) { return toInteger<int32_t>(std::trunc(x)); });
  unary<int32_t, float>("cvt.rni.s32.f32", [](float x) { return toInteger<int32_t>(std::nearbyint(x)); });
  unary<int32_t, float>("cvt.rmi.s32.f32", [](float x) { return toInteger<int32_t>(std::floor(x)); });
  unary<int32_t, float>("cvt.rpi.s32.f32", [](float x) { return toInteger<int32_t>(std::ceil(x)); });
  unary<uint32_t, float>("cvt.rzi.u32.f32", [](float x) { return toInteger<uint32_t>(std::trunc(x)); });
  unary<int64_t, float>("cvt.rzi.s64.f32", [](float x) { return toInteger<int64_t>(std::trunc(x)); });
  unary<int32_t, double>("cvt.rni.s32.f64", [](double x) { return toInteger<int32_t>(std::nearbyint(x)); });
  unary<uint64_t, double>("cvt.rzi.u64.f64", [](double x) { return toInteger<uint64_t>(std::trunc(x)); });
  unary<float, float>("cvt.rni.f32.f32", [](float x) { return nan32(std::nearbyint(x)); });
  unary<float, float>("cvt.rmi.ftz.f32.f32", [](float x) { return nan32(std::floor(flush(x))); });
  unary<float, float>("cvt.sat.f32.f32", [](float x) { return clamp01(x); });
  unary<float, int32_t>("cvt.rn.f32.s32", [](int32_t x) { return static_cast<float>(x); });
  unary<float, uint32_t>("cvt.rn.f32.u32", [](uint32_t x) { return static_cast<float>(x); });
  unary<float, uint64_t>("cvt.rn.f32.u64", [](uint64_t x) { return static_cast<float>(x); });
  unary<float, uint32_t>("cvt.rz.f32.u32", [](uint32_t x) {
    float r = static_cast<float>(x);
    return static_cast<double>(r) > x ? std::nextafter(r, 0.0f) : r;
  });
  unary<double, int64_t>("cvt.rn.f64.s64", [](int64_t x) { return static_cast<double>(x); });
  unary<double, float>("cvt.f64.f32", [](float x) { return static_cast<double>(x); });
  unary<float, double>("cvt.rn.f32.f64", [](double x) { return nan32(static_cast<float>(x)); });
  unary<float, double>("cvt.rz.f32.f64", [](double x) {
    std::fesetround(FE_TOWARDZERO);
    volatile double in = x;
    volatile float r = static_cast<float>(in);
    std::fesetround(FE_TONEAREST);
    return nan32(r);
  });
  unary<int64_t, int32_t>("cvt.s64.s32", [](int32_t x) { return int64_t{x}; });
  unary<uint64_t, uint32_t>("cvt.u64.u32", [](uint32_t x) { return uint64_t{x}; });
  unary<uint32_t, uint64_t>("cvt.u32.u64", [](uint64_t x) { return static_cast<uint32_t>(x); });
  unary<int32_t, uint32_t>("cvt.s32.s8", [](uint32_t x) { return int32_t{static_cast<int8_t>(x)}; });
  unary<uint32_t, uint32_t>("cvt.u32.u16", [](uint32_t x) { return x & 0xFFFF; });
  unary<int32_t, uint16_t>("cvt.s32.s16", [](uint16_t x) { return int32_t{static_cast<int16_t>(x)}; });
  unary<uint16_t, int32_t>("cvt.sat.u8.s32", [](int32_t x) { return static_cast<uint16_t>(std::clamp(x, 0, 255)); });
  unary<uint32_t, float>("cvt.rna.tf32.f32", [](float x) {
    uint32_t u = static_cast<uint32_t>(bits(x));
    if ((u & 0x7F800000) == 0x7F800000) return u & 0x7FFFFF ? 0x7FFFFFFFu : u;
    return (u + 0x1000) & ~0x1FFFu;
  });
}

// float32 to bfloat16 and binary16 by search: the nearest of all 65536, ties to the even one
struct HalfValues {
  std::vector<std::pair<double, uint16_t>> sorted;
  bool bfloat;
  explicit HalfValues(bool bfloat) : bfloat(bfloat) {
    for (uint32_t u = 0; u < 0x8000; ++u) {
      int exponent = bfloat ? u >> 7 : u >> 10, mantissa = bfloat ? u & 127 : u & 1023;
      if (exponent == (bfloat ? 255 : 31)) break;
      double v = bfloat ? std::ldexp(exponent ? mantissa + 128 : mantissa, std::max(exponent, 1) - 127 - 7)
                        : std::ldexp(exponent ? mantissa + 1024 : mantissa, std::max(exponent, 1) - 15 - 10);
      sorted.push_back({v, static_cast<uint16_t>(u)});
    }
  }
  uint16_t nearest(double x) const {
    if (x != x) return 0x7FFF;
    uint16_t sign = std::signbit(x) ? 0x8000 : 0;
    x = std::fabs(x);
    double step = sorted.back().first - sorted[sorted.size() - 2].first;
    uint16_t infinity = bfloat ? 0x7F80 : 0x7C00;
    if (x >= sorted.back().first + step / 2) return sign | infinity;
    auto above = std::lower_bound(sorted.begin(), sorted.end(), std::make_pair(x, uint16_t{0}));
    if (above == sorted.end()) return sign | sorted.back().second;
    if (above == sorted.begin() || above->first == x) return sign | above->second;
    auto below = above - 1;
    double up = above->first - x, down = x - below->first;
    bool takeUp = up < down || (up == down && above->second % 2 == 0);
    return sign | (takeUp ? above->second : below->second);
  }
  double value(uint16_t u) const {
    uint16_t magnitude = u & 0x7FFF;
    double v = magnitude < sorted.size() ? sorted[magnitude].first : magnitude == sorted.size() ? INFINITY : NAN;
    return u & 0x8000 ? -v : v;
  }
};
TEST(sixteen_bit_floats) {
  for (bool bfloat : {false, true}) {
    HalfValues h(bfloat);
    std::string t = bfloat ? "bf16" : "f16";
    std::vector<float> x = operands<float>();
    for (int n = 0; n < 4000; ++n)
      x.push_back(static_cast<float>(
          std::ldexp(static_cast<double>(randomBits() >> 32), static_cast<int>(randomBits() % 60) - 60)));
    for (int n = 0; n < 2000; ++n) {  // halfway between two
      const auto& at = h.sorted[randomBits() % (h.sorted.size() - 1)];
      x.push_back(static_cast<float>((at.first + (&at)[1].first) / 2));
    }
    compare<uint16_t>("cvt.rn." + t + ".f32 %d, %a;", [&](float v) { return h.nearest(v); }, x);
    std::vector<uint16_t> all(65536);
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
    compare<float>("cvt.f32." + t + " %d, %a;", [&](uint16_t u) { return nan32(static_cast<float>(h.value(u))); }, all);
    std::vector<float> y(x.rbegin(), x.rend());
    compare<uint32_t>(
        "cvt.rn." + t + "x2.f32 %d, %a, %b;",
        [&](float a, float b) { return static_cast<uint32_t>(h.nearest(a)) << 16 | h.nearest(b); }, x, y);
    std::vector<uint16_t> a, b, c;
    for (int n = 0; n < 20000; ++n) a.push_back(randomBits()), b.push_back(randomBits()), c.push_back(randomBits());
    auto exact = [&](uint16_t p, uint16_t q, uint16_t r) {  // in long double, 64 bits of mantissa; sticky below
      long double product = static_cast<long double>(h.value(p)) * h.value(q), s = product + h.value(r);
      long double back = s - product, error = (product - (s - back)) + (h.value(r) - back);
      double d = static_cast<double>(s);
      if (std::isfinite(d) && (error != 0 || static_cast<long double>(d) != s)) {
        uint64_t u = bits(d);
        bool up = static_cast<long double>(d) == s ? error > 0 : s > d;
        if (!(u & 1)) u += up == (d > 0) ? 1 : -1;
        std::memcpy(&d, &u, 8);
      }
      return h.nearest(d);
    };
    compare<uint16_t>("fma.rn." + t + " %d, %a, %b, %c;", exact, a, b, c);
    compare<uint16_t>(
        "add." + t + " %d, %a, %b;", [&](uint16_t p, uint16_t q) { return exact(p, h.nearest(1), q); }, a, b);
    compare<uint16_t>(
        "mul." + t + " %d, %a, %b;", [&](uint16_t p, uint16_t q) { return h.nearest(h.value(p) * h.value(q)); }, a, b);
  }
}

TEST(rarer_integer_opcodes) {
  auto highest = [](auto a) {
    using T = decltype(a);
    std::make_unsigned_t<T> v = a < 0 ? ~a : a;
    uint32_t r = ~0u;
    for (unsigned k = 0; k < sizeof(T) * 8; ++k)
      if (v >> k & 1) r = k;
    return r;
  };
  unary<uint32_t, uint32_t>("bfind.u32", highest);
  unary<uint32_t, int32_t>("bfind.s32", highest);
  unary<uint32_t, uint64_t>("bfind.u64", highest);
  unary<uint32_t, int32_t>("bfind.shiftamt.s32", [=](int32_t a) { return highest(a) == ~0u ? ~0u : 31 - highest(a); });
  unary<int32_t, int32_t>("abs.s32",
                          [](int32_t a) { return a < 0 ? static_cast<int32_t>(0u - static_cast<uint32_t>(a)) : a; });
  unary<int64_t, int64_t>("neg.s64", [](int64_t a) { return static_cast<int64_t>(0ull - static_cast<uint64_t>(a)); });
  unary<uint32_t, uint32_t>("cnot.b32", [](uint32_t a) { return a ? 0u : 1u; });
  binary<int32_t, int32_t, int32_t>("add.sat.s32", [](int32_t a, int32_t b) {
    return static_cast<int32_t>(std::clamp<int64_t>(int64_t{a} + b, INT32_MIN, INT32_MAX));
  });
  binary<int32_t, int32_t, int32_t>("mul24.lo.s32", [](int32_t a, int32_t b) {
    int64_t x = static_cast<int32_t>(static_cast<uint32_t>(a) << 8) >> 8,
            y = static_cast<int32_t>(static_cast<uint32_t>(b) << 8) >> 8;
    return static_cast<int32_t>(x * y);
  });
  ternary<uint32_t, int32_t, int32_t, uint32_t>("sad.s32", [](int32_t a, int32_t b, uint32_t c) {
    return static_cast<uint32_t>(c + static_cast<uint64_t>(a < b ? int64_t{b} - a : int64_t{a} - b));
  });
  ternary<int32_t, uint32_t, uint32_t, int32_t>("dp4a.s32.u32", [](uint32_t a, uint32_t b, int32_t c) {
    int64_t s = c;
    for (int k = 0; k < 4; ++k) s += static_cast<int8_t>(a >> 8 * k) * static_cast<int>(b >> 8 * k & 255);
    return static_cast<int32_t>(s);
  });
  ternary<uint32_t, uint32_t, uint32_t, int32_t>("slct.b32.s32",
                                                 [](uint32_t a, uint32_t b, int32_t c) { return c >= 0 ? a : b; });
  ternary<uint32_t, uint32_t, uint32_t, float>("slct.b32.f32",
                                               [](uint32_t a, uint32_t b, float c) { return c >= 0 ? a : b; });
}
TEST(sets_and_properties) {
  binary<uint32_t, float, float>("set.lt.u32.f32", [](float a, float b) { return a < b ? ~0u : 0u; });
  binary<float, float, float>("set.geu.f32.f32", [](float a, float b) { return a < b ? 0.0f : 1.0f; });
  auto property = [](const char* name, bool (*f)(float)) {
    compare<uint32_t>(
        std::string("testp.") + name + ".f32 %p, %a; selp.b32 %d, 1, 0, %p;", [=](float a) { return f(a) ? 1u : 0u; },
        operands<float>());
  };
  property("finite", [](float a) { return std::isfinite(a); });
  property("infinite", [](float a) { return std::isinf(a); });
  property("number", [](float a) { return a == a; });
  property("notanumber", [](float a) { return a != a; });
  property("normal", [](float a) { return std::isnormal(a); });
  property("subnormal", [](float a) { return std::fpclassify(a) == FP_SUBNORMAL; });
}
// Both halves of a pair are what the single opcode gives.
TEST(pairs_of_sixteen_bit_floats) {
  std::vector<uint32_t> a, b, c;
  for (int n = 0; n < 8000; ++n) a.push_back(randomBits()), b.push_back(randomBits()), c.push_back(randomBits());
  std::vector<uint16_t> halves[2][3];
  for (int h = 0; h < 2; ++h)
    for (size_t i = 0; i < a.size(); ++i) {
      halves[h][0].push_back(static_cast<uint16_t>(a[i] >> 16 * h));
      halves[h][1].push_back(static_cast<uint16_t>(b[i] >> 16 * h));
      halves[h][2].push_back(static_cast<uint16_t>(c[i] >> 16 * h));
    }
  for (std::string op : {"add.f16", "sub.f16", "mul.f16", "min.f16", "max.NaN.f16", "add.ftz.f16", "mul.sat.f16",
                         "min.bf16", "max.bf16", "set.lt.f16.f16", "set.geu.bf16.bf16"}) {
    size_t dot = op.find(op.find("bf16") != std::string::npos ? "bf16" : "f16");
    std::string type = op.substr(dot, op.find("f16", dot) + 3 - dot);
    std::string pair = op.substr(0, dot) + type + "x2" + (op.substr(0, 3) == "set" ? "." + type + "x2" : "");
    std::vector<uint16_t> r[2];
    for (int h = 0; h < 2; ++h) r[h] = evaluate<uint16_t>(op + " %d, %a, %b;", halves[h][0], halves[h][1]);
    std::vector<uint32_t> expected(a.size());
    for (size_t i = 0; i < a.size(); ++i) expected[i] = r[0][i] | static_cast<uint32_t>(r[1][i]) << 16;
    EXPECT(evaluate<uint32_t>(pair + " %d, %a, %b;", a, b) == expected);
  }
  std::vector<uint16_t> r[2];
  for (int h = 0; h < 2; ++h)
    r[h] = evaluate<uint16_t>("fma.rn.bf16 %d, %a, %b, %c;", halves[h][0], halves[h][1], halves[h][2]);
  std::vector<uint32_t> expected(a.size());
  for (size_t i = 0; i < a.size(); ++i) expected[i] = r[0][i] | static_cast<uint32_t>(r[1][i]) << 16;
  EXPECT(evaluate<uint32_t>("fma.rn.bf16x2 %d, %a, %b, %c;", a, b, c) == expected);
}

}  // namespace
