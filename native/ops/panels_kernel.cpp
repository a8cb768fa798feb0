// Copies of a weight between rows and planes: initial values, and what reads it row by row. Once a training, so one loop
// of core serves every instruction set.
#include "core/weight_layout.h"
#include "ops/shape.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

static void toPlanes(const KernelCall& call) {
  const PlanesParameters& p = *static_cast<const PlanesParameters*>(call.parameters);
  pushforward::toPlanes(p.rows, p.n, p.columns, static_cast<const float*>(call.operands[0]),
                        static_cast<uint32_t*>(call.operands[1]));
}

static void fromPlanes(const KernelCall& call) {
  const PlanesParameters& p = *static_cast<const PlanesParameters*>(call.parameters);
  pushforward::fromPlanes(p.rows, p.n, p.columns, static_cast<const uint32_t*>(call.operands[0]),
                          static_cast<float*>(call.operands[1]));
}

PUSHFORWARD_CPU_KERNEL(to_planes, toPlanes, nullptr)
PUSHFORWARD_CPU_KERNEL(from_planes, fromPlanes, nullptr)

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
