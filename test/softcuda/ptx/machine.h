#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "execute.h"
#include "stamp.h"

namespace softcuda {

constexpr unsigned kLanes = 32;
constexpr uint32_t kAll = 0xFFFFFFFFu;
constexpr uint64_t kSharedWindow = uint64_t{1} << 40, kLocalWindow = uint64_t{1} << 41;  // generic addresses
constexpr uint64_t kWindowBytes = uint64_t{1} << 32;

struct Warp;
struct Instruction;
using Handler = void (*)(Warp&, const Instruction&, uint32_t mask);

// Operands are byte offsets into the warp's registers (32 lanes of 32 or 64 bits each), or indices of predicates
// (a word with a bit a lane). Immediates and special registers have registers of their own.
struct Instruction {
  Handler run = nullptr;
  uint32_t d = 0, a = 0, b = 0, c = 0;
  int64_t immediate = 0;  // offset of an address, or what the handler says
  uint32_t extra = 0;     // first entry in Program::extras
  uint32_t line = 0;      // Program::lines
  uint16_t guard = 0;     // predicate, 0: always true
  uint8_t guardNegated = 0;
  uint8_t flags = 0;    // what the handler says
  uint8_t count = 1;    // elements of a vector access
  uint8_t control = 0;  // may end the warp's turn
};

enum : uint8_t { kAddress64 = 1, kNarrow = 16 };

enum class Special {
  TidX,
  TidY,
  TidZ,
  NtidX,
  NtidY,
  NtidZ,
  CtaidX,
  CtaidY,
  CtaidZ,
  NctaidX,
  NctaidY,
  NctaidZ,
  LaneId,
  WarpId,
  NwarpId,
  LanemaskEq,
  LanemaskLt,
  LanemaskLe,
  LanemaskGt,
  LanemaskGe,
  SmId,
  NsmId,
  DynamicSharedSize,
  TotalSharedSize,
  GridId
};

struct SourceLine {
  unsigned file, line, textLine;
};

struct Program {
  std::vector<Instruction> code;
  std::vector<uint32_t> extras;
  std::vector<SourceLine> lines;
  std::vector<std::string> opcodes;  // by instruction, for messages
  struct Constant {
    uint32_t offset;
    uint8_t bytes;  // 4 or 8
    int variable;   // >= 0: the address of that variable is added
    uint64_t bits;
  };
  std::vector<Constant> constants;
  struct SpecialRegister {
    Special which;
    uint32_t offset;
    uint8_t bytes;
  };
  std::vector<SpecialRegister> specials;
  struct SharedVariable {
    std::string name;
    uint64_t offset, bytes;
  };
  std::vector<SharedVariable> sharedVariables;
  std::vector<std::string> files;
  std::vector<Parameter> parameters;
  std::string name;
  uint32_t registerBytes = 0, predicates = 1, entry = 0;
  uint64_t sharedBytes = 0, localBytes = 0, parameterBytes = 0;
  std::shared_ptr<std::vector<uint64_t>> addresses;
};

struct Launch {
  const Program* program;
  Dim3 grid, block;
  unsigned threadsPerBlock, warpsPerBlock;
  uint64_t sharedBytes;
  const std::byte* parameters;
  Memory* memory;
  Options options;
  uint64_t firstBlock;  // number of block 0 in stamps
  bool counting;
  std::vector<std::atomic<uint32_t>> released;  // by block: the stamp below which its accesses are behind a fence
  std::atomic<bool> stop{false};
  explicit Launch(size_t blocks) : released(blocks) {}
};

struct InstructionCounts {
  uint64_t executed = 0, lanes = 0, sectors = 0, idealSectors = 0, wavefronts = 0, idealWavefronts = 0;
};

// A block and the buffers of the worker that runs it.
struct Block {
  Launch* launch = nullptr;
  uint64_t index = 0;  // linear, in the grid
  unsigned x = 0, y = 0, z = 0;
  uint32_t time = 1;
  uint32_t barrierTime = 0;
  bool acquired = false;  // has executed an atomic operation
  uint64_t instructions = 0;
  std::vector<std::byte> shared;
  std::vector<uint32_t> sharedWrites, sharedReads, sharedByteWrites, sharedByteReads;
  std::vector<InstructionCounts> counts;  // by instruction
};

struct PendingCopy {
  uint32_t group;
  uint32_t lane;
  uint32_t destination, bytes, sourceBytes;
  uint64_t source;
};

struct Group {
  uint32_t pc, mask;
  bool parked;
};

enum class State : uint8_t { Running, AtBarrier, Done };

struct Warp {
  std::byte* registers = nullptr;
  uint32_t* predicates = nullptr;
  uint32_t pc = 0, active = 0;
  uint32_t stop = kAll;    // at this pc another group waits, or 0: choose a group now
  uint32_t executing = 0;  // lanes of the current instruction
  uint32_t live = 0, existing = 0, carry = 0;
  State state = State::Running;
  bool checks = true, counting = false;
  uint32_t current = 0;  // index of the instruction that runs
  uint32_t writing = 0;  // lanes that have written with the current instruction
  unsigned index = 0;    // in the block
  Block* block = nullptr;
  const Program* program = nullptr;
  View<uint64_t> global;
  View<uint32_t> shared;
  std::vector<Group> groups;  // that wait
  std::vector<std::byte> local;
  std::vector<uint8_t> localWritten;
  std::vector<PendingCopy> copies;
  uint32_t syncTime = 0;  // of the last warp barrier
  uint32_t committed[kLanes] = {};
  uint32_t barrierInstruction = 0;
  uint32_t barrierValue = 0, barrierLanes = 0;  // bar.red
  std::vector<std::byte> registerStore;
  std::vector<uint32_t> predicateStore;

  template <class T>
  T* lanes(uint32_t offset) const {
    return reinterpret_cast<T*>(registers + offset);
  }
};

// Control flow (schedule.cpp).
void branch(Warp& w, uint32_t mask, uint32_t target);  // the lanes of `mask` go to `target`, the others on
bool await(Warp& w);                                   // parks the executing lanes at the current instruction; false
void leave(Warp& w, uint32_t mask);                    // lanes end
void run(Warp& w);                                     // to a barrier of the block or the end
void synchroniseWarp(Warp& w);
void setClock(Warp& w);

// Faults (report.cpp).
[[noreturn]] void fault(const Warp& w, FaultKind kind, uint32_t lane, const std::string& what);
std::string where(const Program& program, uint32_t instruction);  // "file.cu:12"

}  // namespace softcuda
