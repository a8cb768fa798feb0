#include "decode.h"

#include <algorithm>
#include <functional>
#include <set>

#include "builder.h"
#include "ops.h"

namespace softcuda {

void addConvertDecoders(Decoders&);

namespace {

const Forms& forms() {
  static const Forms table = [] {
    Forms f;
    addIntegerForms(f);
    addFloatForms(f);
    addHalfForms(f);
    return f;
  }();
  return table;
}

const Decoders& decoders() {
  static const Decoders table = [] {
    Decoders d;
    addCompareDecoders(d);
    addMoveDecoders(d);
    addConvertDecoders(d);
    addMemoryDecoders(d);
    addAtomicDecoders(d);
    addCopyDecoders(d);
    addWarpDecoders(d);
    addControlDecoders(d);
    addMatrixDecoders(d);
    addCarryDecoders(d);
    return d;
  }();
  return table;
}

void emitForm(Builder& b, const Form& form) {
  unsigned sources = 0;
  while (sources < 3 && form.sources[sources]) ++sources;
  b.expectOperands(sources + 1, sources + 1);
  Instruction i;
  i.run = form.run;
  uint32_t offsets[3] = {};
  for (unsigned k = 0; k < sources; ++k) {
    const Operand& o = b.operand(k + 1);
    offsets[k] = b.source(o, form.sources[k], form.floating && o.kind == Operand::Double);
  }
  i.a = offsets[0], i.b = offsets[1], i.c = offsets[2];
  i.d = b.destination(b.operand(0), form.destination);
  b.emit(i);
}

void decodeStatement(Builder& b) {
  std::string_view opcode = b.statement->opcode;
  auto form = forms().find(std::string(opcode));
  if (form != forms().end()) return emitForm(b, form->second);
  std::string_view base = opcode.substr(0, opcode.find('.'));
  // The longest name first: "add.cc", "and.pred".
  size_t second = opcode.find('.', base.size() + 1);
  auto found = decoders().end();
  if (base.size() < opcode.size()) {
    std::string_view two = opcode.substr(0, second);
    found = decoders().find(two);
    if (found == decoders().end() && opcode.find(".cc.") != std::string_view::npos)  // mad.lo.cc
      found = decoders().find(base == "mad" ? "mad.cc" : base);
  }
  if (found == decoders().end()) found = decoders().find(base);
  if (found == decoders().end()) b.fail("softcuda does not know this opcode");
  found->second(b, Opcode(opcode));
}

const Symbol* calleeOf(const Statement& s) {
  if (s.opcode.substr(0, 4) != "call") return nullptr;
  for (const Operand& o : s.operands)
    if (o.kind == Operand::Symbol && o.symbol->kind == Symbol::Function) return o.symbol;
  return nullptr;
}

// Callees before callers, the kernel last.
void reach(const Function& f, const Syntax& syntax, std::vector<const Function*>& order,
           std::set<const Function*>& open) {
  if (std::find(order.begin(), order.end(), &f) != order.end()) return;
  if (!open.insert(&f).second)
    throw PtxError("the function '" + f.name + "' calls itself, which softcuda does not support");
  for (const Statement& s : f.body)
    if (const Symbol* callee = calleeOf(s))
      if (syntax.functions[callee->index].defined) reach(syntax.functions[callee->index], syntax, order, open);
  open.erase(&f);
  order.push_back(&f);
}

void eachSymbol(const Operand& o, const std::function<void(const Symbol&)>& visit) {
  if (o.symbol) visit(*o.symbol);
  for (const Operand& item : o.items) eachSymbol(item, visit);
}

uint64_t up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

// Static shared variables of the reachable functions one after another, the dynamic ones behind them all.
void placeShared(Builder& b, const std::vector<const Function*>& order) {
  std::vector<const Symbol*> all, dynamic;
  for (const Function* f : order) {
    for (const Symbol* s : f->shared) all.push_back(s);
    for (const Statement& statement : f->body)
      for (const Operand& o : statement.operands)
        eachSymbol(o, [&](const Symbol& s) {
          if (s.kind != Symbol::Shared) return;
          auto& list = s.dynamic ? dynamic : all;
          if (std::find(list.begin(), list.end(), &s) == list.end()) list.push_back(&s);
        });
  }
  uint64_t top = 0;
  for (const Symbol* s : all) {
    top = up(top, s->align);
    b.sharedOffsets[s] = top;
    b.program.sharedVariables.push_back({s->name, top, s->bytes});
    top += s->bytes;
  }
  b.program.sharedBytes = top;
  for (const Symbol* s : dynamic) b.sharedOffsets[s] = up(top, std::max<uint64_t>(s->align, 16));
  if (!dynamic.empty()) b.program.sharedBytes = up(top, 16);
}

void allocateRegisters(Builder& b, const Function& f) {
  std::vector<uint32_t> offsets;
  for (const Register& r : f.registers) {
    if (r.bits == 1)
      offsets.push_back(b.newPredicate());
    else
      offsets.push_back(b.temporary(r.bits == 64 ? 8 : 4));
  }
  b.registerOffsets[&f] = std::move(offsets);
}

void patch(Builder& b) {
  for (const Builder::Patch& p : b.patches) {
    uint32_t target = p.callee ? b.entries.at(p.callee) : b.statementStarts.at(p.function)[p.statement];
    if (p.isExtra)
      b.program.extras[p.instruction] = target;
    else
      b.program.code[p.instruction].immediate = target;
  }
}

}  // namespace

Kernel decode(const Function& function, const Syntax& syntax, const Module& module) {
  auto program = std::make_shared<Program>();
  Builder b(*program, syntax, module);
  std::vector<const Function*> order;
  std::set<const Function*> open;
  reach(function, syntax, order, open);
  placeShared(b, order);
  for (const Function* f : order) {
    b.frames[f] = program->localBytes = up(program->localBytes, 16);
    program->localBytes += f->frameBytes;
    allocateRegisters(b, *f);
    if (f != &function) b.returnSlots[f] = b.temporary(4);
  }
  for (const Function* f : order) {
    b.function = f;
    b.kernel = f == &function;
    b.entries[f] = static_cast<uint32_t>(program->code.size());
    auto& starts = b.statementStarts[f];
    for (const Statement& s : f->body) {
      starts.push_back(static_cast<uint32_t>(program->code.size()));
      b.statement = &s;
      decodeStatement(b);
    }
    starts.push_back(static_cast<uint32_t>(program->code.size()));
    Statement end;  // falling off the end returns
    end.opcode = "ret";
    b.statement = &end;
    decodeStatement(b);
  }
  program->entry = b.entries.at(&function);
  patch(b);

  Kernel k;
  k.name = function.name;
  for (const Symbol* s : function.parameters)
    k.parameters.push_back(
        {s->name, static_cast<size_t>(s->offset), static_cast<size_t>(s->bytes), static_cast<size_t>(s->align)});
  k.parameterBytes = function.parameterBytes;
  k.sharedBytes = program->sharedBytes;
  k.localBytes = program->localBytes;
  k.registers = program->registerBytes / (4 * kLanes);
  k.maxThreads = function.maxThreads;
  program->name = function.name;
  program->files = module.files;
  program->parameters = k.parameters;
  program->parameterBytes = function.parameterBytes;
  program->addresses = module.addresses;
  k.program = program;
  return k;
}

}  // namespace softcuda
