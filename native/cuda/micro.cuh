// Micro-programs, one element a thread: what a chain and the epilogue of a product run. Registers lie in shared memory, a column a thread,
// because an array that is indexed by data would go to local memory; scalars are read from the kernel's argument.
#pragma once
#include "core/inline.h"
#include "core/micro_program.h"
#include "cuda/step_state.h"
#include "ops/elementwise_table.h"

namespace pushforward::cuda {

/** Floats of shared memory for each thread. */
PUSHFORWARD_INLINE int microSlots(const MicroProgram& program) { return program.inputs + program.ops; }

/** Whether there is anything to run: the program of the activation 'none' has nothing. */
PUSHFORWARD_INLINE bool microRuns(const MicroProgram& program) { return program.ops + program.immediates > 0; }

#if defined(__CUDACC__)

namespace micro {

__device__ __forceinline__ float select(bool mask, float x, float y) { return mask ? x : y; }

__device__ __forceinline__ float abs(float x) { return fabsf(x); }
__device__ __forceinline__ float sqrt(float x) { return sqrtf(x); }
__device__ __forceinline__ float exp(float x) { return expf(x); }
__device__ __forceinline__ float log(float x) { return logf(x); }
__device__ __forceinline__ float pow(float x, float y) { return powf(x, y); }
__device__ __forceinline__ float sin(float x) { return sinf(x); }
__device__ __forceinline__ float cos(float x) { return cosf(x); }
__device__ __forceinline__ float tanh(float x) { return tanhf(x); }
__device__ __forceinline__ float erf(float x) { return erff(x); }

__device__ __forceinline__ float sigmoid(float x) {
  const float e = expf(-fabsf(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}
__device__ __forceinline__ float elu(float x, float alpha) { return x > 0.0f ? x : alpha * expm1f(x); }
__device__ __forceinline__ float softplus(float x) { return (x > 0.0f ? x : 0.0f) + log1pf(expf(-fabsf(x))); }

/** x Φ(x) = ½x erfc(−x/√2). In the tail an error in x/√2 is a relative one of x² times that, so it comes in two parts. */
__device__ __forceinline__ float gelu(float x) {
  // Below −15 the result is below half the smallest float, above 15 it is x; NaN passes.
  const float bounded = x < -15.0f ? -15.0f : x, t = bounded > 15.0f ? 15.0f : bounded;
  const float u = t * -0x1.6a09e6p-1f, low = fmaf(t, -0x1.9fcef4p-27f, fmaf(t, -0x1.6a09e6p-1f, -u));
  const float slope = 1.1283791671f * expf(-u * u);  // −erfc'(u)
  return 0.5f * bounded * fmaf(-slope, low, erfcf(u));
}

/** x σ(v + low), |low| ≪ 1. Where x σ is below half the smallest float, the callers let x no longer fall: −∞ gives −0, NaN passes. */
__device__ __forceinline__ float gated(float x, float v, float low) {
  const float e = expf(-fabsf(v));
  const float power = fmaf(v < 0.0f ? low : -low, e, e);
  return x * (v < 0.0f ? power : 1.0f) / (1.0f + power);
}
__device__ __forceinline__ float silu(float x) {
  const float bounded = x < -110.0f ? -110.0f : x;
  return gated(bounded, bounded, 0.0f);
}
/**
 * ½x (1 + tanh u) = x σ(2u), 2u = x (a + b x²), a = 2 √(2/π), b = 0.044715 a. An error in 2u is a relative one in the result, so x², a, b
 * and what is made of them come in two parts.
 */
__device__ __forceinline__ float geluTanh(float x) {
  const float bounded = x < -11.0f ? -11.0f : x, t = bounded > 11.0f ? 11.0f : bounded;  // σ is 0 or 1 beyond
  const float s = t * t, sLow = fmaf(t, t, -s);
  const float a = 0x1.988454p+0f, b = 0x1.2444f2p-4f;
  const float bs = b * s, sum = bs + a, part = sum - bs;
  const float sumLow = (bs - (sum - part)) + (a - part);
  const float low = sumLow + fmaf(b, s, -bs) + fmaf(b, sLow, fmaf(s, 0x1.49b16ap-29f, -0x1.857936p-25f));
  const float v = t * sum;
  return gated(bounded, v, fmaf(t, low, fmaf(t, sum, -v)));
}

#define PUSHFORWARD_ROW(name, arity, integer, formula, ...)                                      \
  __device__ __forceinline__ float name##Row([[maybe_unused]] float x, [[maybe_unused]] float y, \
                                             [[maybe_unused]] float z) {                         \
    return static_cast<float>(formula);                                                          \
  }
PUSHFORWARD_ELEMENTWISE(PUSHFORWARD_ROW)
#undef PUSHFORWARD_ROW

__device__ __forceinline__ float rowOf(int index, float x, float y, float z) {
  switch (index) {
#define PUSHFORWARD_ROW(name, ...) \
  case row::name:                  \
    return name##Row(x, y, z);
    PUSHFORWARD_ELEMENTWISE(PUSHFORWARD_ROW)
#undef PUSHFORWARD_ROW
  }
  return x;
}

}  // namespace micro

/**
 * A thread's registers of a program: input i and the result of op i, every `blockDim.x`-th float of shared memory, microSlots(program) of
 * them. `program` is part of a kernel's argument.
 */
struct MicroRegisters {
  const MicroProgram& program;
  float* column;  // of this thread

  __device__ __forceinline__ MicroRegisters(const MicroProgram& program, float* shared)
      : program(program), column(shared + threadIdx.x) {}

  __device__ __forceinline__ void setInput(int i, float x) const { column[i * blockDim.x] = x; }

  __device__ __forceinline__ float get(int index) const {
    const int scalar = index - program.inputs;
    if (scalar >= 0 && scalar < program.immediates) return static_cast<float>(program.immediate[scalar]);
    return column[(scalar < 0 ? index : index - program.immediates) * blockDim.x];
  }

  __device__ __forceinline__ float output(int o) const { return get(program.output[o]); }

  /** After every input is set. */
  __device__ __forceinline__ void evaluate() const {
#pragma unroll 1
    for (int i = 0; i < program.ops; ++i) {
      const MicroOp& op = program.op[i];
      const float x = get(op.in[0]), y = op.in[1] < 0 ? 0.0f : get(op.in[1]), z = op.in[2] < 0 ? 0.0f : get(op.in[2]);
      column[(program.inputs + i) * blockDim.x] = micro::rowOf(op.row, x, y, z);
    }
  }

  /** A program of one input and one output. */
  __device__ __forceinline__ float of(float x) const {
    setInput(0, x);
    evaluate();
    return output(0);
  }
};

#endif

}  // namespace pushforward::cuda
