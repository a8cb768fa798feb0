#include "builder.h"
#include "ops.h"

namespace softcuda {
namespace {

void jump(Warp& w, const Instruction& i, uint32_t mask) { branch(w, mask, static_cast<uint32_t>(i.immediate)); }

// Lanes with different targets, one group each.
template <class Target>
void scatter(Warp& w, uint32_t mask, Target target) {
  while (mask) {
    uint32_t to = target(static_cast<unsigned>(__builtin_ctz(mask))), same = 0;
    for (unsigned l = 0; l < kLanes; ++l)
      if (bit(mask, l) && target(l) == to) same |= 1u << l;
    mask &= ~same;
    if (same == w.active) {
      branch(w, same, to);
      return;
    }
    // The others stay the running group for the next round.
    uint32_t rest = w.active & ~same;
    w.groups.push_back({to, same, false});
    w.active = rest;
    w.stop = 0;
  }
}

void indexedJump(Warp& w, const Instruction& i, uint32_t mask) {
  const uint32_t* index = w.lanes<uint32_t>(i.a);
  const uint32_t* targets = w.program->extras.data() + i.extra;
  for (unsigned l = 0; l < kLanes; ++l)
    if (bit(mask, l) && index[l] >= static_cast<uint32_t>(i.immediate))
      fault(w, FaultKind::OutOfBounds, l,
            "brx.idx with index " + std::to_string(index[l]) + " into a table of " + std::to_string(i.immediate));
  scatter(w, mask, [=](unsigned l) { return targets[index[l]]; });
}

void callFunction(Warp& w, const Instruction& i, uint32_t mask) {
  uint32_t* back = w.lanes<uint32_t>(i.d);
  for (unsigned l = 0; l < kLanes; ++l)
    if (bit(mask, l)) back[l] = w.current + 1;
  branch(w, mask, static_cast<uint32_t>(i.immediate));
}
void returnFromFunction(Warp& w, const Instruction& i, uint32_t mask) {
  const uint32_t* back = w.lanes<uint32_t>(i.d);
  uint32_t to[kLanes];
  std::memcpy(to, back, sizeof to);
  scatter(w, mask, [&](unsigned l) { return to[l]; });
}
void finish(Warp& w, const Instruction&, uint32_t mask) { leave(w, mask); }
void trap(Warp& w, const Instruction&, uint32_t mask) {
  fault(w, FaultKind::Trap, static_cast<uint32_t>(__builtin_ctz(mask)), "a trap");
}
void failedAssert(Warp& w, const Instruction& i, uint32_t mask) {
  unsigned lane = static_cast<unsigned>(__builtin_ctz(mask));
  auto text = [&](uint64_t offset) {
    uint64_t address;
    std::memcpy(&address, w.local.data() + lane * w.program->localBytes + offset, 8);
    std::string s;
    const Memory& m = *w.block->launch->memory;
    for (; address >= Memory::kBase && address - Memory::kBase < m.extent() && s.size() < 300; ++address) {
      char c = static_cast<char>(m.data()[address - Memory::kBase]);
      if (!c) break;
      s += c;
    }
    return s;
  };
  fault(w, FaultKind::Trap, lane, "a failed assertion '" + text(w.program->extras[i.extra]) + "'");
}
// Copies bytes of the lanes' local memory: from, to, count
void copyLocal(Warp& w, const Instruction& i, uint32_t mask) {
  uint64_t size = w.program->localBytes;
  for (unsigned l = 0; l < kLanes; ++l) {
    if (!bit(mask, l)) continue;
    std::memcpy(w.local.data() + l * size + i.d, w.local.data() + l * size + i.a, i.b);
    std::memcpy(w.localWritten.data() + l * size + i.d, w.localWritten.data() + l * size + i.a, i.b);
  }
}

void decodeBranch(Builder& b, Opcode o) {
  o.take("uni");
  b.finish(o);
  b.expectOperands(1, 1);
  Instruction i;
  i.run = jump;
  i.control = 1;
  b.emit(i);
  b.target(static_cast<uint32_t>(b.program.code.size() - 1), b.operand(0));
}

void decodeIndexedBranch(Builder& b, Opcode o) {
  if (!o.take("idx")) b.failModifier(o);
  o.take("uni");
  b.finish(o);
  b.expectOperands(2, 2);
  const BranchTable* table = nullptr;
  for (int scope = b.statement->scope; scope >= 0 && !table; scope = b.function->scopeParents[scope]) {
    auto found = b.function->branches.find({scope, b.operand(1).name});
    if (found != b.function->branches.end()) table = &found->second;
  }
  if (!table) b.fail("unknown table of targets");
  Instruction i;
  i.run = indexedJump;
  i.control = 1;
  i.a = b.source(b.operand(0), 4);
  i.immediate = static_cast<int64_t>(table->labels.size());
  i.extra = b.extra(std::vector<uint32_t>(table->labels.size()));
  b.emit(i);
  for (size_t k = 0; k < table->labels.size(); ++k)
    b.patches.push_back({i.extra + static_cast<uint32_t>(k), b.function, b.resolveLabel(table->labels[k], table->scope),
                         nullptr, true});
}

void moveParameter(Builder& b, const Operand& argument, const Symbol& parameter, const Function& callee, bool in) {
  if (argument.kind != Operand::Symbol || argument.symbol->bytes != parameter.bytes)
    b.fail("an argument does not fit the function's parameter");
  uint32_t outer = static_cast<uint32_t>(b.frames.at(b.function) + argument.symbol->offset);
  uint32_t inner = static_cast<uint32_t>(b.frames.at(&callee) + parameter.offset);
  Instruction i;
  i.run = copyLocal;
  i.a = in ? outer : inner;
  i.d = in ? inner : outer;
  i.b = static_cast<uint32_t>(parameter.bytes);
  b.emit(i);
}

void decodeCall(Builder& b, Opcode o) {
  o.take("uni");
  b.finish(o);
  size_t at = 0;
  std::vector<Operand> results, arguments;
  if (b.operand(0).kind == Operand::List) results = b.operand(at++).items;
  const Operand& name = b.operand(at++);
  if (at < b.operands()) {
    if (b.operand(at).kind != Operand::List) b.fail("unsupported call");
    arguments = b.operand(at++).items;
  }
  if (at != b.operands() || name.kind != Operand::Symbol || name.symbol->kind != Symbol::Function)
    b.fail("calls through a pointer are not supported");
  const Function& callee = b.syntax.functions[name.symbol->index];
  Instruction i;
  i.control = 1;
  if (callee.name == "__assertfail") {
    i.run = failedAssert;
    i.extra = b.extra({static_cast<uint32_t>(b.frames.at(b.function) + arguments.at(0).symbol->offset)});
    b.emit(i);
    return;
  }
  if (!callee.defined) b.fail("softcuda does not know the function '" + callee.name + "'");
  if (arguments.size() != callee.parameters.size() || results.size() != callee.returns.size())
    b.fail("wrong number of arguments");
  for (size_t k = 0; k < arguments.size(); ++k) moveParameter(b, arguments[k], *callee.parameters[k], callee, true);
  i.run = callFunction;
  i.d = b.returnSlots.at(&callee);
  b.emit(i);
  b.patches.push_back({static_cast<uint32_t>(b.program.code.size() - 1), b.function, 0, &callee, false});
  for (size_t k = 0; k < results.size(); ++k) moveParameter(b, results[k], *callee.returns[k], callee, false);
}

void decodeReturn(Builder& b, Opcode o) {
  o.take("uni");
  b.finish(o);
  Instruction i;
  i.control = 1;
  i.run = b.kernel || o.base() == "exit" ? finish : returnFromFunction;
  if (!b.kernel && o.base() != "exit") i.d = b.returnSlots.at(b.function);
  b.emit(i);
}

void decodeTrap(Builder& b, Opcode o) {
  b.finish(o);
  Instruction i;
  i.control = 1;
  i.run = trap;
  b.emit(i);
}

void nothing(Warp&, const Instruction&, uint32_t) {}
void decodeSleep(Builder& b, Opcode o) {
  o.take("u32");
  b.finish(o);
  Instruction i;
  i.run = nothing;
  b.emit(i);
}

}  // namespace

void addControlDecoders(Decoders& d) {
  d["bra"] = decodeBranch;
  d["brx"] = decodeIndexedBranch;
  d["call"] = decodeCall;
  d["ret"] = d["exit"] = decodeReturn;
  d["trap"] = decodeTrap;
  d["nanosleep"] = decodeSleep;
}

}  // namespace softcuda
