// sgd, adam, adamW: formulas stand in update.h. The gradient is read, or regenerated as (1/K) Σ_k c_k v_k and a read one added, a quad a
// thread, or multiplied out as xᵀ δ, a tile a block, and applied at once: one pass over the parameter and its state.
#include "cuda/device.cuh"
#include "cuda/draw.cuh"
#include "cuda/tile_product.cuh"
#include "ops/update_cuda.h"

namespace pushforward::cuda {

namespace update {

/** The hyperparameters of one step, computed in float64 by one thread of each block. */
struct Coefficients {
  float rate, weightDecay;           // adamW: weightDecay is rate·weightDecay
  float correctedRate, correction2;  // rate/(1 − β₁ᵗ), 1/√(1 − β₂ᵗ)
};

__device__ __forceinline__ double power(double base, uint64_t exponent) {
  double result = 1.0;
  for (; exponent != 0; exponent >>= 1, base *= base)
    if ((exponent & 1) != 0) result *= base;
  return result;
}

/** Every thread must come here. */
__device__ __forceinline__ void setCoefficients(const UpdateArguments& a, Coefficients& c) {
  if (threadIdx.x == 0) {
    const RunState& run = a.guards.state->run;
    c.rate = static_cast<float>(a.p.ownRate != 0 ? a.p.rate : run.rate);
    c.weightDecay = static_cast<float>(a.rule == UpdateRule::adamW ? run.rate * a.p.weightDecay : a.p.weightDecay);
    c.correctedRate = c.correction2 = 0.0f;  // of sgd, which loads them ahead of its branch
    if (a.rule != UpdateRule::sgd) {
      const uint64_t t = uint64_t{run.step} + 1;
      c.correctedRate = static_cast<float>(run.rate / (1.0 - power(a.p.beta1, t)));
      c.correction2 = static_cast<float>(1.0 / sqrt(1.0 - power(a.p.beta2, t)));
    }
  }
  __syncthreads();
}

/** Applies g to element i. */
__device__ __forceinline__ void apply(const UpdateArguments& a, const Coefficients& c, int64_t i, float g) {
  float p = a.parameter[i];
  if (a.rule == UpdateRule::sgd) {
    g = fmaf(c.weightDecay, p, g);
    if (a.first != nullptr) {
      const float momentum = static_cast<float>(a.p.momentum), m = fmaf(momentum, a.first[i], g);
      a.first[i] = m;
      g = a.p.nesterov != 0 ? fmaf(momentum, m, g) : m;
    }
    a.parameter[i] = fmaf(-c.rate, g, p);
    return;
  }
  if (a.rule == UpdateRule::adamW) p = fmaf(-c.weightDecay, p, p);
  const float m = fmaf(static_cast<float>(a.p.beta1), a.first[i], g * static_cast<float>(1.0 - a.p.beta1));
  const float v = fmaf(static_cast<float>(a.p.beta2), a.second[i], g * g * static_cast<float>(1.0 - a.p.beta2));
  a.first[i] = m;
  a.second[i] = v;
  a.parameter[i] = p - m * c.correctedRate / fmaf(sqrtf(v), c.correction2, static_cast<float>(a.p.epsilon));
}

/** (1/K) Σ_k c_k v_k */
__device__ __forceinline__ void directional(const UpdateArguments& a, const Quad& at, float g[quadColumns]) {
  const UpdateParameters& p = a.p;
  const bool lowRank = p.tangent.kind == TangentKind::lowRank;
  const float share = (lowRank ? lowRankScale(p.tangent.rank) : 1.0f) / static_cast<float>(p.directions);
#pragma unroll
  for (int i = 0; i < quadColumns; ++i) g[i] = 0.0f;
#pragma unroll 1
  for (int k = 0; k < p.directions; ++k) {
    const Draw draw = drawOf(p.tangent, a.guards.state->run, k);
    float v[quadColumns];
    if (lowRank)
      lowRankQuad(draw, p.tangent.rank, p.rows, p.n, at, v);
    else
      tangentQuad(p.tangent.kind, draw, p.n, at, v);
#pragma unroll
    for (int i = 0; i < quadColumns; ++i) g[i] = fmaf(a.c[k], v[i], g[i]);
  }
#pragma unroll
  for (int i = 0; i < quadColumns; ++i) g[i] *= share;
}

}  // namespace update

extern "C" __global__ void update_kernel(const UpdateArguments a) {
  __shared__ update::Coefficients c;
  if (!allFinite(a.guards)) return;
  update::setCoefficients(a, c);
  const UpdateParameters& p = a.p;
  const int64_t count = p.rows * tilesOf(p.n, quadColumns);
  for (int64_t index = gridIndex(); index < count; index += gridStride()) {
    const Quad at = quadAt(index, p.n);
    const int64_t first = at.row * p.n + at.column;
    float g[quadColumns] = {0.0f, 0.0f, 0.0f, 0.0f};
    if (p.gradient == GradientKind::directional) update::directional(a, at, g);
#pragma unroll
    for (int i = 0; i < quadColumns; ++i)
      if (at.column + i < p.n)
        update::apply(a, c, first + i, a.gradient != nullptr ? g[i] + a.gradient[first + i] : g[i]);
  }
}

extern "C" __global__ void __launch_bounds__(productThreads, productBlocks)
    update_product_kernel(const UpdateArguments a) {
  __shared__ update::Coefficients c;
  __shared__ ProductTiles tiles;
  if (!allFinite(a.guards)) return;
  update::setCoefficients(a, c);
  const UpdateParameters& p = a.p;
  const int64_t columnTiles = tilesOf(p.n, tileColumns), rowTile = blockIdx.x / columnTiles;
  const int64_t firstRow = rowTile * tileRows, firstColumn = (blockIdx.x - rowTile * columnTiles) * tileColumns;
  TileSums sums;
  sums.clear();
  addProduct(tiles, ColumnsOperand(a.x, p.rows, firstRow, p.rows), ColumnsOperand(a.delta, p.n, firstColumn, p.n), 0,
             p.inner, sums);
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int64_t row = firstRow + TileSums::row() + i, column = firstColumn + TileSums::column() + j;
      if (row < p.rows && column < p.n) update::apply(a, c, row * p.n + column, sums.at[i][j]);
    }
}

}  // namespace pushforward::cuda
