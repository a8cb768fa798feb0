// Pools, as ops/pool.h and ops/pool.cpp write them. y[o] reads the elements of its window; x̄[i] sums, row by row, those of the windows that
// hold pixel i, so that no two threads write one place.
#include "cuda/device.cuh"
#include "ops/pool_cuda.h"

namespace pushforward::cuda {

namespace pool {

struct Span {
  int64_t first, end;
};

/** Element c of pixel (row, column) of example n. */
struct Place {
  int64_t n, row, column, c;

  __device__ Place(int64_t element, int64_t height, int64_t width, int64_t channels) {
    int64_t pixel = element / channels;
    c = element - pixel * channels;
    int64_t line = pixel / width;
    column = pixel - line * width;
    n = line / height;
    row = line - n * height;
  }
};

/** The pixels, within the image, of window number `at` along one axis. */
__device__ __forceinline__ Span pixels(const PoolParameters& p, int axis, int64_t at, int64_t size) {
  const int64_t first = at * p.stride[axis] - p.padding[axis];
  return {max(first, int64_t{0}), min(first + p.window[axis], size)};
}

/** The windows that hold pixel number `at` along one axis: at ≥ w·stride − padding > at − window. */
__device__ __forceinline__ Span windows(const PoolParameters& p, int axis, int64_t at, int64_t size) {
  const int64_t last = at + p.padding[axis], before = last - p.window[axis];
  return {before < 0 ? 0 : before / p.stride[axis] + 1, min(last / p.stride[axis] + 1, size)};
}

/** f(element of x, its pixel) for every element of the window of y's element `out`. */
template <class F>
__device__ __forceinline__ void forWindow(const PoolParameters& p, int64_t out, const F& f) {
  const Place place(out, p.outHeight, p.outWidth, p.channels);
  const Span rows = pixels(p, 0, place.row, p.height), columns = pixels(p, 1, place.column, p.width);
  for (int64_t row = rows.first; row < rows.end; ++row)
    for (int64_t column = columns.first; column < columns.end; ++column)
      f(((place.n * p.height + row) * p.width + column) * p.channels + place.c, row * p.width + column);
}

/** f(element of y) for every window that holds x's element `in`. */
template <class F>
__device__ __forceinline__ void forWindowsOf(const PoolParameters& p, int64_t in, const F& f) {
  const Place place(in, p.height, p.width, p.channels);
  const Span rows = windows(p, 0, place.row, p.outHeight), columns = windows(p, 1, place.column, p.outWidth);
  for (int64_t row = rows.first; row < rows.end; ++row)
    for (int64_t column = columns.first; column < columns.end; ++column)
      f(((place.n * p.outHeight + row) * p.outWidth + column) * p.channels + place.c);
}

/** The first maximum of a window, or its first NaN; element −1 in a window that lies in the padding. */
struct Best {
  float value = -INFINITY;
  int64_t element = -1, pixel = 0;

  __device__ Best(const PoolArguments& a, int64_t out) {
    forWindow(a.p, out, [&](int64_t in, int64_t at) {
      const float x = a.x[in];
      if (element >= 0 && !(x > value) && !(x != x && value == value)) return;
      value = x;
      element = in;
      pixel = at;
    });
  }
};

__device__ __forceinline__ int32_t indexAt(const PoolArguments& a, int64_t out) {
  const PoolParameters& p = a.p;
  return a.indices[p.indexBatch == p.batch ? out : out % (p.indexBatch * p.outHeight * p.outWidth * p.channels)];
}

}  // namespace pool

extern "C" __global__ void max_pool2d_kernel(const PoolArguments a) {
  for (int64_t out = gridIndex(); out < a.resultCount; out += gridStride()) a.y[out] = pool::Best(a, out).value;
}

extern "C" __global__ void max_pool2d_indices_kernel(const PoolArguments a) {
  for (int64_t out = gridIndex(); out < a.resultCount; out += gridStride())
    a.indicesOut[out] = static_cast<int32_t>(pool::Best(a, out).pixel);
}

extern "C" __global__ void max_pool2d_pushforward_kernel(const PoolArguments a) {
  for (int64_t out = gridIndex(); out < a.resultCount; out += gridStride()) {
    const pool::Best best(a, out);
    a.y[out] = best.value;
    for (int64_t k = 0; k < a.p.directions; ++k)
      a.yDot[k * a.resultCount + out] = best.element < 0 ? 0.0f : a.xDot[k * a.imageCount + best.element];
  }
}

extern "C" __global__ void max_pool2d_pullback_kernel(const PoolArguments a) {
  for (int64_t out = gridIndex(); out < a.resultCount; out += gridStride()) {
    const pool::Best best(a, out);
    if (best.element >= 0) a.xBar[best.element] = a.yBar[out];
  }
}

extern "C" __global__ void pool_gather_kernel(const PoolArguments a) {
  for (int64_t out = gridIndex(); out < a.resultCount; out += gridStride()) {
    const int32_t index = pool::indexAt(a, out);
    float y = NAN;
    pool::forWindow(a.p, out, [&](int64_t in, int64_t pixel) {
      if (pixel == index) y = a.x[in];
    });
    a.y[out] = y;
  }
}

extern "C" __global__ void pool_scatter_kernel(const PoolArguments a) {
  for (int64_t in = gridIndex(); in < a.imageCount; in += gridStride()) {
    const int64_t pixel = in / a.p.channels % (a.p.height * a.p.width);
    float total = 0;
    pool::forWindowsOf(a.p, in, [&](int64_t out) {
      if (pool::indexAt(a, out) == pixel) total += a.yBar[out];
    });
    a.xBar[in] = total;
  }
}

extern "C" __global__ void avg_pool2d_kernel(const PoolArguments a) {
  for (int64_t out = gridIndex(); out < a.resultCount; out += gridStride()) {
    double total = 0;
    pool::forWindow(a.p, out, [&](int64_t in, int64_t) { total += a.x[in]; });
    a.y[out] = static_cast<float>(total / static_cast<double>(a.p.window[0] * a.p.window[1]));
  }
}

extern "C" __global__ void avg_pool2d_pullback_kernel(const PoolArguments a) {
  for (int64_t in = gridIndex(); in < a.imageCount; in += gridStride()) {
    double total = 0;
    pool::forWindowsOf(a.p, in, [&](int64_t out) { total += a.yBar[out]; });
    a.xBar[in] = static_cast<float>(total / static_cast<double>(a.p.window[0] * a.p.window[1]));
  }
}

}  // namespace pushforward::cuda
