#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <unordered_map>

#include "decode.h"
#include "module.h"
#include "syntax.h"

namespace softcuda {
namespace {

bool nameStart(char c) { return isalpha(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%'; }
bool nameChar(char c) { return isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%'; }

unsigned typeBits(std::string_view type) {
  static const std::unordered_map<std::string_view, unsigned> table = {
      {".pred", 1}, {".b8", 8},   {".u8", 8},   {".s8", 8},   {".b16", 16},   {".u16", 16},   {".s16", 16},
      {".f16", 16}, {".b32", 32}, {".u32", 32}, {".s32", 32}, {".f32", 32},   {".f16x2", 32}, {".bf16", 16},
      {".b64", 64}, {".u64", 64}, {".s64", 64}, {".f64", 64}, {".bf16x2", 32}};
  auto found = table.find(type);
  return found == table.end() ? 0 : found->second;
}

class Parser {
 public:
  Parser(std::string_view text, Module& module, Syntax& syntax)
      : p_(text.data()), end_(p_ + text.size()), module_(module), syntax_(syntax) {
    scopes_.emplace_back();
  }

  void run() {
    for (skip(); p_ < end_; skip()) topLevel();
  }

 private:
  struct Scope {
    std::unordered_map<std::string_view, int> registers;
    std::unordered_map<std::string_view, std::pair<int, int>> ranges;  // prefix -> first register, count
    std::unordered_map<std::string_view, const Symbol*> symbols;
    int id = 0;
  };

  [[noreturn]] void fail(const std::string& what) const {
    throw PtxError("PTX line " + std::to_string(line_) + ": " + what);
  }

  // Characters and tokens.
  void skip() {
    while (p_ < end_) {
      if (*p_ == '\n') {
        ++line_, ++p_;
      } else if (isspace(static_cast<unsigned char>(*p_))) {
        ++p_;
      } else if (p_ + 1 < end_ && p_[0] == '/' && p_[1] == '/') {
        while (p_ < end_ && *p_ != '\n') ++p_;
      } else if (p_ + 1 < end_ && p_[0] == '/' && p_[1] == '*') {
        for (p_ += 2; p_ + 1 < end_ && !(p_[0] == '*' && p_[1] == '/'); ++p_) line_ += *p_ == '\n';
        p_ += 2;
      } else {
        return;
      }
    }
  }
  char peek() {
    skip();
    return p_ < end_ ? *p_ : '\0';
  }
  bool accept(char c) {
    if (peek() != c) return false;
    ++p_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(std::string("expected '") + c + "' but found '" + std::string(p_, p_ < end_ ? 1 : 0) + "'");
  }
  std::string_view word() {  // a name, or a directive with its dot
    skip();
    const char* start = p_;
    if (p_ < end_ && *p_ == '.') ++p_;
    while (p_ < end_ && nameChar(*p_)) ++p_;
    if (p_ == start) fail(std::string("unexpected character '") + (p_ < end_ ? *p_ : ' ') + "'");
    return {start, static_cast<size_t>(p_ - start)};
  }
  std::string_view opcode() {
    skip();
    const char* start = p_;
    while (p_ < end_ && (nameChar(*p_) || *p_ == '.' || *p_ == ':')) ++p_;
    while (p_ > start && p_[-1] == ':') --p_;
    return {start, static_cast<size_t>(p_ - start)};
  }
  uint64_t integer() {
    bool negative = accept('-');
    skip();
    char* stop = nullptr;
    uint64_t value =
        p_[0] == '0' && (p_[1] == 'b' || p_[1] == 'B') ? std::strtoull(p_ + 2, &stop, 2) : std::strtoull(p_, &stop, 0);
    if (stop == p_) fail("expected an integer");
    p_ = stop;
    if (*p_ == 'U') ++p_;
    return negative ? -value : value;
  }
  void skipTo(char c) {
    while (p_ < end_ && *p_ != c) line_ += *p_++ == '\n';
    expect(c);
  }
  void skipBraces() {
    skipTo('{');
    for (int depth = 1; depth && p_ < end_; ++p_) {
      depth += *p_ == '{';
      depth -= *p_ == '}';
      line_ += *p_ == '\n';
    }
  }

  // Module scope.
  void topLevel() {
    std::string_view directive = word();
    if (directive == ".version" || directive == ".target" || directive == ".address_size") {
      while (p_ < end_ && *p_ != '\n') ++p_;
    } else if (directive == ".file") {
      uint64_t index = integer();
      skipTo('"');
      const char* start = p_;
      skipTo('"');
      if (module_.files.size() <= index) module_.files.resize(index + 1);
      module_.files[index] = std::string(start, p_ - 1);
      while (accept(',')) integer();
    } else if (directive == ".section") {
      skipBraces();
    } else if (directive == ".extern" || directive == ".visible" || directive == ".weak" || directive == ".common") {
      extern_ = directive == ".extern";
    } else if (directive == ".entry" || directive == ".func") {
      function(directive == ".entry");
      extern_ = false;
    } else if (directive == ".global" || directive == ".const" || directive == ".shared") {
      variable(directive);
      extern_ = false;
    } else if (directive == ".pragma") {
      skipTo(';');
    } else {
      fail("unknown directive " + std::string(directive));
    }
  }

  Symbol* symbol(Symbol::Kind kind, std::string_view name) {
    syntax_.symbols.push_back(std::make_unique<Symbol>());
    Symbol* s = syntax_.symbols.back().get();
    s->kind = kind;
    s->name = std::string(name);
    scopes_.back().symbols[s->name] = s;
    return s;
  }
  const Symbol* lookup(std::string_view name) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      auto found = scope->symbols.find(name);
      if (found != scope->symbols.end()) return found->second;
    }
    return nullptr;
  }

  struct Declaration {
    std::string_view name;
    unsigned elementBytes;
    uint64_t bytes, align;
    bool unsized;
  };
  // [.align n] .type name [dims]
  Declaration declaration() {
    Declaration d{{}, 0, 0, 0, false};
    std::string_view type = word();
    unsigned vector = 1;
    for (;; type = word()) {
      if (type == ".align")
        d.align = integer();
      else if (type == ".ptr") {  // .ptr .space .align n
      } else if (type == ".global" || type == ".const" || type == ".shared" || type == ".local") {
      } else if (type == ".v2" || type == ".v4")
        vector = type[2] - '0';
      else
        break;
    }
    d.elementBytes = typeBits(type) / 8;
    if (!d.elementBytes) fail("unknown type " + std::string(type));
    while (peek() == '.') {  // .param .u64 .ptr .global .align 4 name
      std::string_view attribute = word();
      if (attribute == ".align") integer();
    }
    d.name = word();
    d.bytes = uint64_t{d.elementBytes} * vector;
    if (!d.align) d.align = d.bytes;
    while (accept('[')) {
      if (accept(']')) {
        d.unsized = true;
      } else {
        d.bytes *= integer();
        expect(']');
      }
    }
    return d;
  }

  void variable(std::string_view space) {
    Declaration d = declaration();
    if (space == ".shared") {
      Symbol* s = symbol(Symbol::Shared, d.name);
      s->bytes = d.unsized ? 0 : d.bytes, s->align = d.align, s->dynamic = d.unsized;
      expect(';');
      return;
    }
    if (extern_) fail("the external variable " + std::string(d.name) + " has no definition here");
    Variable v{std::string(d.name), d.bytes, d.align, space == ".const", {}, {}};
    if (accept('=')) initializer(v, d.elementBytes);
    if (d.unsized) v.bytes = v.initial.size();
    v.initial.resize(v.bytes);
    Symbol* s = symbol(Symbol::Variable, d.name);
    s->index = static_cast<int>(module_.variables.size());
    s->bytes = v.bytes, s->align = v.align;
    module_.variables.push_back(std::move(v));
    expect(';');
  }

  void initializer(Variable& v, unsigned elementBytes) {
    if (accept('{')) {
      if (accept('}')) return;
      do initializer(v, elementBytes);
      while (accept(','));
      expect('}');
      return;
    }
    skip();
    uint64_t bits = 0;
    if (nameStart(*p_)) {  // symbol, generic(symbol), symbol + n
      std::string_view name = word();
      bool generic = name == "generic";
      if (generic) expect('('), name = word();
      int64_t addend = accept('+') ? static_cast<int64_t>(integer()) : 0;
      if (generic) expect(')');
      if (accept('+')) addend = static_cast<int64_t>(integer());
      v.relocations.push_back({v.initial.size(), std::string(name), addend});
    } else {
      Operand value = number();
      bits = value.bits;
    }
    size_t at = v.initial.size();
    v.initial.resize(at + elementBytes);
    std::memcpy(v.initial.data() + at, &bits, elementBytes);
  }

  // Functions.
  void parameterList(Function& f, bool returns, Symbol::Kind kind) {
    expect('(');
    while (!accept(')')) {
      if (word() != ".param") fail("expected .param");
      Declaration d = declaration();
      Symbol* s = symbol(kind, d.name);
      s->bytes = d.bytes, s->align = d.align;
      uint64_t& top = kind == Symbol::KernelParam ? f.parameterBytes : f.frameBytes;
      s->offset = top = (top + d.align - 1) / d.align * d.align;
      top += d.bytes;
      (returns ? f.returns : f.parameters).push_back(s);
      accept(',');
    }
  }

  void function(bool entry) {
    scopes_.emplace_back();
    Function f;
    f.entry = entry;
    Symbol::Kind kind = entry ? Symbol::KernelParam : Symbol::FunctionParam;
    if (peek() == '(') parameterList(f, true, kind);
    f.name = std::string(word());
    if (peek() == '(') parameterList(f, false, kind);
    for (;;) {
      char c = peek();
      if (c == ';') {  // a declaration
        ++p_;
        break;
      }
      if (c == '{') {
        ++p_;
        f.defined = true;
        body(f);
        break;
      }
      std::string_view directive = word();
      if (directive == ".maxntid") {
        uint64_t product = integer();
        while (accept(',')) product *= integer();
        f.maxThreads = static_cast<unsigned>(product);
      } else if (directive == ".reqntid") {
        uint64_t product = integer();
        while (accept(',')) product *= integer();
        f.maxThreads = static_cast<unsigned>(product);
      } else if (directive == ".minnctapersm" || directive == ".maxnreg") {
        integer();
      } else if (directive != ".noreturn") {
        fail("unknown directive " + std::string(directive));
      }
    }
    scopes_.pop_back();
    const Symbol* known = lookup(f.name);
    if (known && known->kind == Symbol::Function) {
      if (f.defined) syntax_.functions[known->index] = std::move(f);
    } else {
      Symbol* s = symbol(Symbol::Function, f.name);
      s->index = static_cast<int>(syntax_.functions.size());
      syntax_.functions.push_back(std::move(f));
    }
  }

  void body(Function& f) {
    function_ = &f;
    file_ = sourceLine_ = 0;
    f.scopeParents = {-1};
    scopes_.back().id = 0;
    for (int depth = 1; depth;) {
      char c = peek();
      if (c == '}') {
        ++p_;
        if (--depth) scopes_.pop_back();
      } else if (c == '{') {
        ++p_, ++depth;
        f.scopeParents.push_back(scopes_.back().id);
        int id = static_cast<int>(f.scopeParents.size()) - 1;
        scopes_.emplace_back();
        scopes_.back().id = id;
      } else if (c == '.') {
        bodyDirective(f);
      } else if (c == '\0') {
        fail("unexpected end of the text");
      } else {
        statement(f);
      }
    }
    function_ = nullptr;
  }

  void bodyDirective(Function& f) {
    std::string_view directive = word();
    if (directive == ".reg") {
      unsigned bits = typeBits(word());
      if (!bits) fail("unknown register type");
      do {
        std::string_view name = word();
        int first = static_cast<int>(f.registers.size()), count = 1;
        if (accept('<')) {
          count = static_cast<int>(integer());
          expect('>');
          scopes_.back().ranges[name] = {first, count};
        } else {
          scopes_.back().registers[name] = first;
        }
        f.registers.resize(first + count, Register{bits});
      } while (accept(','));
      expect(';');
    } else if (directive == ".loc") {
      file_ = static_cast<unsigned>(integer());
      unsigned line = static_cast<unsigned>(integer());
      if (line) sourceLine_ = line;  // 0: made by the compiler
      while (p_ < end_ && *p_ != '\n') ++p_;
    } else if (directive == ".shared" || directive == ".local" || directive == ".param") {
      Declaration d = declaration();
      bool shared = directive == ".shared";
      Symbol* s = symbol(shared                  ? Symbol::Shared
                         : directive == ".local" ? Symbol::Local
                                                 : Symbol::FunctionParam,
                         d.name);
      s->bytes = d.bytes, s->align = d.align;
      if (shared) {
        f.shared.push_back(s);
      } else {
        s->offset = f.frameBytes = (f.frameBytes + d.align - 1) / d.align * d.align;
        f.frameBytes += d.bytes;
      }
      expect(';');
    } else if (directive == ".pragma") {
      skipTo(';');
    } else {
      fail("unknown directive " + std::string(directive));
    }
  }

  void statement(Function& f) {
    Statement s;
    s.textLine = line_, s.file = file_, s.line = sourceLine_;
    s.scope = scopes_.back().id;
    if (accept('@')) {
      s.guardNegated = accept('!');
      Operand guard = operand();
      s.guard = guard.reg;
      if (s.guard < 0) fail("expected a predicate after '@'");
    }
    s.opcode = opcode();
    if (s.opcode.empty()) fail(std::string("unexpected character '") + *p_ + "'");
    if (s.guard < 0 && peek() == ':') {
      ++p_;
      label(f, s);
      return;
    }
    while (!accept(';')) {
      s.operands.push_back(operand());
      if (!accept(',')) {
        expect(';');
        break;
      }
    }
    f.body.push_back(std::move(s));
  }

  void label(Function& f, const Statement& s) {
    constexpr std::string_view directive = ".branchtargets";
    skip();
    if (std::string_view(p_, std::min<size_t>(static_cast<size_t>(end_ - p_), directive.size())) == directive) {
      word();
      BranchTable table{{}, s.scope};
      do table.labels.push_back(word());
      while (accept(','));
      expect(';');
      f.branches[{s.scope, s.opcode}] = table;
    } else {
      f.labels[{s.scope, s.opcode}] = f.body.size();
    }
  }

  // Operands.
  Operand number() {
    Operand o;
    skip();
    const char* digits = p_ + (*p_ == '-');
    if (digits[0] == '0' && (digits[1] == 'f' || digits[1] == 'F' || digits[1] == 'd' || digits[1] == 'D')) {
      bool single = digits[1] == 'f' || digits[1] == 'F';
      char* stop = nullptr;
      o.kind = single ? Operand::Float : Operand::Double;
      std::string hex(digits + 2, single ? 8 : 16);
      o.bits = std::strtoull(hex.c_str(), &stop, 16);
      if (stop != hex.c_str() + hex.size()) fail("a floating-point constant needs all its digits");
      if (digits != p_) o.bits ^= single ? uint64_t{1} << 31 : uint64_t{1} << 63;
      p_ = digits + 2 + hex.size();
      return o;
    }
    const char* q = digits;
    while (q < end_ && isdigit(static_cast<unsigned char>(*q))) ++q;
    if (q < end_ && (*q == '.' || ((*q == 'e' || *q == 'E') && digits[1] != 'x'))) {
      char* stop = nullptr;
      double value = std::strtod(p_, &stop);
      p_ = stop;
      o.kind = Operand::Double;
      std::memcpy(&o.bits, &value, 8);
      return o;
    }
    o.kind = Operand::Integer;
    o.bits = integer();
    return o;
  }

  Operand operand() {
    char c = peek();
    if (c == '[') return address();
    if (c == '{' || c == '(') {
      Operand o;
      o.kind = c == '{' ? Operand::Vector : Operand::List;
      ++p_;
      char close = c == '{' ? '}' : ')';
      while (!accept(close)) {
        o.items.push_back(operand());
        accept(',');
      }
      return o;
    }
    if (accept('!')) {
      Operand o = operand();
      o.negated = true;
      return o;
    }
    if (isdigit(static_cast<unsigned char>(c)) || c == '-') return number();
    Operand o = named();
    if (accept('|')) {
      Operand pair;
      pair.kind = Operand::Pair;
      pair.items.push_back(o);
      pair.items.push_back(named());
      return pair;
    }
    if (o.kind == Operand::Symbol && (peek() == '+' || *p_ == '-')) {
      bool negative = *p_++ == '-';
      uint64_t addend = integer();
      o.bits = negative ? -addend : addend;
    }
    return o;
  }

  Operand named() {
    std::string_view name = word();
    Operand o;
    if (name == "_") return o;
    o.name = name;
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      auto found = scope->registers.find(name);
      if (found != scope->registers.end()) {
        o.kind = Operand::Register;
        o.reg = found->second;
        return o;
      }
      if (scope->ranges.empty()) continue;
      size_t digits = name.size();
      while (digits > 0 && isdigit(static_cast<unsigned char>(name[digits - 1]))) --digits;
      auto range = digits < name.size() ? scope->ranges.find(name.substr(0, digits)) : scope->ranges.end();
      if (range != scope->ranges.end()) {
        int index = std::atoi(std::string(name.substr(digits)).c_str());
        if (index < range->second.second) {
          o.kind = Operand::Register;
          o.reg = range->second.first + index;
          return o;
        }
      }
    }
    if (name[0] == '%' || name == "WARP_SZ") {  // special register
      o.kind = Operand::Register;
      if (p_ < end_ && *p_ == '.') {
        while (p_ < end_ && (*p_ == '.' || nameChar(*p_))) ++p_;
        o.name = {name.data(), static_cast<size_t>(p_ - name.data())};
      }
      return o;
    }
    o.symbol = lookup(name);
    o.kind = o.symbol ? Operand::Symbol : Operand::Label;
    return o;
  }

  Operand address() {
    expect('[');
    Operand o;
    if (isdigit(static_cast<unsigned char>(peek()))) {
      o = number();
    } else {
      o = named();
      if (o.kind != Operand::Register && o.kind != Operand::Symbol) fail("unknown name " + std::string(o.name));
    }
    o.kind = Operand::Address;
    if (accept('+')) {
      o.bits = integer();
    } else if (peek() == '-') {
      o.bits = integer();
    }
    expect(']');
    return o;
  }

  const char *p_, *end_;
  Module& module_;
  Syntax& syntax_;
  unsigned line_ = 1, file_ = 0, sourceLine_ = 0;
  bool extern_ = false;
  std::vector<Scope> scopes_;
  Function* function_ = nullptr;
};

}  // namespace

Module parse(const std::string& ptx) {
  Module module;
  Syntax syntax;
  Parser(ptx, module, syntax).run();
  module.addresses = std::make_shared<std::vector<uint64_t>>(module.variables.size());
  for (const Function& f : syntax.functions)
    if (f.entry) module.kernels.push_back(decode(f, syntax, module));
  return module;
}

const Kernel* Module::kernel(const std::string& name) const {
  for (const Kernel& k : kernels)
    if (k.name == name) return &k;
  return nullptr;
}

const Variable* Module::variable(const std::string& name) const {
  for (const Variable& v : variables)
    if (v.name == name) return &v;
  return nullptr;
}

void Module::place(const std::string& name, uint64_t address) {
  for (size_t i = 0; i < variables.size(); ++i)
    if (variables[i].name == name) (*addresses)[i] = address;
}

uint64_t Module::address(const std::string& name) const {
  for (size_t i = 0; i < variables.size(); ++i)
    if (variables[i].name == name) return (*addresses)[i];
  return 0;
}

}  // namespace softcuda
