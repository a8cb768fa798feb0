// The kernel ABI: what a plan hands to a kernel. Plain data and function pointers only, because the files built once per
// instruction set include it and must not instantiate standard-library templates (DESIGN section 7).
#pragma once
#include <cstddef>
#include <cstdint>

namespace pushforward {

/** Eight axes of a tensor, and one of directions in front of its tangent. */
constexpr int maxRank = 9;

/** What changes from step to step; everything else is fixed when the plan is made. */
struct RunState {
  uint32_t key[2];  // Philox key: the seed
  uint32_t step;    // Philox counter word 3, and the optimizer's step number
  double rate;      // learning rate of this step, from the rate table
  int32_t kept;     // steps whose updates wait as factors (core/kept.h)
};

/** Runs `tasks` calls of task(context, index, thread), thread in [0, threads); returns when all have returned. */
struct Parallel {
  int threads;
  void* pool;
  void (*run)(void* pool, int64_t tasks, void (*task)(void* context, int64_t index, int thread), void* context);
};

/** Operand pointers are inputs, then outputs, in the order of the op; nullptr where an optional one is absent. */
struct KernelCall {
  const void* parameters;  // the op's parameter block, made when the plan is made
  void* const* operands;
  void* scratch;  // the bytes that the entry's `scratch` asked for, 64-byte aligned, uninitialised
  const RunState* state;
  const Parallel* parallel;
};

using KernelFunction = void (*)(const KernelCall& call);
using ScratchFunction = size_t (*)(const void* parameters, int threads);

/** `set` is "reference" (float64, plain loops) or the instruction set a float32 kernel was built for. */
struct KernelEntry {
  const char* name;  // op_mode, e.g. "dense_pushforward"
  const char* set;
  KernelFunction function;
  ScratchFunction scratch;  // nullptr: none
};

#define PUSHFORWARD_STRING_(x) #x
#define PUSHFORWARD_STRING(x) PUSHFORWARD_STRING_(x)

// Kernels are data, not constructors: a static constructor in a file built for AVX-512 could itself hold AVX-512 instructions and
// would run at load on every machine. The linker collects the pointers between __start_pushforward_kernels and __stop_….
#define PUSHFORWARD_KERNEL_IN(set_, name_, function_, scratch_)                                      \
  static const ::pushforward::KernelEntry kernelEntry_##name_ = {#name_, set_, function_, scratch_}; \
  __attribute__((section("pushforward_kernels"),                                                     \
                 used)) static const ::pushforward::KernelEntry* const kernelPointer_##name_ = &kernelEntry_##name_;

#define PUSHFORWARD_REFERENCE_KERNEL(name, function) PUSHFORWARD_KERNEL_IN("reference", name, function, nullptr)
// In a file built once per instruction set; PUSHFORWARD_ISA is baseline, avx2 or avx512.
#define PUSHFORWARD_CPU_KERNEL(name, function, scratch) \
  PUSHFORWARD_KERNEL_IN(PUSHFORWARD_STRING(PUSHFORWARD_ISA), name, function, scratch)

}  // namespace pushforward
