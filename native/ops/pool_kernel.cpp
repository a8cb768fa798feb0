// Pools, a vector of channels at a time: a result reads its window in row-major order, a pixel the windows that cover it. Nothing is
// scattered, so no result depends on the number of threads. Shapes stand in pool.h.
#include "ops/pool.h"

#include "cpu/parallel.h"
#include "cpu/vector.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

constexpr int64_t elementsPerTask = 32768;

/** [low, high) of a pair of axes. */
struct Box {
  int64_t y0, y1, x0, x1;
};

int64_t least(int64_t x, int64_t y) { return x < y ? x : y; }
int64_t most(int64_t x, int64_t y) { return x > y ? x : y; }

/** Pixels of x that window (oy, ox) covers. */
Box pixelsOf(const PoolParameters& p, int64_t oy, int64_t ox) {
  const int64_t y = oy * p.stride[0] - p.padding[0], x = ox * p.stride[1] - p.padding[1];
  return {most(y, 0), least(y + p.window[0], p.height), most(x, 0), least(x + p.window[1], p.width)};
}

/** First and last window along an axis that cover pixel i: begin ≤ i < begin + window, begin = o·stride − padding. */
int64_t firstWindow(int64_t i, int64_t window, int64_t stride) { return i < window ? 0 : (i - window) / stride + 1; }

/** Windows that cover pixel (iy, ix). */
Box windowsOf(const PoolParameters& p, int64_t iy, int64_t ix) {
  const int64_t y = iy + p.padding[0], x = ix + p.padding[1];
  return {firstWindow(y, p.window[0], p.stride[0]), least(y / p.stride[0] + 1, p.outHeight),
          firstWindow(x, p.window[1], p.stride[1]), least(x / p.stride[1] + 1, p.outWidth)};
}

/** f(channel, count) for vectors of channels, `count` of the last fewer than lanes. */
template <class F>
PUSHFORWARD_INLINE void forChannels(int64_t channels, const F& f) {
  int64_t c = 0;
  for (; c + lanes <= channels; c += lanes) f(c, lanes);
  if (c < channels) f(c, static_cast<int>(channels - c));
}

template <class T>
PUSHFORWARD_INLINE auto get(const T* from, int count) {
  return count == lanes ? load(from) : loadPartial(from, count);
}
template <class T, class V>
PUSHFORWARD_INLINE void put(T* to, V x, int count) {
  if (count == lanes)
    store(to, x);
  else
    storePartial(to, x, count);
}

/** f(n, y, x) for pixels of `batch` images [height, width], rows of an image in one task; `work` elements for each pixel. */
template <class F>
void forPixels(const KernelCall& call, int64_t batch, int64_t height, int64_t width, int64_t work, const F& f) {
  const int64_t grain = 1 + elementsPerTask / most(1, width * work);
  parallelRanges(call, batch * height, grain, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t x = 0; x < width; ++x) f(row / height, row % height, x);
  });
}

/** The maximum so far and where it is. A NaN is greater than every number and stays. */
struct Best {
  Float value;
  Int pixel;
};

template <bool indices>
Best bestOf(const PoolParameters& p, const float* image, const Box& box, int64_t channel, int count) {
  const auto at = [&](int64_t y, int64_t x) { return get(image + (y * p.width + x) * p.channels + channel, count); };
  Best best{at(box.y0, box.x0), broadcast(static_cast<int32_t>(box.y0 * p.width + box.x0))};
  for (int64_t y = box.y0; y < box.y1; ++y)
    for (int64_t x = box.x0; x < box.x1; ++x) {
      const Float value = at(y, x);
      const Int better = (value > best.value) | ((value != value) & (best.value == best.value));
      best.value = select(better, value, best.value);
      if constexpr (indices) best.pixel = select(better, broadcast(static_cast<int32_t>(y * p.width + x)), best.pixel);
    }
  return best;
}

const PoolParameters& parametersOf(const KernelCall& call) {
  return *static_cast<const PoolParameters*>(call.parameters);
}
int64_t imageSize(const PoolParameters& p) { return p.height * p.width * p.channels; }
/** Elements that a window reads; it may be larger than the image. */
int64_t windowWork(const PoolParameters& p) {
  return least(p.window[0], p.height) * least(p.window[1], p.width) * p.channels;
}

/** f(image of x, offset in y, windows' box, index offset) for every window. */
template <class F>
void forWindows(const KernelCall& call, const F& f) {
  const PoolParameters& p = parametersOf(call);
  forPixels(call, p.batch, p.outHeight, p.outWidth, windowWork(p), [&](int64_t n, int64_t y, int64_t x) {
    const int64_t within = (y * p.outWidth + x) * p.channels, size = p.outHeight * p.outWidth * p.channels;
    f(n * imageSize(p), n * size + within, pixelsOf(p, y, x), n % most(1, p.indexBatch) * size + within);
  });
}

void maxPool2d(const KernelCall& call) {
  const PoolParameters& p = parametersOf(call);
  const float* x = static_cast<const float*>(call.operands[0]);
  float* y = static_cast<float*>(call.operands[1]);
  forWindows(call, [&](int64_t image, int64_t out, const Box& box, int64_t) {
    forChannels(p.channels, [&](int64_t c, int count) {
      put(y + out + c, bestOf<false>(p, x + image, box, c, count).value, count);
    });
  });
}

void maxPool2dIndices(const KernelCall& call) {
  const PoolParameters& p = parametersOf(call);
  const float* x = static_cast<const float*>(call.operands[0]);
  int32_t* indices = static_cast<int32_t*>(call.operands[1]);
  forWindows(call, [&](int64_t image, int64_t out, const Box& box, int64_t) {
    forChannels(p.channels, [&](int64_t c, int count) {
      put(indices + out + c, bestOf<true>(p, x + image, box, c, count).pixel, count);
    });
  });
}

