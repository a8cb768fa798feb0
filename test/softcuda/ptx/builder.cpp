#include "builder.h"

#include <algorithm>

#include "ops.h"

namespace softcuda {

Opcode::Opcode(std::string_view text) {
  for (size_t start = 0; start <= text.size();) {
    size_t dot = text.find('.', start);
    if (dot == std::string_view::npos) dot = text.size();
    parts_.push_back(text.substr(start, dot - start));
    start = dot + 1;
  }
}

bool Opcode::take(std::string_view modifier) {
  auto found = std::find(parts_.begin() + 1, parts_.end(), modifier);
  if (found == parts_.end()) return false;
  parts_.erase(found);
  return true;
}

std::string_view Opcode::takeOne(std::initializer_list<std::string_view> modifiers) {
  for (std::string_view m : modifiers)
    if (take(m)) return m;
  return {};
}

std::string_view Opcode::takeLast() {
  if (empty()) return {};
  std::string_view part = parts_.back();
  parts_.pop_back();
  return part;
}

std::string Opcode::rest() const {
  std::string text;
  for (size_t i = 1; i < parts_.size(); ++i) text += "." + std::string(parts_[i]);
  return text;
}

namespace {

const std::unordered_map<std::string_view, Special>& specials() {
  static const std::unordered_map<std::string_view, Special> table = {
      {"%tid.x", Special::TidX},
      {"%tid.y", Special::TidY},
      {"%tid.z", Special::TidZ},
      {"%ntid.x", Special::NtidX},
      {"%ntid.y", Special::NtidY},
      {"%ntid.z", Special::NtidZ},
      {"%ctaid.x", Special::CtaidX},
      {"%ctaid.y", Special::CtaidY},
      {"%ctaid.z", Special::CtaidZ},
      {"%nctaid.x", Special::NctaidX},
      {"%nctaid.y", Special::NctaidY},
      {"%nctaid.z", Special::NctaidZ},
      {"%laneid", Special::LaneId},
      {"%warpid", Special::WarpId},
      {"%nwarpid", Special::NwarpId},
      {"%lanemask_eq", Special::LanemaskEq},
      {"%lanemask_lt", Special::LanemaskLt},
      {"%lanemask_le", Special::LanemaskLe},
      {"%lanemask_gt", Special::LanemaskGt},
      {"%lanemask_ge", Special::LanemaskGe},
      {"%smid", Special::SmId},
      {"%nsmid", Special::NsmId},
      {"%dynamic_smem_size", Special::DynamicSharedSize},
      {"%total_smem_size", Special::TotalSharedSize},
      {"%gridid", Special::GridId}};
  return table;
}

struct Narrow {
  static uint32_t run(uint64_t a) { return static_cast<uint32_t>(a); }
};
struct WidenUnsigned {
  static uint64_t run(uint32_t a) { return a; }
};
struct WidenSigned {
  static uint64_t run(uint32_t a) { return static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(a))); }
};
void invert(Warp& w, const Instruction& i, uint32_t mask) {
  w.predicates[i.d] = (w.predicates[i.d] & ~mask) | (~w.predicates[i.a] & mask);
}

}  // namespace

Builder::Builder(Program& program, const Syntax& syntax, const Module& module)
    : program(program), syntax(syntax), module(module) {}

void Builder::fail(const std::string& what) const {
  throw PtxError("PTX line " + std::to_string(statement ? statement->textLine : 0) + ": " +
                 (statement ? "'" + std::string(statement->opcode) + "': " : std::string()) + what);
}

void Builder::failModifier(const Opcode& opcode) const {
  fail("softcuda does not know the modifier '" + opcode.rest() + "' of '" + std::string(opcode.base()) + "'");
}

Type Builder::type(std::string_view name) const {
  static const std::unordered_map<std::string_view, Type> table = {
      {"pred", {'p', 1}}, {"b8", {'b', 8}},     {"u8", {'u', 8}},    {"s8", {'s', 8}},     {"b16", {'b', 16}},
      {"u16", {'u', 16}}, {"s16", {'s', 16}},   {"b32", {'b', 32}},  {"u32", {'u', 32}},   {"s32", {'s', 32}},
      {"b64", {'b', 64}}, {"u64", {'u', 64}},   {"s64", {'s', 64}},  {"f32", {'f', 32}},   {"f64", {'f', 64}},
      {"f16", {'h', 16}}, {"f16x2", {'H', 32}}, {"bf16", {'n', 16}}, {"bf16x2", {'N', 32}}};
  auto found = table.find(name);
  if (found == table.end()) fail("softcuda does not know the type or modifier '." + std::string(name) + "'");
  return found->second;
}

