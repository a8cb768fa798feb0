// chain: a micro-program on every element of a broadcast iteration space. int32 operands are converted when they are read and written.
#include "cuda/device.cuh"
#include "cuda/micro.cuh"
#include "ops/elementwise_cuda.h"

namespace pushforward::cuda {

namespace chain {

/** The indices of an element, innermost first. Every loop over them is unrolled: they stay in registers. */
struct Place {
  int64_t index[maxRank];

  __device__ __forceinline__ Place(const ChainParameters& p, int64_t element) {
#pragma unroll
    for (int i = 0; i < maxRank; ++i) {
      index[i] = element;
      if (i >= p.rank - 1) {
        element = 0;
        continue;
      }
      const int64_t size = p.shape[p.rank - 1 - i], outer = element / size;
      index[i] -= outer * size;
      element = outer;
    }
  }
  __device__ __forceinline__ int64_t offset(const ChainParameters& p, int input) const {
    int64_t offset = 0;
#pragma unroll
    for (int i = 0; i < maxRank; ++i)
      if (i < p.rank) offset += index[i] * p.stride[input][p.rank - 1 - i];
    return offset;
  }
};

}  // namespace chain

extern "C" __global__ void chain_kernel(const ChainArguments a) {
  extern __shared__ float chainRegisters[];
  const MicroProgram& program = a.p.program;
  const MicroRegisters registers(program, chainRegisters);
  for (int64_t element = gridIndex(); element < a.count; element += gridStride()) {
    const chain::Place place(a.p, element);
    for (int i = 0; i < program.inputs; ++i) {
      const int64_t offset = place.offset(a.p, i);
      registers.setInput(i, a.p.integer[i] ? static_cast<float>(static_cast<const int32_t*>(a.inputs[i])[offset])
                                           : static_cast<const float*>(a.inputs[i])[offset]);
    }
    registers.evaluate();
    for (int o = 0; o < program.outputs; ++o) {
      if (a.p.integer[program.inputs + o])
        static_cast<int32_t*>(a.outputs[o])[element] = static_cast<int32_t>(registers.output(o));
      else
        static_cast<float*>(a.outputs[o])[element] = registers.output(o);
    }
  }
}

}  // namespace pushforward::cuda
