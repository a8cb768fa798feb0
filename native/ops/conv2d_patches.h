// Patches of an image, one per pixel of a convolution's result: the left operand of its products; and what copies them into rows, where they
// cannot be multiplied in place (conv2d_strip.h).
#pragma once
#include "cpu/gemm/conv_format.h"
#include "ops/conv2d.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

/**
 * Pixel (y, x) of the result and tap (ky, kx) meet pixel (y·stride + ky·dilation − padding) / divide of the image, along both axes, if the
 * division leaves no rest and the pixel lies inside; else they meet zero. A patch has taps[0]·taps[1]·channels elements.
 */
struct Patches {
  int64_t height, width, channels;    // of the image
  int64_t resultHeight, resultWidth;  // the pixels
  int64_t taps[2], stride[2], padding[2], dilation[2], divide[2];

  __attribute__((always_inline)) int64_t depth() const { return taps[0] * taps[1] * channels; }
};

/** Those that a convolution multiplies by its filter. */
PUSHFORWARD_INLINE Patches patchesOfInput(const Conv2dShape& c) {
  return {c.height,
          c.width,
          c.channels,
          c.outHeight,
          c.outWidth,
          {c.kernel[0], c.kernel[1]},
          {c.stride[0], c.stride[1]},
          {c.padding[0], c.padding[1]},
          {c.dilation[0], c.dilation[1]},
          {1, 1}};
}

/** Those of δ that x̄ is made of, the taps in reverse order: x̄[i] = Σ_t δ[(i + padding − t·dilation) / stride] w[t]ᵀ. */
PUSHFORWARD_INLINE Patches patchesOfCotangent(const Conv2dShape& c) {
  return {c.outHeight,
          c.outWidth,
          c.filters,
          c.height,
          c.width,
          {c.kernel[0], c.kernel[1]},
          {1, 1},
          {(c.kernel[0] - 1) * c.dilation[0] - c.padding[0], (c.kernel[1] - 1) * c.dilation[1] - c.padding[1]},
          {c.dilation[0], c.dilation[1]},
          {c.stride[0], c.stride[1]}};
}

/** Along each axis the pixels first, first + step, … of a result and the taps that reach them, which are every `tapStep`-th. */
struct Lattice {
  int64_t first[2], step[2], firstTap[2], tapStep[2];
};

/**
 * Patches that divide, at the pixels `lattice.first` + i·divide alone: there every tap leaves a rest or none does, so without the taps that do
 * nothing is divided any more. With no tap at all the patches are empty. Fills the rest of the lattice.
 */
PUSHFORWARD_INLINE Patches onLattice(const Patches& all, Lattice& lattice) {
  Patches s = all;
  for (int axis = 0; axis < 2; ++axis) {
    const int64_t divide = all.divide[axis], dilation = all.dilation[axis];
    const auto place = [&](int64_t tap) { return lattice.first[axis] + tap * dilation - all.padding[axis]; };
    int64_t period = divide, first = 0;
    for (int64_t rest = dilation; rest != 0;) {  // the greatest common divisor
      const int64_t next = period % rest;
      period = rest;
      rest = next;
    }
    period = divide / period;
    while (first < period && place(first) % divide != 0) ++first;
    const bool any = first < period && first < all.taps[axis];
    lattice.step[axis] = divide;
    lattice.firstTap[axis] = any ? first : 0;
    lattice.tapStep[axis] = period;
    s.taps[axis] = any ? (all.taps[axis] - 1 - first) / period + 1 : 0;
    s.padding[axis] = any ? -(place(first) / divide) : 0;
    s.dilation[axis] = period * dilation / divide;
    s.divide[axis] = 1;
    int64_t& size = axis == 0 ? s.resultHeight : s.resultWidth;
    size = ceilDivide(size - lattice.first[axis], divide);
  }
  return s;
}

/** Row of the image that result row y meets at tap t, or -1: likewise for columns. */
PUSHFORWARD_INLINE int64_t meeting(const Patches& s, int axis, int64_t at, int64_t tap, int64_t size) {
  int64_t place = at * s.stride[axis] + tap * s.dilation[axis] - s.padding[axis];
  if (s.divide[axis] != 1) {
    if (place < 0 || place % s.divide[axis] != 0) return -1;
    place /= s.divide[axis];
  }
  return place < size ? (place < 0 ? -1 : place) : -1;
}

/** Copies elements [begin, begin + count) of the patches of pixels [first, first + rows), counted over all images, `stride` elements apart. */
template <class Format>
static void gatherPatches(const Patches& s, const float* image, int64_t first, int64_t rows, int64_t begin,
                          int64_t count, typename Format::Element* out, int64_t stride) {
  const int64_t line = s.taps[1] * s.channels, firstTap = line == 0 ? 0 : begin / line,
                within = line == 0 ? 0 : begin % line;
  const bool merged = s.dilation[1] == 1 && s.divide[1] == 1;  // a row of taps is one stretch of the image
  int64_t x = first % s.resultWidth, y = first / s.resultWidth % s.resultHeight,
          n = first / s.resultWidth / s.resultHeight;
  for (int64_t row = 0; row < rows; ++row) {
    typename Format::Element* to = out + row * stride;
    int64_t from = within, left = count;
    for (int64_t ky = firstTap; left > 0; ++ky, from = 0) {
      const int64_t to_ = minimum(line, from + left), size = to_ - from;
      left -= size;
      const int64_t iy = meeting(s, 0, y, ky, s.height);
      const float* source = image + (n * s.height + iy) * s.width * s.channels;
      if (iy < 0) {
        Format::zero(to, size);
      } else if (merged) {
        const int64_t start = (x * s.stride[1] - s.padding[1]) * s.channels, end = s.width * s.channels - start;
        const int64_t low = minimum(maximum(-start, from), to_), high = maximum(minimum(end, to_), low);
        if (low > from) Format::zero(to, low - from);
        Format::copy(to + (low - from), source + start + low, high - low);
        if (high < to_) Format::zero(to + (high - from), to_ - high);
      } else {
        for (int64_t at = from; at < to_;) {
          const int64_t kx = at / s.channels, channel = at % s.channels;
          const int64_t piece = minimum(s.channels - channel, to_ - at);
          const int64_t ix = meeting(s, 1, x, kx, s.width);
          if (ix < 0)
            Format::zero(to + (at - from), piece);
          else
            Format::copy(to + (at - from), source + ix * s.channels + channel, piece);
          at += piece;
        }
      }
      to += size;
    }
    if (++x == s.resultWidth) {
      x = 0;
      if (++y == s.resultHeight) y = 0, ++n;
    }
  }
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
