#pragma once
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "machine.h"
#include "module.h"
#include "syntax.h"

namespace softcuda {

// An opcode cut at its dots. Decoders take what they know; what is left over is an error.
class Opcode {
 public:
  explicit Opcode(std::string_view text);
  std::string_view base() const { return parts_[0]; }
  bool take(std::string_view modifier);  // anywhere
  // The first of `modifiers` that is there, else the empty string.
  std::string_view takeOne(std::initializer_list<std::string_view> modifiers);
  std::string_view last() const { return parts_.back(); }
  std::string_view takeLast();
  std::string rest() const;  // ".x.y"
  bool empty() const { return parts_.size() == 1; }

 private:
  std::vector<std::string_view> parts_;
};

struct Type {
  char kind;  // 's', 'u', 'b', 'f', 'h' (f16), 'H' (f16x2), 'n' (bf16), 'N' (bf16x2), 'p' (pred)
  unsigned bits;
  unsigned bytes() const { return bits / 8; }
  unsigned slot() const { return bits == 64 ? 8 : 4; }
  bool isSigned() const { return kind == 's'; }
};

class Builder {
 public:
  Builder(Program& program, const Syntax& syntax, const Module& module);

  // Position.
  const Statement* statement = nullptr;
  const Function* function = nullptr;
  int functionIndex = 0;
  bool kernel = false;  // the function is the kernel itself

  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void failModifier(const Opcode& opcode) const;
  void finish(const Opcode& opcode) const {
    if (!opcode.empty()) failModifier(opcode);
  }
  Type type(std::string_view name) const;  // fails on an unknown one
  const Operand& operand(size_t i) const;
  size_t operands() const { return statement->operands.size(); }
  void expectOperands(size_t least, size_t most) const;

  // Registers. `slot` is 4 or 8 bytes a lane.
  uint32_t source(const Operand& o, unsigned slot, bool floating = false);
  uint32_t destination(const Operand& o, unsigned slot, bool extendSigned = false);
  uint32_t constant(uint64_t bits, unsigned slot, int variable = -1);
  uint32_t temporary(unsigned slot);
  unsigned slotOf(const Operand& o) const;     // of a register: 4 or 8; immediates: 0
  uint32_t predicate(const Operand& o);        // of a destination or a source without '!'
  uint32_t predicateSource(const Operand& o);  // '!' and integer constants allowed
  uint32_t newPredicate();
  // The address [register + n], [symbol + n] or [n]: sets a, immediate and kAddress64. Returns the symbol, or nullptr.
  const Symbol* address(const Operand& o, Instruction& i, Space space);
  uint64_t symbolOffset(const Symbol& s) const;

  Instruction& emit(Instruction i);  // with the statement's guard and line; conversions of its destinations follow
  uint32_t extra(const std::vector<uint32_t>& values);
  void target(uint32_t instruction, const Operand& label);        // patch immediate with the label's address
  uint32_t resolveLabel(std::string_view name, int scope) const;  // statement index

  Program& program;
  const Syntax& syntax;
  const Module& module;

  // Filled by decode().
  std::map<const Function*, std::vector<uint32_t>> registerOffsets, statementStarts;
  std::map<const Function*, uint32_t> functionIds, entries, returnSlots, frames;
  std::map<const Symbol*, uint64_t> sharedOffsets;
  struct Patch {
    uint32_t instruction;
    const Function* function;
    size_t statement;        // label, or
    const Function* callee;  // entry
    bool isExtra;
  };
  std::vector<Patch> patches;

 private:
  struct Conversion {
    uint32_t from, to;
    bool isSigned;
  };
  std::vector<Conversion> after_;
  std::map<std::tuple<uint64_t, unsigned, int>, uint32_t> constants_;
  std::map<std::pair<int, unsigned>, uint32_t> specials_;
};

// What a plain instruction needs: the sizes of its operands' registers.
struct Form {
  Handler run;
  uint8_t destination;
  uint8_t sources[3];
  bool floating;
};
using Forms = std::unordered_map<std::string, Form>;
using Decoder = void (*)(Builder&, Opcode);
using Decoders = std::unordered_map<std::string_view, Decoder>;

void addIntegerForms(Forms&);
void addFloatForms(Forms&);
void addHalfForms(Forms&);
void addConvertDecoders(Decoders&);
void addCompareDecoders(Decoders&);
void addMoveDecoders(Decoders&);
void addMemoryDecoders(Decoders&);
void addAtomicDecoders(Decoders&);
void addCopyDecoders(Decoders&);
void addWarpDecoders(Decoders&);
void addControlDecoders(Decoders&);
void addMatrixDecoders(Decoders&);
void addCarryDecoders(Decoders&);

}  // namespace softcuda
