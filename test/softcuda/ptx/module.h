#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fault.h"

namespace softcuda {

struct Parameter {
  std::string name;
  size_t offset, bytes, align;
};

// A .global or .const variable. `initial` has `bytes` bytes (zeros where the PTX gives no value; a module variable without an
// initialiser starts as zeros, as CUDA guarantees).
struct Variable {
  std::string name;
  size_t bytes, align;
  bool constant;
  std::vector<std::byte> initial;
  struct Relocation {  // an initial value that is the address of another variable
    size_t offset;
    std::string symbol;
    int64_t addend;
  };
  std::vector<Relocation> relocations;
};

struct Program;  // decoded instructions (program.h)

struct Kernel {
  std::string name;
  std::vector<Parameter> parameters;
  size_t parameterBytes = 0;
  size_t sharedBytes = 0;      // static
  size_t localBytes = 0;       // per thread
  unsigned registers = 0;      // 32-bit registers the interpreter keeps per thread; no hardware figure
  unsigned maxThreads = 1024;  // .maxntid, else 1024
  std::shared_ptr<const Program> program;
};

// The PTX text of one module.
struct Module {
  std::vector<Kernel> kernels;
  std::vector<Variable> variables;
  std::vector<std::string> files;  // .file

  const Kernel* kernel(const std::string& name) const;  // nullptr when there is none
  const Variable* variable(const std::string& name) const;
  // Where the loader put a variable: give every one an address (Memory::allocate + copyIn of `initial`, with relocations
  // resolved) before the first launch of a kernel that uses it.
  void place(const std::string& variable, uint64_t address);
  uint64_t address(const std::string& variable) const;  // 0 until placed

  std::shared_ptr<std::vector<uint64_t>> addresses;  // of `variables`, in their order
};

// Throws PtxError.
Module parse(const std::string& ptx);

}  // namespace softcuda
