#include <cmath>

#include "builder.h"
#include "half.h"
#include "ops.h"

namespace softcuda {
namespace {

#define COMPARISON(Name, expression) \
  struct Name {                      \
    template <class T>               \
    static bool run(T a, T b) {      \
      return expression;             \
    }                                \
  }
COMPARISON(Equal, a == b);
COMPARISON(NotEqual, a<b || a> b);  // ordered
COMPARISON(Less, a < b);
COMPARISON(LessEqual, a <= b);
COMPARISON(Greater, a > b);
COMPARISON(GreaterEqual, a >= b);
COMPARISON(EqualU, !(a < b || a > b));
COMPARISON(NotEqualU, a != b);
COMPARISON(LessU, !(a >= b));
COMPARISON(LessEqualU, !(a > b));
COMPARISON(GreaterU, !(a <= b));
COMPARISON(GreaterEqualU, !(a < b));
COMPARISON(Numbers, a == a && b == b);
COMPARISON(NaNs, a != a || b != b);

inline float flush(float x) {
  uint32_t u;
  std::memcpy(&u, &x, 4);
  u = (u & 0x7F800000u) == 0 ? u & 0x80000000u : u;
  std::memcpy(&x, &u, 4);
  return x;
}

template <class T>
struct Plain {
  using Stored = T;
  static T get(T x) { return x; }
};
struct Flushed {
  using Stored = float;
  static float get(float x) { return flush(x); }
};
template <class F>
struct Short {
  using Stored = uint16_t;
  static float get(uint16_t x) { return F::decode(x); }
};

// d: predicate, extra: second destination or ~0, c: predicate to combine with, flags: 0 none, 1 and, 2 or, 3 xor
inline void finish(Warp& w, const Instruction& i, uint32_t mask, uint32_t result) {
  uint32_t c = w.predicates[i.c];
  auto combine = [&](uint32_t r) { return i.flags == 0 ? r : i.flags == 1 ? r & c : i.flags == 2 ? r | c : r ^ c; };
  uint32_t p = combine(result), q = combine(~result);
  w.predicates[i.d] = (w.predicates[i.d] & ~mask) | (p & mask);
  if (i.extra != kAll) w.predicates[i.extra] = (w.predicates[i.extra] & ~mask) | (q & mask);
}

template <class Comparison, class Access>
uint32_t compare(const Warp& w, const Instruction& i) {
  using T = typename Access::Stored;
  const auto* a = w.lanes<SlotOf<T>>(i.a);
  const auto* b = w.lanes<SlotOf<T>>(i.b);
  uint32_t result = 0;
  for (unsigned l = 0; l < kLanes; ++l)
    result |= static_cast<uint32_t>(Comparison::run(Access::get(value<T>(a[l])), Access::get(value<T>(b[l])))) << l;
  return result;
}

template <class Comparison, class Access>
void setPredicate(Warp& w, const Instruction& i, uint32_t mask) {
  finish(w, i, mask, compare<Comparison, Access>(w, i));
}
template <class Comparison, class Access, bool floatResult>
void setValue(Warp& w, const Instruction& i, uint32_t mask) {
  uint32_t result = compare<Comparison, Access>(w, i), c = w.predicates[i.c];
  result = i.flags == 0 ? result : i.flags == 1 ? result & c : i.flags == 2 ? result | c : result ^ c;
  uint32_t* d = w.lanes<uint32_t>(i.d);
  for (unsigned l = 0; l < kLanes; ++l)
    if (bit(mask, l)) d[l] = bit(result, l) ? (floatResult ? 0x3F800000u : ~0u) : 0;
}

enum Output { kPredicate, kMask, kFloat };
template <class Comparison, class Access>
Handler chooseOutput(Output output) {
  return output == kPredicate ? setPredicate<Comparison, Access>
         : output == kMask    ? setValue<Comparison, Access, false>
                              : setValue<Comparison, Access, true>;
}

template <class Access>
Handler choose(std::string_view name, bool floating, bool isSigned, Output output) {
  (void)isSigned;
  if (name == "eq") return chooseOutput<Equal, Access>(output);
  if (name == "ne") return floating ? chooseOutput<NotEqual, Access>(output) : chooseOutput<NotEqualU, Access>(output);
  if (name == "lt" || name == "lo") return chooseOutput<Less, Access>(output);
  if (name == "le" || name == "ls") return chooseOutput<LessEqual, Access>(output);
  if (name == "gt" || name == "hi") return chooseOutput<Greater, Access>(output);
  if (name == "ge" || name == "hs") return chooseOutput<GreaterEqual, Access>(output);
  if (name == "equ") return chooseOutput<EqualU, Access>(output);
  if (name == "neu") return chooseOutput<NotEqualU, Access>(output);
  if (name == "ltu") return chooseOutput<LessU, Access>(output);
  if (name == "leu") return chooseOutput<LessEqualU, Access>(output);
  if (name == "gtu") return chooseOutput<GreaterU, Access>(output);
  if (name == "geu") return chooseOutput<GreaterEqualU, Access>(output);
  if (name == "num") return chooseOutput<Numbers, Access>(output);
  return chooseOutput<NaNs, Access>(output);
}

Handler chooseType(Builder& b, const Type& t, bool ftz, std::string_view name, Output output) {
  bool floating = t.kind == 'f' || t.kind == 'h' || t.kind == 'n';
  bool unorderedName = name.size() == 3;
  if (unorderedName && !floating) b.fail("comparison ." + std::string(name) + " of integers");
  if ((name == "lo" || name == "ls" || name == "hi" || name == "hs") && t.kind != 'u')
    b.fail("comparison ." + std::string(name) + " needs an unsigned type");
  if (t.kind == 'b' && name != "eq" && name != "ne") b.fail("only .eq and .ne compare untyped bits");
  if (t.kind == 'f')
    return t.bits == 64 ? choose<Plain<double>>(name, true, true, output)
           : ftz        ? choose<Flushed>(name, true, true, output)
                        : choose<Plain<float>>(name, true, true, output);
  if (t.kind == 'h') return choose<Short<Half>>(name, true, true, output);
  if (t.kind == 'n') return choose<Short<Bfloat>>(name, true, true, output);
  bool s = t.isSigned();
  if (t.bits == 16)
    return s ? choose<Plain<int16_t>>(name, false, s, output) : choose<Plain<uint16_t>>(name, false, s, output);
  if (t.bits == 32)
    return s ? choose<Plain<int32_t>>(name, false, s, output) : choose<Plain<uint32_t>>(name, false, s, output);
  if (t.bits == 64)
    return s ? choose<Plain<int64_t>>(name, false, s, output) : choose<Plain<uint64_t>>(name, false, s, output);
  b.fail("unsupported type");
}

// 16-bit floats, alone or in pairs: immediate is the place in kComparisons.
constexpr std::string_view kComparisons[] = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                                             "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};

bool compareFloats(int64_t comparison, float a, float b) {
  switch (comparison) {
    case 0:
      return Equal::run(a, b);
    case 1:
      return NotEqual::run(a, b);
    case 2:
      return Less::run(a, b);
    case 3:
      return LessEqual::run(a, b);
    case 4:
      return Greater::run(a, b);
    case 5:
      return GreaterEqual::run(a, b);
    case 6:
      return EqualU::run(a, b);
    case 7:
      return NotEqualU::run(a, b);
    case 8:
      return LessU::run(a, b);
    case 9:
      return LessEqualU::run(a, b);
    case 10:
      return GreaterU::run(a, b);
    case 11:
      return GreaterEqualU::run(a, b);
    case 12:
      return Numbers::run(a, b);
    default:
      return NaNs::run(a, b);
  }
}

template <class F>
bool compareHalf(const Instruction& i, uint32_t a, uint32_t b) {
  return compareFloats(i.immediate, F::decode(static_cast<uint16_t>(a)), F::decode(static_cast<uint16_t>(b)));
}

// 1 or 0 in the format itself
template <class F, bool pair>
void setShort(Warp& w, const Instruction& i, uint32_t mask) {
  uint32_t* d = w.lanes<uint32_t>(i.d);
  const uint32_t *a = w.lanes<uint32_t>(i.a), *b = w.lanes<uint32_t>(i.b);
  const uint32_t one = F::encode(1);
  for (unsigned l = 0; l < kLanes; ++l) {
    if (!bit(mask, l)) continue;
    uint32_t low = compareHalf<F>(i, a[l], b[l]) ? one : 0;
    uint32_t high = pair && compareHalf<F>(i, a[l] >> 16, b[l] >> 16) ? one : 0;
    d[l] = low | high << 16;
  }
}
// d: predicate of the low halves, extra: of the high ones
template <class F>
void setPredicatePair(Warp& w, const Instruction& i, uint32_t mask) {
  const uint32_t *a = w.lanes<uint32_t>(i.a), *b = w.lanes<uint32_t>(i.b);
  uint32_t low = 0, high = 0;
  for (unsigned l = 0; l < kLanes; ++l) {
    low |= static_cast<uint32_t>(compareHalf<F>(i, a[l], b[l])) << l;
    high |= static_cast<uint32_t>(compareHalf<F>(i, a[l] >> 16, b[l] >> 16)) << l;
  }
  w.predicates[i.d] = (w.predicates[i.d] & ~mask) | (low & mask);
  w.predicates[i.extra] = (w.predicates[i.extra] & ~mask) | (high & mask);
}

void decodeSetShort(Builder& b, Opcode o, const Type& t, bool toPredicate) {
  bool pair = t.kind == 'H' || t.kind == 'N', half = t.kind == 'h' || t.kind == 'H';
  Instruction i;
  for (i.immediate = 0; i.immediate < 14 && !o.take(kComparisons[i.immediate]);) ++i.immediate;
  if (i.immediate == 14) b.failModifier(o);
  b.finish(o);
  b.expectOperands(3, 3);
  i.a = b.source(b.operand(1), 4);
  i.b = b.source(b.operand(2), 4);
  if (toPredicate) {
    const Operand& d = b.operand(0);
    if (d.kind != Operand::Pair) b.fail("expected two predicates");
    i.run = half ? setPredicatePair<Half> : setPredicatePair<Bfloat>;
    i.d = b.predicate(d.items[0]);
    i.extra = b.predicate(d.items[1]);
  } else {
    i.run = half ? (pair ? setShort<Half, true> : setShort<Half, false>)
                 : (pair ? setShort<Bfloat, true> : setShort<Bfloat, false>);
    i.d = b.destination(b.operand(0), 4);
  }
  b.emit(i);
}

void decodeSet(Builder& b, Opcode o) {
  bool toPredicate = o.base() == "setp";
  Type t = b.type(o.takeLast());
  Output output = kPredicate;
  if (toPredicate && (t.kind == 'H' || t.kind == 'N')) return decodeSetShort(b, o, t, true);
  if (!toPredicate) {
    Type d = b.type(o.takeLast());
    if (d.kind == t.kind && (t.kind == 'h' || t.kind == 'H' || t.kind == 'n' || t.kind == 'N'))
      return decodeSetShort(b, o, t, false);
    if (d.bits != 32 || d.kind == 'H' || d.kind == 'N') b.fail("unsupported type of the result");
    output = d.kind == 'f' ? kFloat : kMask;
  }
  std::string_view comparison = o.takeOne({"eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu",
                                           "ltu", "leu", "gtu", "geu", "num", "nan"});
  if (comparison.empty()) b.failModifier(o);
  std::string_view boolean = o.takeOne({"and", "or", "xor"});
  bool ftz = t.kind == 'f' && t.bits == 32 && o.take("ftz");
  b.finish(o);
  b.expectOperands(boolean.empty() ? 3 : 4, boolean.empty() ? 3 : 4);
  Instruction i;
  i.run = chooseType(b, t, ftz, comparison, output);
  bool floating = t.kind == 'f';
  i.a = b.source(b.operand(1), t.slot(), floating);
  i.b = b.source(b.operand(2), t.slot(), floating);
  if (!boolean.empty()) {
    i.flags = boolean == "and" ? 1 : boolean == "or" ? 2 : 3;
    i.c = b.predicateSource(b.operand(3));
  }
  i.extra = kAll;
  const Operand& d = b.operand(0);
  if (!toPredicate) {
    i.d = b.destination(d, 4);
  } else if (d.kind == Operand::Pair) {
    i.d = b.predicate(d.items[0]);
    i.extra = b.predicate(d.items[1]);
  } else {
    i.d = b.predicate(d);
  }
  b.emit(i);
}

template <class T>
void select(Warp& w, const Instruction& i, uint32_t mask) {
  T* d = w.lanes<T>(i.d);
  const T *a = w.lanes<T>(i.a), *b = w.lanes<T>(i.b);
  uint32_t p = w.predicates[i.c];
  if (mask == kAll) {
    for (unsigned l = 0; l < kLanes; ++l) d[l] = bit(p, l) ? a[l] : b[l];
  } else {
    for (unsigned l = 0; l < kLanes; ++l) {
      T r = bit(p, l) ? a[l] : b[l];
      d[l] = bit(mask, l) ? r : d[l];
    }
  }
}

void decodeSelect(Builder& b, Opcode o) {
  Type t = b.type(o.takeLast());
  b.finish(o);
  b.expectOperands(4, 4);
  Instruction i;
  i.run = t.slot() == 8 ? select<uint64_t> : select<uint32_t>;
  i.a = b.source(b.operand(1), t.slot(), t.kind == 'f');
  i.b = b.source(b.operand(2), t.slot(), t.kind == 'f');
  i.c = b.predicateSource(b.operand(3));
  i.d = b.destination(b.operand(0), t.slot());
  b.emit(i);
}

template <class T, class C, bool ftz>
void selectBySign(Warp& w, const Instruction& i, uint32_t mask) {
  T* d = w.lanes<T>(i.d);
  const T *a = w.lanes<T>(i.a), *b = w.lanes<T>(i.b);
  const C* c = w.lanes<C>(i.c);
  for (unsigned l = 0; l < kLanes; ++l)
    if (bit(mask, l)) d[l] = c[l] >= C(0) ? a[l] : b[l];
}

void decodeSelectBySign(Builder& b, Opcode o) {
  Type c = b.type(o.takeLast()), t = b.type(o.takeLast());
  bool floating = c.kind == 'f', ftz = floating && o.take("ftz");
  b.finish(o);
  if (c.bits != 32 || (c.kind != 's' && c.kind != 'f')) b.fail("unsupported type");
  b.expectOperands(4, 4);
  Instruction i;
  (void)ftz;  // a flushed negative denormal is -0, which is >= 0
  if (t.slot() == 8)
    i.run = floating ? selectBySign<uint64_t, float, false> : selectBySign<uint64_t, int32_t, false>;
  else
    i.run = floating ? selectBySign<uint32_t, float, false> : selectBySign<uint32_t, int32_t, false>;
  if (ftz) b.fail("softcuda does not know the modifier '.ftz' of 'slct'");
  i.a = b.source(b.operand(1), t.slot(), t.kind == 'f');
  i.b = b.source(b.operand(2), t.slot(), t.kind == 'f');
  i.c = b.source(b.operand(3), 4, floating);
  i.d = b.destination(b.operand(0), t.slot());
  b.emit(i);
}

struct TestFinite {
  template <class T>
  static bool run(T x) {
    return std::isfinite(x);
  }
};
struct TestInfinite {
  template <class T>
  static bool run(T x) {
    return std::isinf(x);
  }
};
struct TestNumber {
  template <class T>
  static bool run(T x) {
    return x == x;
  }
};
struct TestNaN {
  template <class T>
  static bool run(T x) {
    return x != x;
  }
};
struct TestNormal {
  template <class T>
  static bool run(T x) {
    return std::isnormal(x);
  }
};
struct TestSubnormal {
  template <class T>
  static bool run(T x) {
    return std::fpclassify(x) == FP_SUBNORMAL;
  }
};
template <class Test, class T>
void testProperty(Warp& w, const Instruction& i, uint32_t mask) {
  const T* a = w.lanes<T>(i.a);
  uint32_t r = 0;
  for (unsigned l = 0; l < kLanes; ++l) r |= static_cast<uint32_t>(Test::run(a[l])) << l;
  w.predicates[i.d] = (w.predicates[i.d] & ~mask) | (r & mask);
}
template <class Test>
Handler chooseTest(bool wide) {
  return wide ? testProperty<Test, double> : testProperty<Test, float>;
}

void decodeTest(Builder& b, Opcode o) {
  Type t = b.type(o.takeLast());
  if (t.kind != 'f') b.fail("unsupported type");
  bool wide = t.bits == 64;
  Instruction i;
  if (o.take("finite"))
    i.run = chooseTest<TestFinite>(wide);
  else if (o.take("infinite"))
    i.run = chooseTest<TestInfinite>(wide);
  else if (o.take("number"))
    i.run = chooseTest<TestNumber>(wide);
  else if (o.take("notanumber"))
    i.run = chooseTest<TestNaN>(wide);
  else if (o.take("normal"))
    i.run = chooseTest<TestNormal>(wide);
  else if (o.take("subnormal"))
    i.run = chooseTest<TestSubnormal>(wide);
  else
    b.failModifier(o);
  b.finish(o);
  b.expectOperands(2, 2);
  i.a = b.source(b.operand(1), t.slot(), true);
  i.d = b.predicate(b.operand(0));
  b.emit(i);
}

template <int operation>
void logic(Warp& w, const Instruction& i, uint32_t mask) {
  uint32_t a = w.predicates[i.a], b = w.predicates[i.b];
  uint32_t r = operation == 0 ? a & b : operation == 1 ? a | b : operation == 2 ? a ^ b : operation == 3 ? ~a : a;
  w.predicates[i.d] = (w.predicates[i.d] & ~mask) | (r & mask);
}

}  // namespace

// and.pred, or.pred, xor.pred, not.pred, mov.pred
void decodePredicateLogic(Builder& b, Opcode o) {
  o.take("pred");
  b.finish(o);
  std::string_view base = o.base();
  bool two = base != "not" && base != "mov";
  b.expectOperands(two ? 3 : 2, two ? 3 : 2);
  Instruction i;
  i.run = base == "and"   ? logic<0>
          : base == "or"  ? logic<1>
          : base == "xor" ? logic<2>
          : base == "not" ? logic<3>
                          : logic<4>;
  i.a = b.predicateSource(b.operand(1));
  if (two) i.b = b.predicateSource(b.operand(2));
  i.d = b.predicate(b.operand(0));
  b.emit(i);
}

void addCompareDecoders(Decoders& d) {
  d["setp"] = d["set"] = decodeSet;
  d["selp"] = decodeSelect;
  d["slct"] = decodeSelectBySign;
  d["testp"] = decodeTest;
  d["and.pred"] = d["or.pred"] = d["xor.pred"] = d["not.pred"] = d["mov.pred"] = decodePredicateLogic;
}

}  // namespace softcuda
