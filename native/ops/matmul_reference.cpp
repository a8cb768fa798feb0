// y[t] = A[t] B[t] in float64, element by element: the judge of matmul_kernel.cpp.
#include "ops/matmul.h"

#include "ops/bf16_reference.h"

namespace pushforward::reference {

template <bool bf16>
static void matmul(const KernelCall& call) {
  const MatmulParameters& p = *static_cast<const MatmulParameters*>(call.parameters);
  double* y = static_cast<double*>(call.operands[2]);
  int64_t batch = 1;
  for (int axis = 0; axis < p.batchRank; ++axis) batch *= p.batchShape[axis];
  if (batch == 0) return;
  int64_t lastA = p.m * p.k, lastB = p.k * p.n;  // where the last matrices end
  for (int axis = 0; axis < p.batchRank; ++axis) {
    lastA += (p.batchShape[axis] - 1) * p.aStride[axis];
    lastB += (p.batchShape[axis] - 1) * p.bStride[axis];
  }
  const Operand<bf16> a(static_cast<const double*>(call.operands[0]), lastA),
      b(static_cast<const double*>(call.operands[1]), lastB);
  for (int64_t t = 0; t < batch; ++t) {
    const double *left = a.data(), *right = b.data();
    for (int64_t axis = p.batchRank - 1, rest = t; axis >= 0; rest /= p.batchShape[axis], --axis) {
      left += rest % p.batchShape[axis] * p.aStride[axis];
      right += rest % p.batchShape[axis] * p.bStride[axis];
    }
    for (int64_t i = 0; i < p.m; ++i)
      for (int64_t j = 0; j < p.n; ++j) {
        double sum = 0.0;
        for (int64_t q = 0; q < p.k; ++q)
          sum += left[p.transposeA ? q * p.m + i : i * p.k + q] * right[p.transposeB ? j * p.k + q : q * p.n + j];
        y[(t * p.m + i) * p.n + j] = sum;
      }
  }
}

PUSHFORWARD_REFERENCE_PRODUCT(matmul, matmul)

}  // namespace pushforward::reference
