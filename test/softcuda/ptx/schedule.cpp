#include <algorithm>
#include <cstdio>

#include "machine.h"

// The lanes of a warp that stand at one instruction form a group. The group with the lowest pc runs; groups that meet become
// one. A group at a barrier, shuffle or vote that lacks lanes is parked until they come; when only parked groups are
// left, the lanes will never come.
namespace softcuda {
namespace {

[[noreturn]] void stuck(Warp& w) {
  const Group& g = *std::min_element(w.groups.begin(), w.groups.end(), [](auto& a, auto& b) { return a.pc < b.pc; });
  w.current = g.pc;
  const std::string& opcode = w.program->opcodes[g.pc];
  bool barrier = opcode.rfind("bar", 0) == 0 && opcode.rfind("bar.warp", 0) != 0;
  char lanes[32];
  std::snprintf(lanes, sizeof lanes, "0x%08x", g.mask);
  std::string what = "'" + opcode + "' that only the lanes " + lanes + " of warp " + std::to_string(w.index) + " reach";
  if (w.live != w.existing) what += ", while others have ended";
  fault(w, barrier ? FaultKind::DivergentBarrier : FaultKind::InactiveLanes,
        static_cast<uint32_t>(__builtin_ctz(g.mask)), what);
}

// Merges what stands together and makes the lowest group the running one.
void reschedule(Warp& w) {
  auto& groups = w.groups;
  if (w.active) groups.push_back({w.pc, w.active, false});
  std::sort(groups.begin(), groups.end(), [](auto& a, auto& b) { return a.pc < b.pc; });
  size_t n = 0;
  for (size_t k = 0; k < groups.size(); ++k) {
    if (n && groups[n - 1].pc == groups[k].pc) {
      groups[n - 1].mask |= groups[k].mask;
      groups[n - 1].parked = false;
    } else {
      groups[n++] = groups[k];
    }
  }
  groups.resize(n);
  auto next = std::find_if(groups.begin(), groups.end(), [](auto& g) { return !g.parked; });
  if (next == groups.end()) stuck(w);
  w.pc = next->pc;
  w.active = next->mask;
  next = groups.erase(next);
  w.stop = next == groups.end() ? kAll : next->pc;
}

[[noreturn]] void tooLong(Warp& w) {
  fault(w, FaultKind::InstructionLimit, static_cast<uint32_t>(__builtin_ctz(w.active ? w.active : 1)),
        "the block has executed " + std::to_string(w.block->launch->options.instructionLimit) + " warp instructions");
}

}  // namespace

void branch(Warp& w, uint32_t mask, uint32_t target) {
  if (mask == w.active) {
    w.pc = target;
  } else {
    w.groups.push_back({target, mask, false});
    w.active &= ~mask;
  }
}

bool await(Warp& w) {
  w.groups.push_back({w.current, w.executing, true});
  w.active &= ~w.executing;
  return false;
}

void leave(Warp& w, uint32_t mask) {
  for (const PendingCopy& c : w.copies)
    if (mask >> c.lane & 1)
      fault(w, FaultKind::CopiesAtExit, c.lane, "the end of a thread whose cp.async copies have not been waited for");
  w.live &= ~mask;
  w.active &= ~mask;
  if (!w.live) w.state = State::Done;
}

void setClock(Warp& w) {
  const Block& b = *w.block;
  uint64_t number = (b.launch->firstBlock + b.index) << 32;
  uint32_t own = b.time << kTimeShift | w.index << kLaneBits;
  uint32_t barrier =
      b.time >= kMaxTime ? kInFlight<uint32_t> : b.barrierTime << kTimeShift;  // time is up: all is ordered
  w.shared.own = own;
  w.shared.quiet = w.shared.barrier = barrier;
  w.shared.warpSync = w.syncTime << kTimeShift;
  w.global.own = number | own;
  w.global.quiet = b.launch->firstBlock << 32;
  w.global.barrier = number | barrier;
  w.global.warpSync = number | w.shared.warpSync;
}

void synchroniseWarp(Warp& w) {
  Block& b = *w.block;
  if (b.time < kMaxTime) ++b.time;
  w.syncTime = b.time;
  setClock(w);
}

void run(Warp& w) {
  const Instruction* code = w.program->code.data();
  Block& block = *w.block;
  const uint64_t limit = block.launch->options.instructionLimit;
  InstructionCounts* counts = w.counting ? block.counts.data() : nullptr;
  uint64_t steps = block.instructions;
  w.state = State::Running;
  setClock(w);
  for (;;) {
    if (w.pc >= w.stop) reschedule(w);
    const Instruction& i = code[w.pc];
    w.current = w.pc++;
    uint32_t guard = w.predicates[i.guard];
    uint32_t mask = w.active & (i.guardNegated ? ~guard : guard);
    if (++steps > limit) tooLong(w);
    if (counts) {
      counts[w.current].executed++;
      counts[w.current].lanes += static_cast<unsigned>(__builtin_popcount(mask));
    }
    if (!mask) continue;
    w.executing = mask;
    i.run(w, i, mask);
    if (i.control) {
      if (w.state != State::Running) break;
      w.stop = w.active && w.groups.empty() ? kAll : 0;
    }
  }
  block.instructions = steps;
}

}  // namespace softcuda