const Operand& Builder::operand(size_t i) const {
  if (i >= statement->operands.size()) fail("operand " + std::to_string(i + 1) + " is missing");
  return statement->operands[i];
}

void Builder::expectOperands(size_t least, size_t most) const {
  if (operands() < least || operands() > most)
    fail("expected " + std::to_string(least) + (least == most ? "" : " to " + std::to_string(most)) +
         " operands but received " + std::to_string(operands()));
}

uint32_t Builder::temporary(unsigned slot) {
  uint32_t offset = program.registerBytes;
  program.registerBytes += slot * kLanes;
  return offset;
}

uint32_t Builder::constant(uint64_t bits, unsigned slot, int variable) {
  if (slot == 4) bits &= 0xFFFFFFFFu;
  auto [entry, fresh] = constants_.try_emplace({bits, slot, variable}, 0);
  if (fresh) {
    entry->second = temporary(slot);
    program.constants.push_back({entry->second, static_cast<uint8_t>(slot), variable, bits});
  }
  return entry->second;
}

unsigned Builder::slotOf(const Operand& o) const {
  if (o.kind != Operand::Register || o.reg < 0) return 0;
  return function->registers[o.reg].bits == 64 ? 8 : 4;
}

uint64_t Builder::symbolOffset(const Symbol& s) const {
  switch (s.kind) {
    case Symbol::Shared:
      return sharedOffsets.at(&s);
    case Symbol::Local:
    case Symbol::FunctionParam:
      return frames.at(function) + s.offset;
    default:
      return s.offset;
  }
}

uint32_t Builder::source(const Operand& o, unsigned slot, bool floating) {
  switch (o.kind) {
    case Operand::Register: {
      if (o.reg < 0) {
        auto found = specials().find(o.name);
        if (found == specials().end()) {
          if (o.name == "WARP_SZ") return constant(32, slot);
          fail("softcuda does not know '" + std::string(o.name) + "'");
        }
        auto [entry, fresh] = specials_.try_emplace({static_cast<int>(found->second), slot}, 0);
        if (fresh) {
          entry->second = temporary(slot);
          program.specials.push_back({found->second, entry->second, static_cast<uint8_t>(slot)});
        }
        return entry->second;
      }
      if (function->registers[o.reg].bits == 1) fail("a predicate stands where a value is expected");
      if (o.negated) fail("'!' before a register that is no predicate");
      uint32_t offset = registerOffsets.at(function)[o.reg];
      unsigned have = slotOf(o);
      if (have == slot) return offset;
      if (have < slot) fail("the register " + std::string(o.name) + " is too narrow");
      Instruction narrow;
      narrow.run = apply<Narrow, uint32_t, uint64_t>;
      narrow.a = offset;
      narrow.d = temporary(4);
      auto after = std::move(after_);
      after_.clear();
      uint32_t d = narrow.d;
      emit(narrow);
      after_ = std::move(after);
      return d;
    }
    case Operand::Integer:
      if (floating) fail("an integer stands where a floating-point constant is expected");
      return constant(o.bits, slot);
    case Operand::Float:
      if (slot != 4) fail("a 32-bit constant stands where 64 bits are expected");
      return constant(o.bits, 4);
    case Operand::Double: {
      if (slot == 8) return constant(o.bits, 8);
      double wide;
      std::memcpy(&wide, &o.bits, 8);
      float value = static_cast<float>(wide);
      uint32_t bits;
      std::memcpy(&bits, &value, 4);
      return constant(bits, 4);
    }
    case Operand::Symbol: {
      const Symbol& s = *o.symbol;
      if (s.kind == Symbol::Function) fail("addresses of functions are not supported");
      if (s.kind == Symbol::Variable) {
        if (slot != 8) fail("an address needs 64 bits");
        return constant(o.bits, 8, s.index);
      }
      return constant(symbolOffset(s) + o.bits, slot);
    }
    default:
      fail("unexpected operand" + (o.name.empty() ? std::string() : " '" + std::string(o.name) + "'"));
  }
}

uint32_t Builder::destination(const Operand& o, unsigned slot, bool extendSigned) {
  if (o.kind == Operand::Sink) return temporary(slot);
  if (o.kind != Operand::Register || o.reg < 0) fail("expected a register as destination");
  if (function->registers[o.reg].bits == 1) fail("a predicate stands where a value is expected");
  uint32_t offset = registerOffsets.at(function)[o.reg];
  unsigned have = slotOf(o);
  if (have == slot) return offset;
  if (have < slot) fail("the register " + std::string(o.name) + " is too narrow");
  uint32_t t = temporary(4);
  after_.push_back({t, offset, extendSigned});
  return t;
}

