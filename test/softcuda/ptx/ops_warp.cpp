#include "builder.h"
#include "ops.h"

namespace softcuda {
namespace {

// The member mask of a warp operation, the same in all lanes that take part; false when the group has been parked.
bool gather(Warp& w, uint32_t mask, uint32_t maskRegister, const char* what) {
  const uint32_t* masks = w.lanes<uint32_t>(maskRegister);
  unsigned first = static_cast<unsigned>(__builtin_ctz(mask));
  uint32_t members = masks[first];
  for (unsigned l = 0; l < kLanes; ++l)
    if (bit(mask, l) && (masks[l] != members || !bit(members, l)))
      fault(w, FaultKind::InactiveLanes, l,
            std::string(what) + " whose member mask " +
                (masks[l] != members ? "differs between lanes" : "lacks the lane itself"));
  uint32_t wanted = members & w.existing;
  if ((mask & wanted) == wanted) return true;
  return await(w);
}

enum Mode { kUp, kDown, kButterfly, kIndex };

template <Mode mode>
void shuffle(Warp& w, const Instruction& i, uint32_t mask) {
  if (!gather(w, mask, w.program->extras[i.extra], "a shuffle")) return;
  uint32_t* d = w.lanes<uint32_t>(i.d);
  const uint32_t *b = w.lanes<uint32_t>(i.b), *c = w.lanes<uint32_t>(i.c);
  uint32_t a[kLanes];
  std::memcpy(a, w.lanes<uint32_t>(i.a), sizeof a);
  uint32_t inRange = 0;
  for (unsigned l = 0; l < kLanes; ++l) {
    if (!bit(mask, l)) continue;
    int lane = static_cast<int>(l), shift = static_cast<int>(b[l] & 31), clamp = static_cast<int>(c[l] & 31);
    int segment = static_cast<int>(c[l] >> 8 & 31);
    int high = (lane & segment) | (clamp & ~segment), low = lane & segment, from;
    bool in;
    if (mode == kUp) {
      from = lane - shift, in = from >= high;  // clamp is 0 for a plain shuffle: the segment's first lane
    } else if (mode == kDown) {
      from = lane + shift, in = from <= high;
    } else if (mode == kButterfly) {
      from = lane ^ shift, in = from <= high;
    } else {
      from = low | (shift & ~segment), in = from <= high;
    }
    if (!in) from = lane;
    if (!bit(mask, static_cast<unsigned>(from)))
      fault(w, FaultKind::InactiveLanes, l,
            "a shuffle that reads lane " + std::to_string(from) + ", which does not take part");
    d[l] = a[from];
    inRange |= static_cast<uint32_t>(in) << l;
  }
  if (i.immediate) {
    uint32_t& p = w.predicates[static_cast<uint32_t>(i.immediate)];
    p = (p & ~mask) | (inRange & mask);
  }
}

void decodeShuffle(Builder& b, Opcode o) {
  if (!o.take("sync")) b.fail("shuffles without .sync are not supported");
  Instruction i;
  if (o.take("up"))
    i.run = shuffle<kUp>;
  else if (o.take("down"))
    i.run = shuffle<kDown>;
  else if (o.take("bfly"))
    i.run = shuffle<kButterfly>;
  else if (o.take("idx"))
    i.run = shuffle<kIndex>;
  if (!i.run || !o.take("b32")) b.failModifier(o);
  b.finish(o);
  b.expectOperands(5, 5);
  const Operand& d = b.operand(0);
  i.a = b.source(b.operand(1), 4);
  i.b = b.source(b.operand(2), 4);
  i.c = b.source(b.operand(3), 4);
  i.extra = b.extra({b.source(b.operand(4), 4)});
  i.control = 1;
  if (d.kind == Operand::Pair) i.immediate = b.predicate(d.items[1]);
  i.d = b.destination(d.kind == Operand::Pair ? d.items[0] : d, 4);
  b.emit(i);
}

enum Vote { kAllTrue, kAnyTrue, kUniform, kBallot };

template <Vote vote>
void voteSync(Warp& w, const Instruction& i, uint32_t mask) {
  if (!gather(w, mask, i.b, "a vote")) return;
  uint32_t p = w.predicates[i.a] & mask;
  if (vote == kBallot) {
    uint32_t* d = w.lanes<uint32_t>(i.d);
    for (unsigned l = 0; l < kLanes; ++l)
      if (bit(mask, l)) d[l] = p;
    return;
  }
  bool r = vote == kAllTrue ? p == mask : vote == kAnyTrue ? p != 0 : p == 0 || p == mask;
  w.predicates[i.d] = (w.predicates[i.d] & ~mask) | (r ? mask : 0);
}

void decodeVote(Builder& b, Opcode o) {
  if (!o.take("sync")) b.fail("votes without .sync are not supported");
  Instruction i;
  bool ballot = o.take("ballot");
  if (ballot)
    i.run = voteSync<kBallot>;
  else if (o.take("all"))
    i.run = voteSync<kAllTrue>;
  else if (o.take("any"))
    i.run = voteSync<kAnyTrue>;
  else if (o.take("uni"))
    i.run = voteSync<kUniform>;
  if (!i.run || !o.take(ballot ? "b32" : "pred")) b.failModifier(o);
  b.finish(o);
  b.expectOperands(3, 3);
  i.a = b.predicateSource(b.operand(1));
  i.b = b.source(b.operand(2), 4);
  i.control = 1;
  i.d = ballot ? b.destination(b.operand(0), 4) : b.predicate(b.operand(0));
  b.emit(i);
}

template <class T, bool all>
void match(Warp& w, const Instruction& i, uint32_t mask) {
  if (!gather(w, mask, i.b, "a match")) return;
  uint32_t* d = w.lanes<uint32_t>(i.d);
  const T* a = w.lanes<T>(i.a);
  uint32_t result[kLanes], same = mask;
  for (unsigned l = 0; l < kLanes; ++l) {
    result[l] = 0;
    for (unsigned k = 0; k < kLanes; ++k)
      if (bit(mask, k) && a[k] == a[l]) result[l] |= 1u << k;
    if (bit(mask, l)) same &= result[l];
  }
  bool equal = same == mask;
  for (unsigned l = 0; l < kLanes; ++l)
    if (bit(mask, l)) d[l] = all ? (equal ? mask : 0) : result[l];
  if (all && i.immediate) {
    uint32_t& p = w.predicates[static_cast<uint32_t>(i.immediate)];
    p = (p & ~mask) | (equal ? mask : 0);
  }
}

void decodeMatch(Builder& b, Opcode o) {
  bool all = o.take("all");
  if (!all && !o.take("any")) b.failModifier(o);
  if (!o.take("sync")) b.failModifier(o);
  Type t = b.type(o.takeLast());
  b.finish(o);
  b.expectOperands(3, 3);
  Instruction i;
  i.run = t.bits == 64 ? (all ? match<uint64_t, true> : match<uint64_t, false>)
                       : (all ? match<uint32_t, true> : match<uint32_t, false>);
  i.a = b.source(b.operand(1), t.slot());
  i.b = b.source(b.operand(2), 4);
  i.control = 1;
  const Operand& d = b.operand(0);
  if (d.kind == Operand::Pair) i.immediate = b.predicate(d.items[1]);
  i.d = b.destination(d.kind == Operand::Pair ? d.items[0] : d, 4);
  b.emit(i);
}

struct Add {
  template <class T>
  static T run(T a, T b) {
    return static_cast<T>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
  }
};
struct Minimum {
  template <class T>
  static T run(T a, T b) {
    return a < b ? a : b;
  }
};
struct Maximum {
  template <class T>
  static T run(T a, T b) {
    return a > b ? a : b;
  }
};
struct And {
  static uint32_t run(uint32_t a, uint32_t b) { return a & b; }
};
struct Or {
  static uint32_t run(uint32_t a, uint32_t b) { return a | b; }
};
struct Xor {
  static uint32_t run(uint32_t a, uint32_t b) { return a ^ b; }
};
template <class Operation, class T>
void reduce(Warp& w, const Instruction& i, uint32_t mask) {
  if (!gather(w, mask, i.b, "a redux")) return;
  T* d = w.lanes<T>(i.d);
  const T* a = w.lanes<T>(i.a);
  unsigned first = static_cast<unsigned>(__builtin_ctz(mask));
  T r = a[first];
  for (unsigned l = first + 1; l < kLanes; ++l)
    if (bit(mask, l)) r = Operation::run(r, a[l]);
  for (unsigned l = 0; l < kLanes; ++l)
    if (bit(mask, l)) d[l] = r;
}

void decodeReduce(Builder& b, Opcode o) {
  if (!o.take("sync")) b.failModifier(o);
  Type t = b.type(o.takeLast());
  bool s = t.isSigned();
  Instruction i;
  if (t.bits != 32) b.fail("unsupported type");
  if (t.kind == 'b') {
    if (o.take("and"))
      i.run = reduce<And, uint32_t>;
    else if (o.take("or"))
      i.run = reduce<Or, uint32_t>;
    else if (o.take("xor"))
      i.run = reduce<Xor, uint32_t>;
  } else {
    if (o.take("add"))
      i.run = reduce<Add, uint32_t>;
    else if (o.take("min"))
      i.run = s ? reduce<Minimum, int32_t> : reduce<Minimum, uint32_t>;
    else if (o.take("max"))
      i.run = s ? reduce<Maximum, int32_t> : reduce<Maximum, uint32_t>;
  }
  if (!i.run || t.kind == 'f') b.failModifier(o);
  b.finish(o);
  b.expectOperands(3, 3);
  i.a = b.source(b.operand(1), 4);
  i.b = b.source(b.operand(2), 4);
  i.control = 1;
  i.d = b.destination(b.operand(0), 4);
  b.emit(i);
}

void activeMask(Warp& w, const Instruction& i, uint32_t mask) {
  uint32_t* d = w.lanes<uint32_t>(i.d);
  for (unsigned l = 0; l < kLanes; ++l)
    if (bit(mask, l)) d[l] = mask;
}
void decodeActiveMask(Builder& b, Opcode o) {
  if (!o.take("b32")) b.failModifier(o);
  b.finish(o);
  Instruction i;
  i.run = activeMask;
  i.d = b.destination(b.operand(0), 4);
  b.emit(i);
}

void warpBarrier(Warp& w, const Instruction& i, uint32_t mask) {
  if (gather(w, mask, i.a, "a warp barrier")) synchroniseWarp(w);
}

// bar.sync and bar.red: a: number, b: threads or ~0, flags: 0 none, 1 popc, 2 and, 3 or; c: predicate, d: destination
void blockBarrier(Warp& w, const Instruction& i, uint32_t mask) {
  if (i.b != kAll) {
    const uint32_t* n = w.lanes<uint32_t>(i.b);
    unsigned first = static_cast<unsigned>(__builtin_ctz(mask)), all = w.block->launch->warpsPerBlock * kLanes;
    if (n[first] != all && n[first] != w.block->launch->threadsPerBlock)
      fault(w, FaultKind::DivergentBarrier, first, "a barrier of a part of the block, which softcuda does not support");
  }
  if (mask != w.existing) {
    await(w);
    return;
  }
  w.barrierInstruction = w.current;
  w.barrierLanes = mask;
  if (i.flags) w.barrierValue = w.predicates[i.c] & mask;
  w.state = State::AtBarrier;
}

void decodeBarrier(Builder& b, Opcode o) {
  o.take("cta");
  if (o.base() == "bar" && o.take("warp")) {
    if (!o.take("sync")) b.failModifier(o);
    b.finish(o);
    b.expectOperands(1, 1);
    Instruction i;
    i.run = warpBarrier;
    i.a = b.source(b.operand(0), 4);
    i.control = 1;
    b.emit(i);
    return;
  }
  bool red = o.take("red");
  if (!red && !o.take("sync")) b.failModifier(o);
  o.take("aligned");
  Instruction i;
  i.run = blockBarrier;
  i.control = 1;
  i.b = kAll;
  if (!red) {
    b.finish(o);
    b.expectOperands(1, 2);
    if (b.operands() == 2) i.b = b.source(b.operand(1), 4);
    i.a = b.source(b.operand(0), 4);
    b.emit(i);
    return;
  }
  bool popc = o.take("popc");
  i.flags = popc ? 1 : o.take("and") ? 2 : o.take("or") ? 3 : 0;
  if (!i.flags || !o.take(popc ? "u32" : "pred")) b.failModifier(o);
  b.finish(o);
  b.expectOperands(3, 4);
  if (b.operands() == 4) i.b = b.source(b.operand(2), 4);
  i.a = b.source(b.operand(1), 4);
  i.c = b.predicateSource(b.operand(b.operands() - 1));
  i.d = popc ? b.destination(b.operand(0), 4) : b.predicate(b.operand(0));
  b.emit(i);
}

// What this block has written so far may be read by a block that learns of it through an atomic operation.
void fence(Warp& w, const Instruction&, uint32_t) {
  Block& block = *w.block;
  if (block.time < kMaxTime) ++block.time;
  setClock(w);
  block.launch->released[block.index].store(block.time << kTimeShift, std::memory_order_release);
}
void nothing(Warp&, const Instruction&, uint32_t) {}

void decodeFence(Builder& b, Opcode o) {
  o.takeOne({"sc", "acq_rel"});
  std::string_view scope = o.takeOne({"cta", "gl", "gpu", "sys"});
  if (scope.empty()) b.failModifier(o);
  b.finish(o);
  Instruction i;
  i.run = scope == "cta" ? nothing : fence;
  b.emit(i);
}

}  // namespace

void addWarpDecoders(Decoders& d) {
  d["shfl"] = decodeShuffle;
  d["vote"] = decodeVote;
  d["match"] = decodeMatch;
  d["redux"] = decodeReduce;
  d["activemask"] = decodeActiveMask;
  d["bar"] = d["barrier"] = decodeBarrier;
  d["membar"] = d["fence"] = decodeFence;
}

}  // namespace softcuda
