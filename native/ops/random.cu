// random: y[k, row, j] = scale · element (row, j) of direction k, by the law of core/philox.h, a quad a thread. The same bits as on cpu.
#include "cuda/device.cuh"
#include "cuda/draw.cuh"
#include "ops/random_cuda.h"

namespace pushforward::cuda {

namespace random {

__device__ __forceinline__ void drawQuad(const RandomParameters& p, const Draw& draw, const Quad& at, float v[4]) {
  if (p.rank > 0) {
    lowRankQuad(draw, p.rank, p.rows, p.n, at, v);
    const float scale = lowRankScale(p.rank);
#pragma unroll
    for (int i = 0; i < quadColumns; ++i) v[i] *= scale;
  } else if (p.distribution == Distribution::uniform) {
    uniformQuad(draw, p.n, at, v);
  } else if (p.distribution == Distribution::gaussian) {
    gaussianQuad(draw, p.n, at, v);
  } else {
    rademacherQuad(draw, p.n, at, v);
  }
}

}  // namespace random

extern "C" __global__ void random_kernel(const RandomArguments a) {
  const RandomParameters& p = a.p;
  const RunState& run = a.state->run;
  const int64_t quads = p.rows * ((p.n + quadColumns - 1) / quadColumns), count = p.directions * quads;
  const float scale = static_cast<float>(p.scale);
  for (int64_t index = gridIndex(); index < count; index += gridStride()) {
    const int64_t k = quotient(index, quads);
    const Quad at = quadAt(index - k * quads, p.n);
    const Draw draw = {{run.key[0], run.key[1]},
                       p.parameter,
                       p.stream,
                       static_cast<uint32_t>(p.firstDirection + k),
                       p.fixedStep >= 0 ? static_cast<uint32_t>(p.fixedStep) : run.step};
    float v[4];
    random::drawQuad(p, draw, at, v);
    float* to = a.y + (k * p.rows + at.row) * p.n + at.column;
#pragma unroll
    for (int i = 0; i < quadColumns; ++i)
      if (at.column + i < p.n) to[i] = v[i] * scale;
  }
}

}  // namespace pushforward::cuda
