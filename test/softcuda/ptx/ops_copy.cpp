#include "access.h"
#include "builder.h"

// cp.async: the checks happen when the copy is issued, the bytes move when the thread waits for its group. Until then
// the destination is marked, and whoever touches it is at fault.
namespace softcuda {
namespace {

template <class Stamp>
void checkBytes(Warp& w, View<Stamp>& v, uint64_t address, uint32_t bytes, uint32_t lane) {
  uint32_t done = 0;
  for (; done + 4 <= bytes; done += 4) check<Access::Read>(w, v, address + done, 4, lane);
  for (; done < bytes; ++done) check<Access::Read>(w, v, address + done, 1, lane);
}

// a, immediate: shared address; count: bytes; c: how many of them to read, when flags & kNarrow; extra: global address, its
// offset, its flags, the predicate that says to ignore the source

void copyAsync(Warp& w, const Instruction& i, uint32_t mask) {
  const uint32_t* extras = w.program->extras.data() + i.extra;
  uint64_t to[kLanes], from[kLanes];
  addresses(w, i, true, to);
  Instruction source;
  source.a = extras[0], source.immediate = static_cast<int32_t>(extras[1]),
  source.flags = static_cast<uint8_t>(extras[2]);
  addresses(w, source, false, from);
  const uint32_t* sizes = i.flags & kNarrow ? w.lanes<uint32_t>(i.c) : nullptr;
  uint32_t ignore = extras[3] ? w.predicates[extras[3]] : 0, bytes = i.count;
  if (w.counting) {
    countShared(w, to, bytes, mask);
    countGlobal(w, from, bytes, mask & ~ignore);
  }
  for (unsigned l = 0; l < kLanes; ++l) {
    if (!bit(mask, l)) continue;
    uint32_t read = bit(ignore, l) ? 0 : sizes ? std::min(sizes[l], bytes) : bytes;
    if (from[l] & (bytes - 1)) faultMisaligned<uint64_t>(w, false, from[l], bytes, l);
    checkBytes(w, w.global, from[l], read, l);
    check<Access::Write>(w, w.shared, to[l], bytes, l);
    if (w.checks) std::fill_n(w.shared.writes + to[l] / 4, bytes / 4, kInFlight<uint32_t>);
    w.copies.push_back({w.committed[l] + 1, l, static_cast<uint32_t>(to[l]), bytes, read, from[l]});
  }
}

void complete(Warp& w, const PendingCopy& c) {
  std::byte* to = w.shared.data + c.destination;
  std::memcpy(to, w.global.data + (c.source - w.global.base), c.sourceBytes);
  std::memset(to + c.sourceBytes, 0, c.bytes - c.sourceBytes);
  if (w.checks) std::fill_n(w.shared.writes + c.destination / 4, c.bytes / 4, w.shared.own | c.lane);
}

void commitGroup(Warp& w, const Instruction&, uint32_t mask) {
  for (unsigned l = 0; l < kLanes; ++l) w.committed[l] += bit(mask, l);
}

// immediate: groups that may stay in flight, or -1: none, committed or not
void waitGroup(Warp& w, const Instruction& i, uint32_t mask) {
  size_t kept = 0;
  for (const PendingCopy& c : w.copies) {
    bool due =
        bit(mask, c.lane) && (i.immediate < 0 || c.group + static_cast<uint64_t>(i.immediate) <= w.committed[c.lane]);
    if (due)
      complete(w, c);
    else
      w.copies[kept++] = c;
  }
  w.copies.resize(kept);
}

void decodeCopy(Builder& b, Opcode o) {
  if (!o.take("async")) b.failModifier(o);
  Instruction i;
  if (o.take("commit_group")) {
    b.finish(o);
    i.run = commitGroup;
    b.emit(i);
    return;
  }
  bool all = o.take("wait_all");
  if (all || o.take("wait_group")) {
    b.finish(o);
    b.expectOperands(all ? 0 : 1, all ? 0 : 1);
    if (!all && b.operand(0).kind != Operand::Integer) b.fail("the number of groups must be a constant");
    i.run = waitGroup;
    i.immediate = all ? -1 : static_cast<int64_t>(b.operand(0).bits);
    b.emit(i);
    return;
  }
  bool cg = o.take("cg");
  if (!cg && !o.take("ca")) b.failModifier(o);
  if (o.takeOne({"shared", "shared::cta"}).empty() || !o.take("global")) b.failModifier(o);
  o.takeOne({"L2::64B", "L2::128B", "L2::256B"});
  b.finish(o);
  b.expectOperands(3, 4);
  const Operand& size = b.operand(2);
  bool allowed = size.kind == Operand::Integer && (size.bits == 16 || (!cg && (size.bits == 4 || size.bits == 8)));
  if (!allowed) b.fail("the size must be 16, or 4 or 8 with .ca");
  Instruction source;
  b.address(b.operand(1), source, Space::Global);
  b.address(b.operand(0), i, Space::Shared);
  uint32_t ignore = 0;
  if (b.operands() == 4) {
    const Operand& fourth = b.operand(3);
    bool predicate = fourth.kind == Operand::Register && fourth.reg >= 0 && b.function->registers[fourth.reg].bits == 1;
    if (predicate) {
      ignore = b.predicateSource(fourth);
    } else {
      i.c = b.source(fourth, 4);
      i.flags |= kNarrow;
    }
  }
  i.extra = b.extra({source.a, static_cast<uint32_t>(source.immediate), source.flags, ignore});
  i.count = static_cast<uint8_t>(size.bits);
  i.run = copyAsync;
  b.emit(i);
}

}  // namespace

void addCopyDecoders(Decoders& d) { d["cp"] = decodeCopy; }

}  // namespace softcuda
