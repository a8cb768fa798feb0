// z = x w + b, y = act(z); ẏ_k = act'(z) ⊙ (ẋ_k w + x ẇ_k + ḃ_k), k < K. Shapes stand in dense.h.
// A low-rank ẇ_k costs no product: x ẇ_k = scale·Σ_q (x·a_kq) b_kqᵀ, the vectors x·a_kq computed first, the outer
// products added in the epilogue.
#include "cpu/gemm/bf16_format.h"
#include "ops/dense_product.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

template <class Format>
static void primal(const KernelCall& call) {
  runDense<Format>(primalCall(call));
}
template <class Format>
static void pushforwardOf(const KernelCall& call) {
  runDense<Format>(pushforwardCall(call));
}

PUSHFORWARD_CPU_KERNEL(dense_primal, primal<FloatFormat>, denseScratch<FloatFormat>)
PUSHFORWARD_CPU_KERNEL(dense_pushforward, pushforwardOf<FloatFormat>, denseScratch<FloatFormat>)
PUSHFORWARD_BF16_KERNEL(dense_primal_bf16, primal, denseScratch)
PUSHFORWARD_BF16_KERNEL(dense_pushforward_bf16, pushforwardOf, denseScratch)

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
