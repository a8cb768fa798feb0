// How a kernel of the set "cuda" is launched. Its KernelEntry's function is host code (ops/x_launch.cpp) that chooses grid and block and
// calls `launch` once or several times; the kernel itself (ops/x.cu) takes ONE struct by value, defined in ops/x_cuda.h for both sides, so
// that host and device cannot disagree on its arguments. Plain C++: no header of CUDA's is needed.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/kernel.h"
#include "cuda/step_state.h"

namespace pushforward::cuda {

struct Launch {
  const char* kernel;  // of an extern "C" __global__ function
  uint32_t grid[3];
  uint32_t threads;      // of a block: one axis
  uint32_t sharedBytes;  // dynamic shared memory
};

/** Enqueues on the run's stream, under capture like any other time; `arguments` is copied before it returns. Throws the driver's error. */
void enqueue(const KernelCall& call, const Launch& launch, const void* arguments);

template <class Arguments>
void launch(const KernelCall& call, const Launch& how, const Arguments& arguments) {
  static_assert(sizeof(Arguments) <= 4096, "the driver takes at most 4 KB of arguments");
  enqueue(call, how, &arguments);
}

/** The step's state: an address of the device, for a kernel's arguments, never read on the host. */
inline const StepState* stateOf(const KernelCall& call) { return reinterpret_cast<const StepState*>(call.state); }

/** Operand i, an address of the device; nullptr where absent. */
template <class T>
T* operandOf(const KernelCall& call, int i) {
  return static_cast<T*>(call.operands[i]);
}

constexpr uint32_t blocksOf(int64_t count, int64_t perBlock) {
  return static_cast<uint32_t>((count + perBlock - 1) / perBlock);
}

}  // namespace pushforward::cuda

#define PUSHFORWARD_CUDA_KERNEL(name, function, scratch) PUSHFORWARD_KERNEL_IN("cuda", name, function, scratch)