uint32_t Builder::newPredicate() {
  if (program.predicates > 0xFFF0) fail("too many predicates");
  return program.predicates++;
}

uint32_t Builder::predicate(const Operand& o) {
  if (o.kind == Operand::Sink) return newPredicate();
  if (o.kind != Operand::Register || o.reg < 0 || function->registers[o.reg].bits != 1 || o.negated)
    fail("expected a predicate");
  return registerOffsets.at(function)[o.reg];
}

uint32_t Builder::predicateSource(const Operand& o) {
  if (o.kind == Operand::Integer) {  // 0: all true
    if (o.bits & 1 || o.bits == ~uint64_t{0}) return 0;
    Instruction no;
    no.run = invert;
    no.d = newPredicate();
    no.a = 0;
    emit(no);
    return no.d;
  }
  if (!o.negated) return predicate(o);
  Operand plain = o;
  plain.negated = false;
  Instruction no;
  no.run = invert;
  no.d = newPredicate();
  no.a = predicate(plain);
  emit(no);
  return no.d;
}

const Symbol* Builder::address(const Operand& o, Instruction& i, Space space) {
  if (o.kind != Operand::Address) fail("expected an address in brackets");
  i.immediate = static_cast<int64_t>(o.bits);
  if (o.reg >= 0) {
    if (slotOf(o.kind == Operand::Address ? [&] {
          Operand r = o;
          r.kind = Operand::Register;
          return r;
        }()
                                          : o) == 8)
      i.flags |= kAddress64;
    i.a = registerOffsets.at(function)[o.reg];
    return nullptr;
  }
  if (!o.symbol) {  // an absolute address
    i.flags |= kAddress64;
    i.a = constant(0, 8);
    return nullptr;
  }
  const Symbol& s = *o.symbol;
  i.flags |= kAddress64;
  if (s.kind == Symbol::Variable) {
    i.a = constant(0, 8, s.index);
  } else if (s.kind == Symbol::Function) {
    fail("addresses of functions are not supported");
  } else {
    if (space == Space::Register) fail("the address of '" + s.name + "' is not a generic one");
    i.a = constant(0, 8);
    i.immediate += static_cast<int64_t>(symbolOffset(s));
  }
  return &s;
}

Instruction& Builder::emit(Instruction i) {
  if (statement) {
    if (statement->guard >= 0) {
      i.guard = static_cast<uint16_t>(registerOffsets.at(function)[statement->guard]);
      i.guardNegated = statement->guardNegated;
      if (function->registers[statement->guard].bits != 1) fail("the guard is no predicate");
    }
    SourceLine line{statement->file, statement->line, statement->textLine};
    if (program.lines.empty() || program.lines.back().textLine != line.textLine) program.lines.push_back(line);
    i.line = static_cast<uint32_t>(program.lines.size() - 1);
  }
  program.code.push_back(i);
  program.opcodes.emplace_back(statement ? statement->opcode : std::string_view());
  size_t at = program.code.size() - 1;
  auto after = std::move(after_);
  after_.clear();
  for (const Conversion& c : after) {
    Instruction widen;
    widen.run = c.isSigned ? apply<WidenSigned, uint64_t, uint32_t> : apply<WidenUnsigned, uint64_t, uint32_t>;
    widen.a = c.from;
    widen.d = c.to;
    emit(widen);
  }
  return program.code[at];
}

uint32_t Builder::extra(const std::vector<uint32_t>& values) {
  uint32_t at = static_cast<uint32_t>(program.extras.size());
  program.extras.insert(program.extras.end(), values.begin(), values.end());
  return at;
}

uint32_t Builder::resolveLabel(std::string_view name, int scope) const {
  for (; scope >= 0; scope = function->scopeParents[scope]) {
    auto found = function->labels.find({scope, name});
    if (found != function->labels.end()) return static_cast<uint32_t>(found->second);
  }
  fail("unknown label '" + std::string(name) + "'");
}

void Builder::target(uint32_t instruction, const Operand& label) {
  if (label.kind != Operand::Label) fail("expected a label");
  patches.push_back({instruction, function, resolveLabel(label.name, statement->scope), nullptr, false});
}

}  // namespace softcuda
