// y[t] = A[t] B[t] in float64, element by element: the judge of matmul_kernel.cpp.
#include "ops/matmul.h"

namespace pushforward::reference {

static void matmul(const KernelCall& call) {
  const MatmulParameters& p = *static_cast<const MatmulParameters*>(call.parameters);
  const double *a = static_cast<const double*>(call.operands[0]), *b = static_cast<const double*>(call.operands[1]);
  double* y = static_cast<double*>(call.operands[2]);
  int64_t batch = 1;
  for (int axis = 0; axis < p.batchRank; ++axis) batch *= p.batchShape[axis];
  for (int64_t t = 0; t < batch; ++t) {
    const double *left = a, *right = b;
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

PUSHFORWARD_REFERENCE_KERNEL(matmul, matmul)

}  // namespace pushforward::reference
