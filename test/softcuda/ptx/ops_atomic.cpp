#include "access.h"
#include "builder.h"
#include "half.h"

namespace softcuda {
namespace {

template <class T>
T bitsAs(uint64_t bits) {
  T x;
  std::memcpy(&x, &bits, sizeof(T));
  return x;
}

float flush(float x) {
  uint32_t u;
  std::memcpy(&u, &x, 4);
  return (u & 0x7F800000u) == 0 ? (u >> 31 ? -0.0f : 0.0f) : x;
}

// new value from old, operand, second operand
struct Add {
  template <class T>
  static T run(T old, T b, T) {
    return static_cast<T>(old + b);
  }
};
struct AddFlushed {  // global float32 additions flush denormals
  static float run(float old, float b, float) { return flush(flush(old) + flush(b)); }
};
template <class F>
struct AddShort {
  static uint16_t run(uint16_t old, uint16_t b, uint16_t) { return F::encode(addToOdd(F::decode(old), F::decode(b))); }
};
template <class F>
struct AddPair {
  static uint32_t run(uint32_t old, uint32_t b, uint32_t) {
    auto one = [](uint32_t x, uint32_t y) -> uint32_t {
      return AddShort<F>::run(static_cast<uint16_t>(x), static_cast<uint16_t>(y), 0);
    };
    return one(old, b) | one(old >> 16, b >> 16) << 16;
  }
};
struct Minimum {
  template <class T>
  static T run(T old, T b, T) {
    return b < old ? b : old;
  }
};
struct Maximum {
  template <class T>
  static T run(T old, T b, T) {
    return b > old ? b : old;
  }
};
struct And {
  template <class T>
  static T run(T old, T b, T) {
    return old & b;
  }
};
struct Or {
  template <class T>
  static T run(T old, T b, T) {
    return old | b;
  }
};
struct Xor {
  template <class T>
  static T run(T old, T b, T) {
    return old ^ b;
  }
};
struct Exchange {
  template <class T>
  static T run(T, T b, T) {
    return b;
  }
};
struct CompareAndSwap {
  template <class T>
  static T run(T old, T b, T c) {
    return old == b ? c : old;
  }
};
struct Increment {
  static uint32_t run(uint32_t old, uint32_t b, uint32_t) { return old >= b ? 0 : old + 1; }
};
struct Decrement {
  static uint32_t run(uint32_t old, uint32_t b, uint32_t) { return old == 0 || old > b ? b : old - 1; }
};

template <class T>
using Bits = std::conditional_t<sizeof(T) == 8, uint64_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>>;

template <class Operation, class T>
T update(std::byte* p, T b, T c) {
  using U = Bits<T>;
  U* place = reinterpret_cast<U*>(p);
  U old = __atomic_load_n(place, __ATOMIC_ACQUIRE);
  for (;;) {
    T before = bitsAs<T>(old), after = Operation::run(before, b, c);
    U next;
    std::memcpy(&next, &after, sizeof(U));
    if (__atomic_compare_exchange_n(place, &old, next, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) return before;
  }
}

template <class Operation, class T, class Stamp>
void atomicAt(Warp& w, const Instruction& i, uint32_t mask, const uint64_t* a) {
  View<Stamp>& v = view<Stamp>(w);
  count<Stamp>(w, a, sizeof(T), mask);
  uint32_t second = i.count;  // has a third operand, in extra
  auto* d = w.lanes<SlotOf<T>>(i.d);
  const auto* b = w.lanes<SlotOf<T>>(i.b);
  const auto* c = w.lanes<SlotOf<T>>(second ? w.program->extras[i.extra] : i.b);
  for (unsigned l = 0; l < kLanes; ++l) {
    if (!bit(mask, l)) continue;
    std::byte* p = check<Access::Atomic>(w, v, a[l], sizeof(T), l);
    d[l] = slot<T>(update<Operation, T>(p, value<T>(b[l]), value<T>(c[l])));
  }
}

template <class Operation, class T>
void atomicGlobal(Warp& w, const Instruction& i, uint32_t mask) {
  uint64_t a[kLanes];
  addresses(w, i, false, a);
  atomicAt<Operation, T, uint64_t>(w, i, mask, a);
}
template <class Operation, class T>
void atomicShared(Warp& w, const Instruction& i, uint32_t mask) {
  uint64_t a[kLanes];
  addresses(w, i, true, a);
  atomicAt<Operation, T, uint32_t>(w, i, mask, a);
}
template <class Operation, class T>
void atomicGeneric(Warp& w, const Instruction& i, uint32_t mask) {
  uint64_t a[kLanes];
  addresses(w, i, false, a);
  uint32_t shared = 0;
  for (unsigned l = 0; l < kLanes; ++l)
    if (a[l] >= kSharedWindow && a[l] < kSharedWindow + kWindowBytes) shared |= 1u << l, a[l] -= kSharedWindow;
  if (mask & shared) atomicAt<Operation, T, uint32_t>(w, i, mask & shared, a);
  if (mask & ~shared) atomicAt<Operation, T, uint64_t>(w, i, mask & ~shared, a);
}

using Key = std::pair<std::string, std::string>;  // operation, type
struct Handlers {
  Handler generic, global, shared;
};
template <class Operation, class T>
Handlers handlers() {
  return {atomicGeneric<Operation, T>, atomicGlobal<Operation, T>, atomicShared<Operation, T>};
}
template <class T>
void addBits(std::map<Key, Handlers>& t, const std::string& type) {
  t[{"and", type}] = handlers<And, T>();
  t[{"or", type}] = handlers<Or, T>();
  t[{"xor", type}] = handlers<Xor, T>();
  t[{"exch", type}] = handlers<Exchange, T>();
  t[{"cas", type}] = handlers<CompareAndSwap, T>();
}
template <class T>
void addArithmetic(std::map<Key, Handlers>& t, const std::string& type) {
  t[{"add", type}] = handlers<Add, T>();
  t[{"min", type}] = handlers<Minimum, T>();
  t[{"max", type}] = handlers<Maximum, T>();
}

const std::map<Key, Handlers>& table() {
  static const std::map<Key, Handlers> t = [] {
    std::map<Key, Handlers> t;
    addBits<uint32_t>(t, "b32");
    addBits<uint64_t>(t, "b64");
    t[{"cas", "b16"}] = handlers<CompareAndSwap, uint16_t>();
    addArithmetic<uint32_t>(t, "u32");
    addArithmetic<int32_t>(t, "s32");
    addArithmetic<uint64_t>(t, "u64");
    addArithmetic<int64_t>(t, "s64");
    t[{"inc", "u32"}] = handlers<Increment, uint32_t>();
    t[{"dec", "u32"}] = handlers<Decrement, uint32_t>();
    t[{"add", "f32"}] = {atomicGeneric<AddFlushed, float>, atomicGlobal<AddFlushed, float>, atomicShared<Add, float>};
    t[{"add", "f64"}] = handlers<Add, double>();
    t[{"add", "f16"}] = handlers<AddShort<Half>, uint16_t>();
    t[{"add", "f16x2"}] = handlers<AddPair<Half>, uint32_t>();
    t[{"add", "bf16"}] = handlers<AddShort<Bfloat>, uint16_t>();
    t[{"add", "bf16x2"}] = handlers<AddPair<Bfloat>, uint32_t>();
    return t;
  }();
  return t;
}

void decodeAtomic(Builder& b, Opcode o) {
  bool returns = o.base() == "atom";
  std::string_view typeName = o.takeLast();
  Type t = b.type(typeName);
  std::string_view space = o.takeOne({"global", "shared", "shared::cta"});
  o.takeOne({"relaxed", "acquire", "release", "acq_rel"});
  o.takeOne({"cta", "cluster", "gpu", "sys"});
  std::string_view operation = o.takeOne({"add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"});
  if ((t.kind == 'h' || t.kind == 'H' || t.kind == 'n' || t.kind == 'N') && !o.take("noftz"))
    b.fail("atomic additions of 16-bit types need .noftz");
  b.finish(o);
  auto found = table().find({std::string(operation), std::string(typeName)});
  if (found == table().end()) b.fail("unsupported operation or type");
  Instruction i;
  i.run = space.empty() ? found->second.generic : space == "global" ? found->second.global : found->second.shared;
  size_t first = returns ? 1 : 0;
  bool third = operation == "cas";
  b.expectOperands(first + 2 + third, first + 2 + third);
  b.address(b.operand(first), i, space.empty() ? Space::Register : space == "global" ? Space::Global : Space::Shared);
  bool floating = t.kind == 'f';
  i.b = b.source(b.operand(first + 1), t.slot(), floating);
  i.count = third;
  if (third) i.extra = b.extra({b.source(b.operand(first + 2), t.slot(), floating)});
  i.d = returns ? b.destination(b.operand(0), t.slot()) : b.temporary(t.slot());
  b.emit(i);
}

}  // namespace

void addAtomicDecoders(Decoders& d) { d["atom"] = d["red"] = decodeAtomic; }

}  // namespace softcuda
