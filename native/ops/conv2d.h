// Parameter blocks of the convolution's kernels.
#pragma once
#include "core/kernel.h"
#include "core/micro_program.h"
#include "core/tangent.h"

namespace pushforward {

/**
 * x [batch, height, width, channels], w [kernel…, channels, filters], y [batch, outHeight, outWidth, filters]. Pixel (oy, ox) of y and tap
 * (ky, kx) of w meet pixel (oy·stride + ky·dilation − padding, …) of x; outside of x it is zero. Pairs are along y, then x. This is the
 * parameter block of conv2d_input_pullback (operands δ, w, x̄), conv2d_gated_input_pullback (δ, w, gate, x̄: 0 unless gate is positive),
 * conv2d_filter_pullback (x, δ, w̄) and conv2d_filter_bias_pullback (x, δ, w̄, b̄), δ being shaped as y.
 */
struct Conv2dShape {
  int64_t batch, height, width, channels;
  int64_t outHeight, outWidth, filters;
  int64_t kernel[2], stride[2], padding[2], dilation[2];
};

/**
 * z = x * w + b, y = act(z); ẏ_k = act'(z) ⊙ (ẋ_k * w + x * ẇ_k + ḃ_k), k < K; tangents have K in front.
 * conv2d_primal: operands x, w, b, y; conv2d_pushforward: x, w, b, ẋ, ẇ, ḃ, y, ẏ; nullptr for b without bias and for tangents whose kind is
 * not `given`. A generated ẇ_k is a matrix [kernel·channels, filters], lowRank: scale·Σ_q a_kq b_kqᵀ; ḃ is never lowRank. activation: z → y;
 * slope: z → act'(z); both have zero ops when the activation is 'none'. `relu` says that it is relu, which needs no program.
 */
struct Conv2dParameters {
  Conv2dShape shape;
  int32_t directions;
  int32_t hasBias;
  int32_t relu;
  TangentOperand xDot, wDot, bDot;
  MicroProgram activation, slope;
};

}  // namespace pushforward
