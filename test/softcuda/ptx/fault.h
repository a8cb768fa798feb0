#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>

namespace softcuda {

// PTX that cannot be parsed or uses an opcode or modifier that softcuda does not know. `what()` names line and opcode.
struct PtxError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class FaultKind {
  OutOfBounds,       // global, shared, local or constant memory
  Misaligned,        // an address that is no multiple of the access
  Unwritten,         // a read of global, shared or local memory that nobody wrote
  InFlight,          // a read or write of shared memory whose cp.async has not been waited for
  CopiesAtExit,      // cp.async still in flight when the thread ends
  Race,              // two threads, one writing, no synchronisation between
  DivergentBarrier,  // a barrier that not all threads of the block reach
  InactiveLanes,     // a shuffle, vote, mma ... that names lanes which do not take part
  NotTf32,           // an operand of mma.tf32 with non-zero low 13 bits
  InstructionLimit,  // an endless loop
  Trap,              // trap executed (a failed assert)
  InvalidFree,       // double free or an address that was never allocated
  InvalidLaunch,     // empty grid, too many threads, too much shared memory
};
const char* name(FaultKind kind);

// A failed check. `what()` is one sentence with the kernel, the source line, the block and thread, the address, and the
// nearest buffer's name and the distance to it.
struct Fault : std::runtime_error {
  Fault(FaultKind kind, const std::string& sentence) : std::runtime_error(sentence), kind(kind) {}
  FaultKind kind;
};

}  // namespace softcuda
