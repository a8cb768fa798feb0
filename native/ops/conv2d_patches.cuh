// What a convolution's products read: images as matrices whose rows are pixels and whose depth is what a filter covers.
#pragma once
#include "cuda/draw.cuh"
#include "cuda/tile_product.cuh"
#include "ops/conv2d.h"

namespace pushforward::cuda::conv2d {

__device__ __forceinline__ int64_t inputPixels(const Conv2dShape& c) { return c.batch * c.height * c.width; }
__device__ __forceinline__ int64_t outputPixels(const Conv2dShape& c) { return c.batch * c.outHeight * c.outWidth; }
__device__ __forceinline__ int64_t taps(const Conv2dShape& c) { return c.kernel[0] * c.kernel[1]; }

/** An image [height, width, ·], and a pixel of it. */
struct Pixel {
  const float* image;
  int32_t y, x;
};

/** A tap of the filter in pixels of x, and an element of a pixel. */
struct Tap {
  int32_t y, x, element;
};

struct PixelIndex {
  int64_t image;
  int32_t y, x;
};

/** Pixel `index` of [batch, height, width]. */
__device__ __forceinline__ PixelIndex pixelAt(int64_t index, int64_t height, int64_t width) {
  const int64_t line = quotient(index, width), image = quotient(line, height);
  return {image, static_cast<int32_t>(line - image * height), static_cast<int32_t>(index - line * width)};
}

__device__ __forceinline__ Tap tapAt(const Conv2dShape& c, int64_t depth, int64_t elements) {
  const int64_t tap = quotient(depth, elements), y = quotient(tap, c.kernel[1]);
  return {static_cast<int32_t>(y * c.dilation[0]), static_cast<int32_t>((tap - y * c.kernel[1]) * c.dilation[1]),
          static_cast<int32_t>(depth - tap * elements)};
}

/** Row: a pixel of y; depth (tap, channel): the channel of the pixel of x that they meet at, zero outside. */
struct Patches {
  using Row = Pixel;
  using Place = Tap;
  const Conv2dShape& c;

  __device__ __forceinline__ int64_t size() const { return inputPixels(c) * c.channels; }
  __device__ __forceinline__ Row row(const float* x, int64_t r) const {
    const PixelIndex out = pixelAt(r, c.outHeight, c.outWidth);
    return {x + out.image * c.height * c.width * c.channels, static_cast<int32_t>(out.y * c.stride[0] - c.padding[0]),
            static_cast<int32_t>(out.x * c.stride[1] - c.padding[1])};
  }
  __device__ __forceinline__ Place place(int64_t d) const { return tapAt(c, d, c.channels); }
  __device__ __forceinline__ float at(const Row& row, const Place& tap) const {
    const int32_t y = row.y + tap.y, x = row.x + tap.x;
    const bool inside = y >= 0 && y < c.height && x >= 0 && x < c.width;
    return inside ? row.image[(y * c.width + x) * c.channels + tap.element] : 0.0f;
  }
};

/** Row: a pixel of x; depth (tap, filter): the filter's δ at the pixel of y that they meet at, zero where there is none. */
struct Deltas {
  using Row = Pixel;
  using Place = Tap;
  const Conv2dShape& c;

  __device__ __forceinline__ int64_t size() const { return outputPixels(c) * c.filters; }
  __device__ __forceinline__ Row row(const float* delta, int64_t r) const {
    const PixelIndex in = pixelAt(r, c.height, c.width);
    return {delta + in.image * c.outHeight * c.outWidth * c.filters, static_cast<int32_t>(in.y + c.padding[0]),
            static_cast<int32_t>(in.x + c.padding[1])};
  }
  __device__ __forceinline__ Place place(int64_t d) const { return tapAt(c, d, c.filters); }
  __device__ __forceinline__ float at(const Row& row, const Place& tap) const {
    const int32_t strideY = static_cast<int32_t>(c.stride[0]), strideX = static_cast<int32_t>(c.stride[1]);
    const int32_t fromY = row.y - tap.y, fromX = row.x - tap.x, y = fromY / strideY, x = fromX / strideX;
    const bool met =
        fromY >= 0 && fromX >= 0 && y * strideY == fromY && x * strideX == fromX && y < c.outHeight && x < c.outWidth;
    return met ? row.image[(y * c.outWidth + x) * c.filters + tap.element] : 0.0f;
  }
};

/** The filter as the right operand of x̄: depth (tap, filter), columns are channels. */
struct FilterColumns {
  const Conv2dShape& c;
  const float* w;
  int64_t column;

  __device__ __forceinline__ void fetch(int64_t depth, int64_t end, float held[4]) const {
    const int64_t d = depth + threadIdx.x % tileDepth, tap = quotient(d < end ? d : 0, c.filters);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int64_t channel = column + threadIdx.x / tileDepth + i * (productThreads / tileDepth);
      held[i] =
          d < end && channel < c.channels ? w[(tap * c.channels + channel) * c.filters + d - tap * c.filters] : 0.0f;
    }
  }
  __device__ __forceinline__ void place(const float held[4], OperandTile& tile) const {
#pragma unroll
    for (int i = 0; i < 4; ++i)
      tile.at[threadIdx.x % tileDepth][threadIdx.x / tileDepth + i * (productThreads / tileDepth)] = held[i];
  }
};

/** Patches transposed, the left operand of w̄: rows (tap, channel), depth the pixels of y. */
struct PatchColumns {
  Patches patches;
  const float* x;
  Tap tap;
  bool valid;

  __device__ __forceinline__ PatchColumns(const Conv2dShape& c, const float* x, int64_t first) : patches{c}, x(x) {
    const int64_t row = first + threadIdx.x % tileRows;
    valid = row < taps(c) * c.channels;
    tap = patches.place(valid ? row : 0);
  }
  __device__ __forceinline__ void fetch(int64_t depth, int64_t end, float held[4]) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int64_t d = depth + threadIdx.x / tileRows + i * (productThreads / tileRows);
      held[i] = valid && d < end ? patches.at(patches.row(x, d), tap) : 0.0f;
    }
  }
  __device__ __forceinline__ void place(const float held[4], OperandTile& tile) const {
#pragma unroll
    for (int i = 0; i < 4; ++i)
      tile.at[threadIdx.x / tileRows + i * (productThreads / tileRows)][threadIdx.x % tileRows] = held[i];
  }
};

}  // namespace pushforward::cuda::conv2d
