#include "builder.h"
#include "ops.h"

namespace softcuda {
namespace {

template <class T>
using Unsigned = std::make_unsigned_t<T>;
template <class T>
constexpr unsigned kBits = sizeof(T) * 8;
template <class T>
using Wide =
    std::conditional_t<sizeof(T) == 8, std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>,
                       std::conditional_t<sizeof(T) == 4, std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>,
                                          std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>>>;

// Arithmetic is modulo 2^n, hence in unsigned types.
template <class T>
T wrap(Unsigned<T> value) {
  return static_cast<T>(value);
}

#define UNARY(Name, expression)               \
  struct Name {                               \
    template <class T>                        \
    static T run(T a) {                       \
      using U [[maybe_unused]] = Unsigned<T>; \
      return static_cast<T>(expression);      \
    }                                         \
  }
#define BINARY(Name, expression)              \
  struct Name {                               \
    template <class T>                        \
    static T run(T a, T b) {                  \
      using U [[maybe_unused]] = Unsigned<T>; \
      return static_cast<T>(expression);      \
    }                                         \
  }

BINARY(Add, U(U(a) + U(b)));
BINARY(Subtract, U(U(a) - U(b)));
BINARY(MultiplyLow, U(uint64_t{U(a)} * U(b)));
BINARY(MultiplyHigh, Wide<T>(a) * Wide<T>(b) >> kBits<T>);
BINARY(Divide, b == 0 ? T(-1) : std::is_signed_v<T> && b == T(-1) ? T(U(0) - U(a)) : T(a / b));
BINARY(Remainder, b == 0 ? a : std::is_signed_v<T> && b == T(-1) ? T(0) : T(a % b));
BINARY(Minimum, a < b ? a : b);
BINARY(Maximum, a > b ? a : b);
BINARY(And, a& b);
BINARY(Or, a | b);
BINARY(Xor, a ^ b);
UNARY(Not, ~a);
UNARY(LogicalNot, a == 0);
UNARY(Negate, U(U(0) - U(a)));
UNARY(Absolute, a < 0 ? U(U(0) - U(a)) : U(a));

struct AddSaturating {
  static int32_t run(int32_t a, int32_t b) {
    int64_t r = int64_t{a} + b;
    return static_cast<int32_t>(r > INT32_MAX ? INT32_MAX : r < INT32_MIN ? INT32_MIN : r);
  }
};
struct SubtractSaturating {
  static int32_t run(int32_t a, int32_t b) {
    int64_t r = int64_t{a} - b;
    return static_cast<int32_t>(r > INT32_MAX ? INT32_MAX : r < INT32_MIN ? INT32_MIN : r);
  }
};
struct MultiplyWide {
  template <class T>
  static auto run(T a, T b) {
    return static_cast<Wide<T>>(Wide<T>(a) * Wide<T>(b));
  }
};
struct MadLow {
  template <class T>
  static T run(T a, T b, T c) {
    return Add::run(MultiplyLow::run(a, b), c);
  }
};
struct MadHigh {
  template <class T>
  static T run(T a, T b, T c) {
    return Add::run(MultiplyHigh::run(a, b), c);
  }
};
struct MadWide {
  template <class T>
  static Wide<T> run(T a, T b, Wide<T> c) {
    return Add::run(MultiplyWide::run(a, b), c);
  }
};
struct Mul24 {
  static uint32_t run(uint32_t a, uint32_t b) { return (a & 0xFFFFFF) * (b & 0xFFFFFF); }
  static int32_t run(int32_t a, int32_t b) { return static_cast<int32_t>(int64_t{a << 8 >> 8} * (b << 8 >> 8)); }
};
struct SumAbsoluteDifference {
  template <class T>
  static T run(T a, T b, T c) {
    using U = Unsigned<T>;
    return static_cast<T>(U(c) + (a < b ? U(b) - U(a) : U(a) - U(b)));
  }
};
struct ShiftLeft {
  template <class T>
  static T run(T a, uint32_t b) {
    return b >= kBits<T> ? T(0) : static_cast<T>(a << b);
  }
};
struct ShiftRight {
  template <class T>
  static T run(T a, uint32_t b) {
    uint32_t n = b >= kBits<T> ? kBits<T> - 1 : b;
    return static_cast<T>(b >= kBits<T> && !std::is_signed_v<T> ? 0 : a >> n);
  }
};
template <bool clamp>
struct FunnelLeft {
  static uint32_t run(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t n = clamp ? (c > 32 ? 32 : c) : c & 31;
    return static_cast<uint32_t>(((uint64_t{b} << 32 | a) << n) >> 32);
  }
};
template <bool clamp>
struct FunnelRight {
  static uint32_t run(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t n = clamp ? (c > 32 ? 32 : c) : c & 31;
    return static_cast<uint32_t>((uint64_t{b} << 32 | a) >> n);
  }
};
struct PopulationCount {
  template <class T>
  static uint32_t run(T a) {
    return static_cast<uint32_t>(__builtin_popcountll(a));
  }
};
struct LeadingZeros {
  template <class T>
  static uint32_t run(T a) {
    return a == 0 ? kBits<T> : static_cast<uint32_t>(__builtin_clzll(a)) - (64 - kBits<T>);
  }
};
template <bool shiftAmount>
struct FindHighest {
  template <class T>
  static uint32_t run(T a) {
    Unsigned<T> v = static_cast<Unsigned<T>>(std::is_signed_v<T> && a < 0 ? ~a : a);
    if (v == 0) return ~0u;
    uint32_t position = 63 - static_cast<uint32_t>(__builtin_clzll(v));
    return shiftAmount ? kBits<T> - 1 - position : position;
  }
};
struct Reverse {
  template <class T>
  static T run(T a) {
    T r = 0;
    for (unsigned n = 0; n < kBits<T>; ++n) r |= (a >> n & 1) << (kBits<T> - 1 - n);
    return r;
  }
};
struct ExtractField {
  template <class T>
  static T run(T a, uint32_t b, uint32_t c) {
    constexpr unsigned msb = kBits<T> - 1;
    unsigned position = b & 0xFF, length = c & 0xFF;
    Unsigned<T> u = static_cast<Unsigned<T>>(a);
    unsigned signAt = position + length - 1 < msb ? position + length - 1 : msb;
    bool sign = std::is_signed_v<T> && length != 0 && (u >> signAt & 1);
    Unsigned<T> r = 0;
    for (unsigned n = 0; n <= msb; ++n) {
      bool one = n < length && position + n <= msb ? u >> (position + n) & 1 : sign;
      r |= static_cast<Unsigned<T>>(one) << n;
    }
    return static_cast<T>(r);
  }
};
struct InsertField {
  template <class T>
  static T run(T a, T b, uint32_t c, uint32_t d) {
    constexpr unsigned bits = kBits<T>;
    unsigned position = c & 0xFF, length = d & 0xFF;
    if (position >= bits || length == 0) return b;
    T mask = length >= bits ? ~T{0} : (T{1} << length) - 1;
    return static_cast<T>((b & ~(mask << position)) | ((a & mask) << position));
  }
};
template <class T>
void insertField(Warp& w, const Instruction& i, uint32_t mask) {
  T* d = w.lanes<T>(i.d);
  const T *a = w.lanes<T>(i.a), *b = w.lanes<T>(i.b);
  const uint32_t *c = w.lanes<uint32_t>(i.c), *n = w.lanes<uint32_t>(w.program->extras[i.extra]);
  for (unsigned l = 0; l < kLanes; ++l)
    if (bit(mask, l)) d[l] = InsertField::run(a[l], b[l], c[l], n[l]);
}

void lop3(Warp& w, const Instruction& i, uint32_t mask) {
  uint32_t* d = w.lanes<uint32_t>(i.d);
  const uint32_t *a = w.lanes<uint32_t>(i.a), *b = w.lanes<uint32_t>(i.b), *c = w.lanes<uint32_t>(i.c);
  uint32_t table = static_cast<uint32_t>(i.immediate);
  uint32_t t[8];
  for (unsigned n = 0; n < 8; ++n) t[n] = table >> n & 1 ? ~0u : 0;
  for (unsigned l = 0; l < kLanes; ++l) {
    uint32_t x = a[l], y = b[l], z = c[l];
    uint32_t r = (~x & ((~y & ((~z & t[0]) | (z & t[1]))) | (y & ((~z & t[2]) | (z & t[3]))))) |
                 (x & ((~y & ((~z & t[4]) | (z & t[5]))) | (y & ((~z & t[6]) | (z & t[7])))));
    d[l] = bit(mask, l) ? r : d[l];
  }
}

struct Permute {
  static uint32_t run(uint32_t a, uint32_t b, uint32_t c) {
    uint64_t bytes = uint64_t{b} << 32 | a;
    uint32_t r = 0;
    for (unsigned n = 0; n < 4; ++n) {
      uint32_t selector = c >> 4 * n & 15;
      uint32_t byte = static_cast<uint32_t>(bytes >> 8 * (selector & 7) & 0xFF);
      if (selector & 8) byte = byte & 0x80 ? 0xFF : 0;
      r |= byte << 8 * n;
    }
    return r;
  }
};
// prmt with a mode: by the low two bits of c
template <int mode>
struct PermuteMode {
  static uint32_t run(uint32_t a, uint32_t b, uint32_t c) {
    static constexpr uint32_t selectors[6][4] = {{0x3210, 0x4321, 0x5432, 0x6543},   // f4e
                                                 {0x5670, 0x6701, 0x7012, 0x0123},   // b4e
                                                 {0x0000, 0x1111, 0x2222, 0x3333},   // rc8
                                                 {0x3210, 0x3211, 0x3222, 0x3333},   // ecl
                                                 {0x0000, 0x1110, 0x2210, 0x3210},   // ecr
                                                 {0x1010, 0x3232, 0x1010, 0x3232}};  // rc16
    return Permute::run(a, b, selectors[mode][c & 3]);
  }
};
template <class A, class B>
struct DotProduct4 {
  static int32_t run(uint32_t a, uint32_t b, int32_t c) {
    uint32_t sum = static_cast<uint32_t>(c);
    for (unsigned n = 0; n < 4; ++n)
      sum += static_cast<uint32_t>(static_cast<A>(a >> 8 * n) * static_cast<B>(b >> 8 * n));
    return static_cast<int32_t>(sum);
  }
};

template <class T>
constexpr uint8_t kSlot = sizeof(T) == 8 ? 8 : 4;

template <class T>
void addTyped(Forms& f, const std::string& t) {
  constexpr uint8_t s = kSlot<T>;
  f["add." + t] = {apply<Add, T, T, T>, s, {s, s}, false};
  f["sub." + t] = {apply<Subtract, T, T, T>, s, {s, s}, false};
  f["mul.lo." + t] = {apply<MultiplyLow, T, T, T>, s, {s, s}, false};
  f["mul.hi." + t] = {apply<MultiplyHigh, T, T, T>, s, {s, s}, false};
  f["mad.lo." + t] = {apply<MadLow, T, T, T, T>, s, {s, s, s}, false};
  f["mad.hi." + t] = {apply<MadHigh, T, T, T, T>, s, {s, s, s}, false};
  if constexpr (sizeof(T) < 8) {
    constexpr uint8_t ws = kSlot<Wide<T>>;
    f["mul.wide." + t] = {apply<MultiplyWide, Wide<T>, T, T>, ws, {s, s}, false};
    f["mad.wide." + t] = {apply<MadWide, Wide<T>, T, T, Wide<T>>, ws, {s, s, ws}, false};
  }
  f["div." + t] = {apply<Divide, T, T, T>, s, {s, s}, false};
  f["rem." + t] = {apply<Remainder, T, T, T>, s, {s, s}, false};
  f["min." + t] = {apply<Minimum, T, T, T>, s, {s, s}, false};
  f["max." + t] = {apply<Maximum, T, T, T>, s, {s, s}, false};
  f["sad." + t] = {apply<SumAbsoluteDifference, T, T, T, T>, s, {s, s, s}, false};
  f["shr." + t] = {apply<ShiftRight, T, T, uint32_t>, s, {s, 4}, false};
  if constexpr (std::is_signed_v<T>) {
    f["abs." + t] = {apply<Absolute, T, T>, s, {s}, false};
    f["neg." + t] = {apply<Negate, T, T>, s, {s}, false};
  }
  if constexpr (sizeof(T) >= 4) {
    f["bfe." + t] = {apply<ExtractField, T, T, uint32_t, uint32_t>, s, {s, 4, 4}, false};
    f["bfind." + t] = {apply<FindHighest<false>, uint32_t, T>, 4, {s}, false};
    f["bfind.shiftamt." + t] = {apply<FindHighest<true>, uint32_t, T>, 4, {s}, false};
  }
}

template <class T>
void addBits(Forms& f, const std::string& t) {
  constexpr uint8_t s = kSlot<T>;
  f["and." + t] = {apply<And, T, T, T>, s, {s, s}, false};
  f["or." + t] = {apply<Or, T, T, T>, s, {s, s}, false};
  f["xor." + t] = {apply<Xor, T, T, T>, s, {s, s}, false};
  f["not." + t] = {apply<Not, T, T>, s, {s}, false};
  f["cnot." + t] = {apply<LogicalNot, T, T>, s, {s}, false};
  f["shl." + t] = {apply<ShiftLeft, T, T, uint32_t>, s, {s, 4}, false};
  f["shr." + t] = {apply<ShiftRight, T, T, uint32_t>, s, {s, 4}, false};
  if constexpr (sizeof(T) >= 4) {
    f["popc." + t] = {apply<PopulationCount, uint32_t, T>, 4, {s}, false};
    f["clz." + t] = {apply<LeadingZeros, uint32_t, T>, 4, {s}, false};
    f["brev." + t] = {apply<Reverse, T, T>, s, {s}, false};
  }
}

}  // namespace

void addIntegerForms(Forms& f) {
  addTyped<uint16_t>(f, "u16");
  addTyped<int16_t>(f, "s16");
  addTyped<uint32_t>(f, "u32");
  addTyped<int32_t>(f, "s32");
  addTyped<uint64_t>(f, "u64");
  addTyped<int64_t>(f, "s64");
  addBits<uint16_t>(f, "b16");
  addBits<uint32_t>(f, "b32");
  addBits<uint64_t>(f, "b64");
  f["add.sat.s32"] = {apply<AddSaturating, int32_t, int32_t, int32_t>, 4, {4, 4}, false};
  f["sub.sat.s32"] = {apply<SubtractSaturating, int32_t, int32_t, int32_t>, 4, {4, 4}, false};
  f["mul24.lo.u32"] = {apply<Mul24, uint32_t, uint32_t, uint32_t>, 4, {4, 4}, false};
  f["mul24.lo.s32"] = {apply<Mul24, int32_t, int32_t, int32_t>, 4, {4, 4}, false};
  f["shf.l.clamp.b32"] = {apply<FunnelLeft<true>, uint32_t, uint32_t, uint32_t, uint32_t>, 4, {4, 4, 4}, false};
  f["shf.l.wrap.b32"] = {apply<FunnelLeft<false>, uint32_t, uint32_t, uint32_t, uint32_t>, 4, {4, 4, 4}, false};
  f["shf.r.clamp.b32"] = {apply<FunnelRight<true>, uint32_t, uint32_t, uint32_t, uint32_t>, 4, {4, 4, 4}, false};
  f["shf.r.wrap.b32"] = {apply<FunnelRight<false>, uint32_t, uint32_t, uint32_t, uint32_t>, 4, {4, 4, 4}, false};
  f["prmt.b32"] = {apply<Permute, uint32_t, uint32_t, uint32_t, uint32_t>, 4, {4, 4, 4}, false};
  f["prmt.b32.f4e"] = {apply<PermuteMode<0>, uint32_t, uint32_t, uint32_t, uint32_t>, 4, {4, 4, 4}, false};
  f["prmt.b32.b4e"] = {apply<PermuteMode<1>, uint32_t, uint32_t, uint32_t, uint32_t>, 4, {4, 4, 4}, false};
  f["prmt.b32.rc8"] = {apply<PermuteMode<2>, uint32_t, uint32_t, uint32_t, uint32_t>, 4, {4, 4, 4}, false};
  f["prmt.b32.ecl"] = {apply<PermuteMode<3>, uint32_t, uint32_t, uint32_t, uint32_t>, 4, {4, 4, 4}, false};
  f["prmt.b32.ecr"] = {apply<PermuteMode<4>, uint32_t, uint32_t, uint32_t, uint32_t>, 4, {4, 4, 4}, false};
  f["prmt.b32.rc16"] = {apply<PermuteMode<5>, uint32_t, uint32_t, uint32_t, uint32_t>, 4, {4, 4, 4}, false};
  f["dp4a.u32.u32"] = {apply<DotProduct4<uint8_t, uint8_t>, int32_t, uint32_t, uint32_t, int32_t>, 4, {4, 4, 4}, false};
  f["dp4a.s32.s32"] = {apply<DotProduct4<int8_t, int8_t>, int32_t, uint32_t, uint32_t, int32_t>, 4, {4, 4, 4}, false};
  f["dp4a.u32.s32"] = {apply<DotProduct4<uint8_t, int8_t>, int32_t, uint32_t, uint32_t, int32_t>, 4, {4, 4, 4}, false};
  f["dp4a.s32.u32"] = {apply<DotProduct4<int8_t, uint8_t>, int32_t, uint32_t, uint32_t, int32_t>, 4, {4, 4, 4}, false};
}

// add.cc, addc, sub.cc, subc, mad.cc, madc, and the forms with four sources: the carry is a bit a lane.
namespace {

enum Kind { kAdd, kSubtract, kMadLow, kMadHigh };

template <class T, Kind kind, bool in, bool out>
void carry(Warp& w, const Instruction& i, uint32_t mask) {
  using W = std::conditional_t<sizeof(T) == 8, unsigned __int128, uint64_t>;
  T* d = w.lanes<T>(i.d);
  const T *a = w.lanes<T>(i.a), *b = w.lanes<T>(i.b), *c = w.lanes<T>(i.c);
  uint32_t carries = w.carry;
  for (unsigned l = 0; l < kLanes; ++l) {
    if (!bit(mask, l)) continue;
    W r, one = in && bit(w.carry, l);
    if (kind == kSubtract) {
      r = W(a[l]) - b[l] - one;
    } else {
      T x = kind == kAdd ? a[l] : kind == kMadLow ? T(W(a[l]) * b[l]) : T(W(a[l]) * b[l] >> kBits<T>);
      r = W(x) + (kind == kAdd ? b[l] : c[l]) + one;
    }
    d[l] = static_cast<T>(r);
    if (out) carries = (carries & ~(1u << l)) | static_cast<uint32_t>(r >> kBits<T> & 1) << l;
  }
  w.carry = carries;
}

template <class T, Kind kind>
Handler chooseCarry(bool in, bool out) {
  if (in) return out ? carry<T, kind, true, true> : carry<T, kind, true, false>;
  return carry<T, kind, false, true>;
}

void decodeCarry(Builder& b, Opcode o) {
  std::string_view base = o.base();
  bool in = base == "addc" || base == "subc" || base == "madc", out = o.take("cc");
  bool mad = base[0] == 'm';
  std::string_view half = mad ? o.takeOne({"lo", "hi"}) : std::string_view("none");
  if (half.empty()) b.failModifier(o);
  Type t = b.type(o.takeLast());
  b.finish(o);
  if (t.bits < 32 || (t.kind == 's' && half == "hi")) b.fail("unsupported type");
  Kind kind = mad ? (half == "lo" ? kMadLow : kMadHigh) : base[0] == 'a' ? kAdd : kSubtract;
  Handler handlers[2][4] = {{chooseCarry<uint32_t, kAdd>(in, out), chooseCarry<uint32_t, kSubtract>(in, out),
                             chooseCarry<uint32_t, kMadLow>(in, out), chooseCarry<uint32_t, kMadHigh>(in, out)},
                            {chooseCarry<uint64_t, kAdd>(in, out), chooseCarry<uint64_t, kSubtract>(in, out),
                             chooseCarry<uint64_t, kMadLow>(in, out), chooseCarry<uint64_t, kMadHigh>(in, out)}};
  b.expectOperands(mad ? 4 : 3, mad ? 4 : 3);
  Instruction i;
  i.run = handlers[t.bits == 64][kind];
  i.a = b.source(b.operand(1), t.slot());
  i.b = b.source(b.operand(2), t.slot());
  if (mad) i.c = b.source(b.operand(3), t.slot());
  i.d = b.destination(b.operand(0), t.slot());
  b.emit(i);
}

void decodeInsertField(Builder& b, Opcode o) {
  Type t = b.type(o.takeLast());
  b.finish(o);
  if (t.kind != 'b' || t.bits < 32) b.fail("unsupported type");
  b.expectOperands(5, 5);
  Instruction i;
  i.run = t.bits == 64 ? insertField<uint64_t> : insertField<uint32_t>;
  i.a = b.source(b.operand(1), t.slot());
  i.b = b.source(b.operand(2), t.slot());
  i.c = b.source(b.operand(3), 4);
  i.extra = b.extra({b.source(b.operand(4), 4)});
  i.d = b.destination(b.operand(0), t.slot());
  b.emit(i);
}

void decodeLop3(Builder& b, Opcode o) {
  Type t = b.type(o.takeLast());
  b.finish(o);
  if (t.bits != 32) b.fail("unsupported type");
  b.expectOperands(5, 5);
  if (b.operand(4).kind != Operand::Integer) b.fail("the table must be a constant");
  Instruction i;
  i.run = lop3;
  i.a = b.source(b.operand(1), 4);
  i.b = b.source(b.operand(2), 4);
  i.c = b.source(b.operand(3), 4);
  i.immediate = static_cast<int64_t>(b.operand(4).bits & 0xFF);
  i.d = b.destination(b.operand(0), 4);
  b.emit(i);
}

}  // namespace

void addCarryDecoders(Decoders& d) {
  d["addc"] = d["subc"] = d["madc"] = d["add.cc"] = d["sub.cc"] = d["mad.cc"] = decodeCarry;
  d["bfi"] = decodeInsertField;
  d["lop3"] = decodeLop3;
}

}  // namespace softcuda
