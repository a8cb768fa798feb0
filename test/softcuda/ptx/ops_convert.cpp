#include <cfenv>
#include <cmath>
#include <limits>

#include "builder.h"
#include "half.h"
#include "ops.h"

namespace softcuda {
namespace {

// cvt: every pair of types, with the roundings that the pair allows.

struct F16 {
  uint16_t bits;
};
struct B16 {
  uint16_t bits;
};

template <class T>
constexpr bool kFloating =
    std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, F16> || std::is_same_v<T, B16>;
template <class T>
using Raw = std::conditional_t<sizeof(T) == 2, std::conditional_t<kFloating<T>, uint16_t, T>, T>;

inline double wide(float x) { return x; }
inline double wide(double x) { return x; }
inline double wide(F16 x) { return Half::decode(x.bits); }
inline double wide(B16 x) { return Bfloat::decode(x.bits); }

enum Rounding { kNearest, kZero, kDown, kUp, kIntegral = 4 };  // kIntegral: to an integral value, in that direction

inline double integral(double x, int direction) {
  switch (direction & 3) {
    case kZero:
      return std::trunc(x);
    case kDown:
      return std::floor(x);
    case kUp:
      return std::ceil(x);
    default:
      return std::nearbyint(x);
  }
}

// The float in the given direction of a double.
inline float narrow(double x, int rounding) {
  float r = static_cast<float>(x);
  if (rounding == kNearest || std::isnan(x) || static_cast<double>(r) == x) return r;
  bool above = static_cast<double>(r) > x;
  bool wantAbove = rounding == kUp || (rounding == kZero && x < 0);
  if (above && !wantAbove) return std::nextafterf(r, -INFINITY);
  if (!above && wantAbove) return std::nextafterf(r, INFINITY);
  return r;
}

template <class I>
I toInteger(double x, bool bit64Nan) {
  if (x != x) return bit64Nan ? static_cast<I>(uint64_t{1} << (sizeof(I) * 8 - 1)) : 0;
  constexpr double low = static_cast<double>(std::numeric_limits<I>::min());
  const double high = std::ldexp(1.0, std::numeric_limits<I>::digits);
  if (x <= low) return std::numeric_limits<I>::min();
  if (x >= high) return std::numeric_limits<I>::max();
  return static_cast<I>(x);
}

template <class I>
float integerToFloat(I v, int rounding) {
  if (rounding == kNearest) return static_cast<float>(v);
  int mode = rounding == kZero ? FE_TOWARDZERO : rounding == kDown ? FE_DOWNWARD : FE_UPWARD;
  volatile I in = v;
  std::fesetround(mode);
  volatile float r = static_cast<float>(in);
  std::fesetround(FE_TONEAREST);
  return r;
}
template <class I>
double integerToDouble(I v, int rounding) {
  if (rounding == kNearest || sizeof(I) < 8) return static_cast<double>(v);
  int mode = rounding == kZero ? FE_TOWARDZERO : rounding == kDown ? FE_DOWNWARD : FE_UPWARD;
  volatile I in = v;
  std::fesetround(mode);
  volatile double r = static_cast<double>(in);
  std::fesetround(FE_TONEAREST);
  return r;
}

inline double flushed(double x, bool ftz) { return ftz && std::fabs(x) < 1.17549435e-38 ? std::copysign(0.0, x) : x; }
inline float canonical(float x) {
  uint32_t nan = 0x7FFFFFFF;
  float r;
  std::memcpy(&r, &nan, 4);
  return x != x ? r : x;
}

// immediate: the rounding; flags: kFtz, kSat
constexpr uint8_t kFtz = 1, kSat = 2, kRelu = 4;

template <class D, class S>
struct Convert {
  static D run(S s, int rounding, uint8_t flags) {
    if constexpr (!kFloating<D> && !kFloating<S>) {
      if (!(flags & kSat)) return static_cast<D>(s);
      __int128 v = s;
      if (v < std::numeric_limits<D>::min()) return std::numeric_limits<D>::min();
      if (v > std::numeric_limits<D>::max()) return std::numeric_limits<D>::max();
      return static_cast<D>(s);
    } else if constexpr (!kFloating<D>) {
      bool nan64 = std::is_same_v<S, double> || sizeof(D) == 8;
      return toInteger<D>(integral(flushed(wide(s), flags & kFtz), rounding), nan64);
    } else if constexpr (std::is_same_v<D, double>) {
      double r;
      if constexpr (kFloating<S>)
        r = flushed(wide(s), flags & kFtz);
      else
        r = integerToDouble(s, rounding);
      if (rounding & kIntegral) r = integral(r, rounding);
      return flags & kSat ? (r > 0 ? (r < 1 ? r : 1) : 0) : r;
    } else if constexpr (std::is_same_v<D, float>) {
      float r;
      if constexpr (kFloating<S>) {
        double x = flushed(wide(s), flags & kFtz);
        if (rounding & kIntegral) x = integral(x, rounding);
        r = canonical(static_cast<float>(flushed(narrow(x, rounding & kIntegral ? kNearest : rounding), flags & kFtz)));
      } else {
        r = integerToFloat(s, rounding);
      }
      return flags & kSat ? (r > 0 ? (r < 1 ? r : 1) : 0) : r;
    } else {
      double x;
      if constexpr (kFloating<S>)
        x = flushed(wide(s), flags & kFtz);
      else
        x = integerToDouble(s, kNearest);
      if (rounding & kIntegral) x = integral(x, rounding);
      if (flags & kSat) x = x > 0 ? (x < 1 ? x : 1) : 0;
      if ((flags & kRelu) && x < 0) x = 0;
      using F = std::conditional_t<std::is_same_v<D, F16>, Half, Bfloat>;
      return D{F::encode(x, rounding != kZero)};
    }
  }
};

template <class T>
T fromRaw(Raw<T> raw) {
  if constexpr (std::is_same_v<T, F16> || std::is_same_v<T, B16>)
    return T{raw};
  else
    return raw;
}
template <class T>
Raw<T> toRaw(T v) {
  if constexpr (std::is_same_v<T, F16> || std::is_same_v<T, B16>)
    return v.bits;
  else
    return v;
}

template <class D, class S>
void convert(Warp& w, const Instruction& i, uint32_t mask) {
  auto* d = w.lanes<SlotOf<Raw<D>>>(i.d);
  const auto* a = w.lanes<SlotOf<Raw<S>>>(i.a);
  int rounding = static_cast<int>(i.immediate);
  for (unsigned l = 0; l < kLanes; ++l)
    if (bit(mask, l))
      d[l] = slot<Raw<D>>(toRaw<D>(Convert<D, S>::run(fromRaw<S>(value<Raw<S>>(a[l])), rounding, i.flags)));
}

// The common conversions without options, as vector code.
template <class D, class S>
struct Simple {
  static D run(S s) { return static_cast<D>(s); }
};

constexpr std::string_view kTypes[] = {"u8",  "s8",  "u16", "s16",  "u32", "s32",
                                       "u64", "s64", "f16", "bf16", "f32", "f64"};
constexpr size_t kTypeCount = sizeof kTypes / sizeof *kTypes;

template <class D>
void addRow(Handler* row) {
  Handler handlers[] = {convert<D, uint8_t>,  convert<D, int8_t>,  convert<D, uint16_t>, convert<D, int16_t>,
                        convert<D, uint32_t>, convert<D, int32_t>, convert<D, uint64_t>, convert<D, int64_t>,
                        convert<D, F16>,      convert<D, B16>,     convert<D, float>,    convert<D, double>};
  std::copy(handlers, handlers + kTypeCount, row);
}

struct Table {
  Handler general[kTypeCount][kTypeCount];
  Handler simple[kTypeCount][kTypeCount] = {};
  Table() {
    addRow<uint8_t>(general[0]);
    addRow<int8_t>(general[1]);
    addRow<uint16_t>(general[2]);
    addRow<int16_t>(general[3]);
    addRow<uint32_t>(general[4]);
    addRow<int32_t>(general[5]);
    addRow<uint64_t>(general[6]);
    addRow<int64_t>(general[7]);
    addRow<F16>(general[8]);
    addRow<B16>(general[9]);
    addRow<float>(general[10]);
    addRow<double>(general[11]);
    simple[4][6] = apply<Simple<uint32_t, uint64_t>, uint32_t, uint64_t>;
    simple[4][7] = simple[5][6] = simple[5][7] = simple[4][6];
    simple[6][4] = apply<Simple<uint64_t, uint32_t>, uint64_t, uint32_t>;
    simple[7][5] = apply<Simple<int64_t, int32_t>, int64_t, int32_t>;
    simple[6][5] = simple[7][5];
    simple[7][4] = simple[6][4];
    simple[10][4] = apply<Simple<float, uint32_t>, float, uint32_t>;
    simple[10][5] = apply<Simple<float, int32_t>, float, int32_t>;
    simple[4][2] = simple[5][2] = apply<Simple<uint32_t, uint16_t>, uint32_t, uint16_t>;
    simple[4][3] = simple[5][3] = apply<Simple<int32_t, int16_t>, int32_t, int16_t>;
    simple[2][4] = simple[3][4] = simple[2][5] = simple[3][5] = apply<Simple<uint16_t, uint32_t>, uint16_t, uint32_t>;
  }
};

struct ToTf32 {  // rna: to nearest, ties away from zero
  static uint32_t run(uint32_t a) {
    if ((a & 0x7F800000u) == 0x7F800000u) return a & 0x7FFFFFu ? 0x7FFFFFFFu : a;
    return (a + 0x1000u) & ~0x1FFFu;
  }
};
template <class F, bool nearest, bool relu>
struct PackPair {
  static uint32_t run(float high, float low) {
    auto one = [](float x) -> uint32_t { return F::encode(relu && x < 0 ? 0 : x, nearest); };
    return one(high) << 16 | one(low);
  }
};

int typeIndex(const Type& t) {
  for (size_t i = 0; i < kTypeCount; ++i) {
    char kind = kTypes[i][0] == 'b' ? 'n' : kTypes[i] == "f16" ? 'h' : kTypes[i][0];
    unsigned bits =
        kind == 'n' || kind == 'h' ? 16 : static_cast<unsigned>(std::stoi(std::string(kTypes[i].substr(1))));
    if (t.kind == kind && t.bits == bits) return static_cast<int>(i);
  }
  return -1;
}

bool isFloat(const Type& t) { return t.kind == 'f' || t.kind == 'h' || t.kind == 'n'; }

int roundingOf(Builder& b, Opcode& o, const Type& d, const Type& s) {
  std::string_view r = o.takeOne({"rn", "rz", "rm", "rp", "rni", "rzi", "rmi", "rpi"});
  bool toIntegral = r.size() == 3, toInteger = !isFloat(d) && isFloat(s);
  if (toInteger && !toIntegral) b.fail("a conversion to an integer needs .rni, .rzi, .rmi or .rpi");
  if (toIntegral && !toInteger && !(isFloat(d) && isFloat(s) && d.bits == s.bits))
    b.fail("rounding ." + std::string(r));
  bool inexact = isFloat(d) && (!isFloat(s) || d.bits < s.bits);
  if (inexact && r.empty()) b.fail("this conversion needs a rounding");
  if (r.empty()) return kNearest;
  static const std::string_view letters = "nzmp";
  int direction = static_cast<int>(letters.find(r[1]));
  if (d.bits == 16 && direction > kZero && !toIntegral) b.fail("rounding ." + std::string(r) + " to 16 bits");
  return direction | (toIntegral ? kIntegral : 0);
}

void pack(Builder& b, Opcode& o, bool bfloat) {
  bool relu = o.take("relu");
  std::string_view r = o.takeOne({"rn", "rz"});
  if (r.empty()) b.fail("this conversion needs a rounding");
  b.finish(o);
  b.expectOperands(3, 3);
  static const Handler handlers[2][2][2] = {{{apply<PackPair<Half, false, false>, uint32_t, float, float>,
                                              apply<PackPair<Half, false, true>, uint32_t, float, float>},
                                             {apply<PackPair<Half, true, false>, uint32_t, float, float>,
                                              apply<PackPair<Half, true, true>, uint32_t, float, float>}},
                                            {{apply<PackPair<Bfloat, false, false>, uint32_t, float, float>,
                                              apply<PackPair<Bfloat, false, true>, uint32_t, float, float>},
                                             {apply<PackPair<Bfloat, true, false>, uint32_t, float, float>,
                                              apply<PackPair<Bfloat, true, true>, uint32_t, float, float>}}};
  Instruction i;
  i.run = handlers[bfloat][r == "rn"][relu];
  i.a = b.source(b.operand(1), 4, true);
  i.b = b.source(b.operand(2), 4, true);
  i.d = b.destination(b.operand(0), 4);
  b.emit(i);
}

void decodeConvert(Builder& b, Opcode o) {
  static const Table table;
  std::string_view sourceName = o.takeLast(), destinationName = o.takeLast();
  Instruction i;
  if (destinationName == "tf32") {
    if (!o.take("rna") || sourceName != "f32") b.fail("only cvt.rna.tf32.f32 is known");
    b.finish(o);
    b.expectOperands(2, 2);
    i.run = apply<ToTf32, uint32_t, uint32_t>;
    i.a = b.source(b.operand(1), 4, true);
    i.d = b.destination(b.operand(0), 4);
    b.emit(i);
    return;
  }
  Type s = b.type(sourceName), d = b.type(destinationName);
  if ((d.kind == 'H' || d.kind == 'N') && sourceName == "f32") return pack(b, o, d.kind == 'N');
  int from = typeIndex(s), to = typeIndex(d);
  if (from < 0 || to < 0) b.fail("unknown conversion");
  int rounding = roundingOf(b, o, d, s);
  if (o.take("ftz")) i.flags |= kFtz;
  if (o.take("sat")) i.flags |= kSat;
  if (d.bits == 16 && isFloat(d) && o.take("relu")) i.flags |= kRelu;
  b.finish(o);
  b.expectOperands(2, 2);
  i.immediate = rounding;
  bool plain = !i.flags && rounding == kNearest;
  i.run = plain && table.simple[to][from] ? table.simple[to][from] : table.general[to][from];
  i.a = b.source(b.operand(1), s.slot(), isFloat(s) && s.bits > 16);
  i.d = b.destination(b.operand(0), d.slot(), d.isSigned());
  b.emit(i);
}

}  // namespace

void addConvertDecoders(Decoders& d) { d["cvt"] = decodeConvert; }

}  // namespace softcuda
