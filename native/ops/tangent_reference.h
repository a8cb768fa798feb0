// Tangents as the reference kernels see them: one direction of an operand, written out whole in float64.
#pragma once
#include <vector>

#include "core/kernel.h"
#include "core/philox.h"
#include "core/tangent.h"

namespace pushforward {

/** Tangent k of an operand seen as [rows, n]; empty when it is zero. */
inline std::vector<double> tangentOf(const TangentOperand& operand, const RunState& state, const double* given,
                                     int64_t k, int64_t rows, int64_t n) {
  std::vector<double> v(operand.kind == TangentKind::zero ? 0 : static_cast<size_t>(rows * n));
  const Draw draw = {
      {state.key[0], state.key[1]}, operand.parameter, operand.stream, static_cast<uint32_t>(k), state.step};
  switch (operand.kind) {
    case TangentKind::zero:
      break;
    case TangentKind::given:
      v.assign(given + k * rows * n, given + (k + 1) * rows * n);
      break;
    case TangentKind::gaussian:
      fillGaussian(draw, n, 0, rows, v.data());
      break;
    case TangentKind::rademacher:
      fillRademacher(draw, n, 0, rows, v.data());
      break;
    case TangentKind::lowRank:
      fillLowRank(draw, operand.rank, rows, n, 0, rows, v.data());
      break;
  }
  return v;
}

}  // namespace pushforward