/** The element of each lane's pixel; NaN where no pixel of the box is the wanted one. */
PUSHFORWARD_INLINE Float elementAt(const PoolParameters& p, const float* image, const Box& box, Int wanted,
                                   int64_t channel, int count) {
  Float value = broadcast(__builtin_nanf(""));
  for (int64_t y = box.y0; y < box.y1; ++y)
    for (int64_t x = box.x0; x < box.x1; ++x) {
      const int64_t pixel = y * p.width + x;
      value = select(wanted == static_cast<int32_t>(pixel), get(image + pixel * p.channels + channel, count), value);
    }
  return value;
}

void maxPool2dPushforward(const KernelCall& call) {
  const PoolParameters& p = parametersOf(call);
  const float *x = static_cast<const float*>(call.operands[0]), *xDot = static_cast<const float*>(call.operands[1]);
  float *y = static_cast<float*>(call.operands[2]), *yDot = static_cast<float*>(call.operands[3]);
  const int64_t images = p.batch * imageSize(p), results = p.batch * p.outHeight * p.outWidth * p.channels;
  forWindows(call, [&](int64_t image, int64_t out, const Box& box, int64_t) {
    forChannels(p.channels, [&](int64_t c, int count) {
      const Best best = bestOf<true>(p, x + image, box, c, count);
      put(y + out + c, best.value, count);
      for (int64_t k = 0; k < p.directions; ++k)
        put(yDot + k * results + out + c, elementAt(p, xDot + k * images + image, box, best.pixel, c, count), count);
    });
  });
}

void poolGather(const KernelCall& call) {
  const PoolParameters& p = parametersOf(call);
  const float* x = static_cast<const float*>(call.operands[0]);
  const int32_t* indices = static_cast<const int32_t*>(call.operands[1]);
  float* y = static_cast<float*>(call.operands[2]);
  forWindows(call, [&](int64_t image, int64_t out, const Box& box, int64_t index) {
    forChannels(p.channels, [&](int64_t c, int count) {
      put(y + out + c, elementAt(p, x + image, box, get(indices + index + c, count), c, count), count);
    });
  });
}

/** x at every pixel: the sum of value(window's offset in y, its index's offset, channel, count) over the windows that cover it. */
template <class Value>
void forCovered(const KernelCall& call, float* x, const Value& value) {
  const PoolParameters& p = parametersOf(call);
  const int64_t size = p.outHeight * p.outWidth * p.channels;
  forPixels(call, p.batch, p.height, p.width, p.channels, [&](int64_t n, int64_t iy, int64_t ix) {
    const Box box = windowsOf(p, iy, ix);
    const int64_t index = n % most(1, p.indexBatch) * size;
    float* to = x + n * imageSize(p) + (iy * p.width + ix) * p.channels;
    forChannels(p.channels, [&](int64_t c, int count) {
      Float sum{};
      for (int64_t y = box.y0; y < box.y1; ++y)
        for (int64_t o = box.x0; o < box.x1; ++o) {
          const int64_t within = (y * p.outWidth + o) * p.channels + c;
          sum = sum + value(n * size + within, index + within, static_cast<int32_t>(iy * p.width + ix), count);
        }
      put(to + c, sum, count);
    });
  });
}

void poolScatter(const KernelCall& call) {
  const float* y = static_cast<const float*>(call.operands[0]);
  const int32_t* indices = static_cast<const int32_t*>(call.operands[1]);
  forCovered(call, static_cast<float*>(call.operands[2]), [&](int64_t at, int64_t index, int32_t pixel, int count) {
    return select(get(indices + index, count) == pixel, get(y + at, count), Float{});
  });
}

void avgPool2d(const KernelCall& call) {
  const PoolParameters& p = parametersOf(call);
  const float* x = static_cast<const float*>(call.operands[0]);
  float* y = static_cast<float*>(call.operands[1]);
  const float size = static_cast<float>(p.window[0] * p.window[1]);
  forWindows(call, [&](int64_t image, int64_t out, const Box& box, int64_t) {
    forChannels(p.channels, [&](int64_t c, int count) {
      Float sum{};
      for (int64_t iy = box.y0; iy < box.y1; ++iy)
        for (int64_t ix = box.x0; ix < box.x1; ++ix)
          sum = sum + get(x + image + (iy * p.width + ix) * p.channels + c, count);
      put(y + out + c, sum / size, count);
    });
  });
}

void avgPool2dPullback(const KernelCall& call) {
  const PoolParameters& p = parametersOf(call);
  const float* y = static_cast<const float*>(call.operands[0]);
  const float size = static_cast<float>(p.window[0] * p.window[1]);
  forCovered(call, static_cast<float*>(call.operands[1]),
             [&](int64_t at, int64_t, int32_t, int count) { return get(y + at, count) / size; });
}

PUSHFORWARD_CPU_KERNEL(max_pool2d, maxPool2d, nullptr)
PUSHFORWARD_CPU_KERNEL(max_pool2d_indices, maxPool2dIndices, nullptr)
PUSHFORWARD_CPU_KERNEL(max_pool2d_pushforward, maxPool2dPushforward, nullptr)
PUSHFORWARD_CPU_KERNEL(pool_gather, poolGather, nullptr)
PUSHFORWARD_CPU_KERNEL(pool_scatter, poolScatter, nullptr)
PUSHFORWARD_CPU_KERNEL(avg_pool2d, avgPool2d, nullptr)
PUSHFORWARD_CPU_KERNEL(avg_pool2d_pullback, avgPool2dPullback, nullptr)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
