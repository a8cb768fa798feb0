#include "builder.h"
#include "ops.h"

namespace softcuda {
namespace {

struct Copy {
  template <class T>
  static T run(T a) {
    return a;
  }
};

struct Pack32 {
  static uint32_t run(uint32_t low, uint32_t high) { return (low & 0xFFFF) | high << 16; }
};
struct Pack64 {
  static uint64_t run(uint32_t low, uint32_t high) { return low | uint64_t{high} << 32; }
};
struct High16 {
  static uint32_t run(uint32_t a) { return a >> 16; }
};
struct Low16 {
  static uint32_t run(uint32_t a) { return a & 0xFFFF; }
};
struct Low32 {
  static uint32_t run(uint64_t a) { return static_cast<uint32_t>(a); }
};
struct High32 {
  static uint32_t run(uint64_t a) { return static_cast<uint32_t>(a >> 32); }
};

void emitUnary(Builder& b, Handler run, uint32_t d, uint32_t a) {
  Instruction i;
  i.run = run, i.d = d, i.a = a;
  b.emit(i);
}
void emitBinary(Builder& b, Handler run, uint32_t d, uint32_t first, uint32_t second) {
  Instruction i;
  i.run = run, i.d = d, i.a = first, i.b = second;
  b.emit(i);
}

void pack(Builder& b, const Type& t, const std::vector<Operand>& parts) {
  if (t.bits == 32 && parts.size() == 2) {
    uint32_t low = b.source(parts[0], 4), high = b.source(parts[1], 4);
    emitBinary(b, apply<Pack32, uint32_t, uint32_t, uint32_t>, b.destination(b.operand(0), 4), low, high);
  } else if (t.bits == 64 && parts.size() == 2) {
    uint32_t low = b.source(parts[0], 4), high = b.source(parts[1], 4);
    emitBinary(b, apply<Pack64, uint64_t, uint32_t, uint32_t>, b.destination(b.operand(0), 8), low, high);
  } else if (t.bits == 64 && parts.size() == 4) {
    uint32_t halves[2];
    for (int h = 0; h < 2; ++h) {
      halves[h] = b.temporary(4);
      emitBinary(b, apply<Pack32, uint32_t, uint32_t, uint32_t>, halves[h], b.source(parts[2 * h], 4),
                 b.source(parts[2 * h + 1], 4));
    }
    emitBinary(b, apply<Pack64, uint64_t, uint32_t, uint32_t>, b.destination(b.operand(0), 8), halves[0], halves[1]);
  } else {
    b.fail("unsupported packing");
  }
}

void unpack(Builder& b, const Type& t, const std::vector<Operand>& parts) {
  auto part = [&](size_t n, Handler run, uint32_t from) {
    if (parts[n].kind != Operand::Sink) emitUnary(b, run, b.destination(parts[n], 4), from);
  };
  // Through a copy: a part may be the source itself.
  uint32_t from = b.source(b.operand(1), t.slot()), copy = b.temporary(t.slot());
  emitUnary(b, t.slot() == 8 ? apply<Copy, uint64_t, uint64_t> : apply<Copy, uint32_t, uint32_t>, copy, from);
  if (t.bits == 32 && parts.size() == 2) {
    part(0, apply<Low16, uint32_t, uint32_t>, copy);
    part(1, apply<High16, uint32_t, uint32_t>, copy);
  } else if (t.bits == 64 && parts.size() == 2) {
    part(0, apply<Low32, uint32_t, uint64_t>, copy);
    part(1, apply<High32, uint32_t, uint64_t>, copy);
  } else if (t.bits == 64 && parts.size() == 4) {
    uint32_t low = b.temporary(4), high = b.temporary(4);
    emitUnary(b, apply<Low32, uint32_t, uint64_t>, low, copy);
    emitUnary(b, apply<High32, uint32_t, uint64_t>, high, copy);
    part(0, apply<Low16, uint32_t, uint32_t>, low);
    part(1, apply<High16, uint32_t, uint32_t>, low);
    part(2, apply<Low16, uint32_t, uint32_t>, high);
    part(3, apply<High16, uint32_t, uint32_t>, high);
  } else {
    b.fail("unsupported unpacking");
  }
}

void decodeMove(Builder& b, Opcode o) {
  Type t = b.type(o.takeLast());
  b.finish(o);
  b.expectOperands(2, 2);
  if (b.operand(1).kind == Operand::Vector) return pack(b, t, b.operand(1).items);
  if (b.operand(0).kind == Operand::Vector) return unpack(b, t, b.operand(0).items);
  if (t.bits == 8) b.fail("unsupported type");
  uint32_t a = b.source(b.operand(1), t.slot());
  uint32_t d = b.destination(b.operand(0), t.slot());
  emitUnary(b, t.slot() == 8 ? apply<Copy, uint64_t, uint64_t> : apply<Copy, uint32_t, uint32_t>, d, a);
}

template <uint64_t window>
struct ToGeneric {
  static uint64_t run(uint64_t a) { return window + static_cast<uint32_t>(a); }
};
template <uint64_t window>
struct FromGeneric {
  static uint64_t run(uint64_t a) { return a - window; }
};

void decodeAddressConversion(Builder& b, Opcode o) {
  bool to = o.take("to");
  std::string_view space = o.takeOne({"global", "const", "shared", "local", "param", "shared::cta"});
  Type t = b.type(o.takeLast());
  b.finish(o);
  if (space.empty() || space == "param") b.fail("unsupported address space");
  if (t.bits != 64) b.fail("unsupported type");
  b.expectOperands(2, 2);
  uint32_t a = b.source(b.operand(1), 8), d = b.destination(b.operand(0), 8);
  Handler run = apply<Copy, uint64_t, uint64_t>;
  if (space[0] == 's')
    run = to ? apply<FromGeneric<kSharedWindow>, uint64_t, uint64_t>
             : apply<ToGeneric<kSharedWindow>, uint64_t, uint64_t>;
  if (space == "local")
    run =
        to ? apply<FromGeneric<kLocalWindow>, uint64_t, uint64_t> : apply<ToGeneric<kLocalWindow>, uint64_t, uint64_t>;
  emitUnary(b, run, d, a);
}

template <uint64_t low, uint64_t high>
void isSpace(Warp& w, const Instruction& i, uint32_t mask) {
  const uint64_t* a = w.lanes<uint64_t>(i.a);
  uint32_t r = 0;
  for (unsigned l = 0; l < kLanes; ++l) r |= static_cast<uint32_t>(a[l] >= low && a[l] < high) << l;
  w.predicates[i.d] = (w.predicates[i.d] & ~mask) | (r & mask);
}

void decodeIsSpace(Builder& b, Opcode o) {
  Instruction i;
  if (o.take("global"))
    i.run = isSpace<Memory::kBase, ~uint64_t{0}>;
  else if (o.take("shared"))
    i.run = isSpace<kSharedWindow, kSharedWindow + kWindowBytes>;
  else if (o.take("local"))
    i.run = isSpace<kLocalWindow, kLocalWindow + kWindowBytes>;
  else
    b.failModifier(o);
  b.finish(o);
  b.expectOperands(2, 2);
  i.a = b.source(b.operand(1), 8);
  i.d = b.predicate(b.operand(0));
  b.emit(i);
}

}  // namespace

void addMoveDecoders(Decoders& d) {
  d["mov"] = decodeMove;
  d["cvta"] = decodeAddressConversion;
  d["isspacep"] = decodeIsSpace;
}

}  // namespace softcuda
