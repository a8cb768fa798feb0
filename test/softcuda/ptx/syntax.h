#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace softcuda {

// What parse.cpp makes of PTX text: names are resolved to registers and symbols, opcodes are still text.

enum class Space { Register, Global, Const, Shared, Local, Param };

struct Symbol {
  enum Kind { Variable, Shared, Local, KernelParam, FunctionParam, Function } kind;
  std::string name;
  uint64_t bytes = 0, align = 1;
  int index = -1;        // Variable: into Module::variables; Function: into Syntax::functions
  uint64_t offset = 0;   // KernelParam: in the parameters; Local and FunctionParam: in the function's frame
  bool dynamic = false;  // Shared: extern []
};

struct Operand {
  enum Kind { Register, Integer, Float, Double, Symbol, Address, Vector, Pair, Sink, List, Label } kind = Sink;
  int reg = -1;                              // Register
  bool negated = false;                      // !%p
  uint64_t bits = 0;                         // Integer, Float (32 bits), Double; Address and Symbol: the addend
  const softcuda::Symbol* symbol = nullptr;  // Symbol, Address (with reg < 0)
  std::string_view name;                     // Label, or a special register (Register with reg < 0)
  std::vector<Operand> items;                // Vector, Pair, List
};

struct Statement {
  std::string_view opcode;
  std::vector<Operand> operands;
  int guard = -1;  // register
  bool guardNegated = false;
  int scope = 0;
  unsigned textLine = 0, file = 0, line = 0;  // of the PTX text; of the source
};

struct Register {
  unsigned bits;  // 1 (predicate), 8, 16, 32, 64
};

struct BranchTable {
  std::vector<std::string_view> labels;
  int scope;
};

struct Function {
  std::string name;
  bool entry = false, defined = false;
  unsigned maxThreads = 1024;
  std::vector<const Symbol*> parameters, returns;
  std::vector<const Symbol*> shared;  // declared in the body
  uint64_t frameBytes = 0, parameterBytes = 0;
  std::vector<Register> registers;
  std::vector<Statement> body;
  std::vector<int> scopeParents;                                     // by scope
  std::map<std::pair<int, std::string_view>, size_t> labels;         // (scope, name) -> statement
  std::map<std::pair<int, std::string_view>, BranchTable> branches;  // .branchtargets
};

struct Syntax {
  std::vector<std::unique_ptr<Symbol>> symbols;
  std::vector<Function> functions;
};

}  // namespace softcuda
