// Pools, a vector of channels at a time: a result reads its window in row-major order, a pixel the windows that cover it. Nothing is
// scattered, so no result depends on the number of threads. Shapes stand in pool.h.
#include "ops/pool.h"

#include "cpu/parallel.h"
#include "cpu/vector.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

constexpr int64_t elementsPerTask = 32768;

/** Pixels of x that a window covers: its first, and how many. Constants where the window is 2 × 2, the usual one: twice as fast. */
struct Box {
  int64_t y, x, high, wide;
};
struct BoxOfTwo {
  int64_t y, x;
  static constexpr int64_t high = 2, wide = 2;
};

int64_t least(int64_t x, int64_t y) { return x < y ? x : y; }
int64_t most(int64_t x, int64_t y) { return x > y ? x : y; }

/** [low, high) along an axis. */
struct Extent {
  int64_t low, high;
};

/** Pixels of x, of which there are `size`, that window o covers. */
PUSHFORWARD_INLINE Extent pixelsOf(const PoolParameters& p, int axis, int64_t o, int64_t size) {
  const int64_t first = o * p.stride[axis] - p.padding[axis];
  return {most(first, 0), least(first + p.window[axis], size)};
}

/** Windows, of which there are `count`, that cover pixel i: begin ≤ i < begin + window, begin = o·stride − padding. */
PUSHFORWARD_INLINE Extent windowsOf(const PoolParameters& p, int axis, int64_t i, int64_t count) {
  const int64_t place = i + p.padding[axis], window = p.window[axis], stride = p.stride[axis];
  return {place < window ? 0 : (place - window) / stride + 1, least(place / stride + 1, count)};
}
/** The same from those of a pixel further left: a division for every pixel would take longer than what is done there. */
PUSHFORWARD_INLINE void moveTo(const PoolParameters& p, int axis, int64_t i, int64_t count, Extent& windows) {
  const int64_t place = i + p.padding[axis], stride = p.stride[axis];
  while (windows.low < count && windows.low * stride + p.window[axis] <= place) ++windows.low;
  while (windows.high < count && windows.high * stride <= place) ++windows.high;
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

/** f(n, y) for rows of `batch` images of `height` rows; `work` elements for each. */
template <class F>
PUSHFORWARD_INLINE void forRows(const KernelCall& call, int64_t batch, int64_t height, int64_t work, const F& f) {
  parallelRanges(call, batch * height, 1 + elementsPerTask / most(1, work), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) f(row / height, row % height);
  });
}

/** The maximum so far and where it is. A NaN is greater than every number and stays. */
struct Best {
  Float value;
  Int pixel;
};

template <bool indices, class Window>
PUSHFORWARD_INLINE Best bestOf(const PoolParameters& p, const float* image, const Window& box, int64_t channel,
                               int count) {
  const int64_t first = box.y * p.width + box.x;
  image += channel;
  Best best{get(image + first * p.channels, count), broadcast(static_cast<int32_t>(first))};
  for (int64_t y = 0; y < box.high; ++y)
    for (int64_t x = y == 0; x < box.wide; ++x) {
      const int64_t pixel = first + y * p.width + x;
      const Float value = get(image + pixel * p.channels, count);
      const Int better = ~(value <= best.value) & (best.value == best.value);
      best.value = select(better, value, best.value);
      if constexpr (indices) best.pixel = select(better, broadcast(static_cast<int32_t>(pixel)), best.pixel);
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

/** A window: where its image begins in x, its result in y, its index; its place in the result. */
struct Window {
  int64_t image, out, index, y, x;
};

/** f(window, its box) for every window. */
template <class F>
PUSHFORWARD_INLINE void forWindows(const KernelCall& call, const F& f) {
  const PoolParameters& p = parametersOf(call);
  const int64_t size = p.outHeight * p.outWidth * p.channels;
  forRows(call, p.batch, p.outHeight, p.outWidth * windowWork(p), [&](int64_t n, int64_t oy) {
    const Extent y = pixelsOf(p, 0, oy, p.height);
    const int64_t row = oy * p.outWidth * p.channels, high = y.high - y.low;
    Window window = {n * imageSize(p), n * size + row, n % most(1, p.indexBatch) * size + row, oy, 0};
    for (; window.x < p.outWidth; ++window.x, window.out += p.channels, window.index += p.channels) {
      const Extent x = pixelsOf(p, 1, window.x, p.width);
      const int64_t wide = x.high - x.low;
      if (high == 2 && wide == 2)
        f(window, BoxOfTwo{y.low, x.low});
      else
        f(window, Box{y.low, x.low, high, wide});
    }
  });
}

void maxPool2d(const KernelCall& call) {
  const PoolParameters& p = parametersOf(call);
  const float* x = static_cast<const float*>(call.operands[0]);
  float* y = static_cast<float*>(call.operands[1]);
  forWindows(call, [&](const Window& at, const auto& box) {
    forChannels(p.channels, [&](int64_t c, int count) {
      put(y + at.out + c, bestOf<false>(p, x + at.image, box, c, count).value, count);
    });
  });
}

void maxPool2dIndices(const KernelCall& call) {
  const PoolParameters& p = parametersOf(call);
  const float* x = static_cast<const float*>(call.operands[0]);
  int32_t* indices = static_cast<int32_t*>(call.operands[1]);
  forWindows(call, [&](const Window& at, const auto& box) {
    forChannels(p.channels, [&](int64_t c, int count) {
      put(indices + at.out + c, bestOf<true>(p, x + at.image, box, c, count).pixel, count);
    });
  });
}

/** The element of each lane's pixel; NaN where no pixel of the box is the wanted one. */
template <class Window>
PUSHFORWARD_INLINE Float elementAt(const PoolParameters& p, const float* image, const Window& box, Int wanted,
                                   int64_t channel, int count) {
  Float value = broadcast(__builtin_nanf(""));
  for (int64_t y = 0; y < box.high; ++y)
    for (int64_t x = 0; x < box.wide; ++x) {
      const int64_t pixel = (box.y + y) * p.width + box.x + x;
      value = select(wanted == static_cast<int32_t>(pixel), get(image + pixel * p.channels + channel, count), value);
    }
  return value;
}

void maxPool2dPushforward(const KernelCall& call) {
  const PoolParameters& p = parametersOf(call);
  const float *x = static_cast<const float*>(call.operands[0]), *xDot = static_cast<const float*>(call.operands[1]);
  float *y = static_cast<float*>(call.operands[2]), *yDot = static_cast<float*>(call.operands[3]);
  const int64_t images = p.batch * imageSize(p), results = p.batch * p.outHeight * p.outWidth * p.channels;
  forWindows(call, [&](const Window& at, const auto& box) {
    forChannels(p.channels, [&](int64_t c, int count) {
      const Best best = bestOf<true>(p, x + at.image, box, c, count);
      put(y + at.out + c, best.value, count);
      for (int64_t k = 0; k < p.directions; ++k)
        put(yDot + k * results + at.out + c, elementAt(p, xDot + k * images + at.image, box, best.pixel, c, count),
            count);
    });
  });
}

/** Window o's part of the pixels along an axis: those from where it begins to where the next one does. */
PUSHFORWARD_INLINE Extent partOf(const PoolParameters& p, int axis, int64_t o, int64_t count, int64_t size) {
  return {o == 0 ? 0 : o * p.stride[axis] - p.padding[axis],
          o + 1 == count ? size : (o + 1) * p.stride[axis] - p.padding[axis]};
}

/** `gated`: 0 where x is not positive. Nothing else can be but the maximum. */
template <bool gated>
void maxPool2dPullback(const KernelCall& call) {
  const PoolParameters& p = parametersOf(call);
  const float *x = static_cast<const float*>(call.operands[0]), *yBar = static_cast<const float*>(call.operands[1]);
  float* xBar = static_cast<float*>(call.operands[2]);
  forWindows(call, [&](const Window& at, const auto& box) {
    const Extent high = partOf(p, 0, at.y, p.outHeight, p.height), wide = partOf(p, 1, at.x, p.outWidth, p.width);
    forChannels(p.channels, [&](int64_t c, int count) {
      const Best best = bestOf<true>(p, x + at.image, box, c, count);
      Float bar = get(yBar + at.out + c, count);
      if (gated) bar = select(best.value > 0.0f, bar, Float{});
      for (int64_t iy = high.low; iy < high.high; ++iy)
        for (int64_t ix = wide.low; ix < wide.high; ++ix) {
          const int64_t pixel = iy * p.width + ix;
          put(xBar + at.image + pixel * p.channels + c, select(best.pixel == static_cast<int32_t>(pixel), bar, Float{}),
              count);
        }
    });
  });
}

void poolGather(const KernelCall& call) {
  const PoolParameters& p = parametersOf(call);
  const float* x = static_cast<const float*>(call.operands[0]);
  const int32_t* indices = static_cast<const int32_t*>(call.operands[1]);
  float* y = static_cast<float*>(call.operands[2]);
  forWindows(call, [&](const Window& at, const auto& box) {
    forChannels(p.channels, [&](int64_t c, int count) {
      put(y + at.out + c, elementAt(p, x + at.image, box, get(indices + at.index + c, count), c, count), count);
    });
  });
}

/** x at every pixel: the sum of value(window's offset in y, its index's offset, pixel, count) over the windows that cover it. */
template <class Value>
PUSHFORWARD_INLINE void forCovered(const KernelCall& call, float* image, const Value& value) {
  const PoolParameters& p = parametersOf(call);
  const int64_t size = p.outHeight * p.outWidth * p.channels;
  forRows(call, p.batch, p.height, p.width * p.channels, [&](int64_t n, int64_t iy) {
    const Extent y = windowsOf(p, 0, iy, p.outHeight);
    const int64_t index = n % most(1, p.indexBatch) * size;
    Extent x = {0, 0};
    for (int64_t ix = 0; ix < p.width; ++ix) {
      moveTo(p, 1, ix, p.outWidth, x);
      const int64_t pixel = iy * p.width + ix;
      float* to = image + n * imageSize(p) + pixel * p.channels;
      forChannels(p.channels, [&](int64_t c, int count) {
        Float sum{};
        for (int64_t oy = y.low; oy < y.high; ++oy)
          for (int64_t ox = x.low; ox < x.high; ++ox) {
            const int64_t within = (oy * p.outWidth + ox) * p.channels + c;
            sum = sum + value(n * size + within, index + within, static_cast<int32_t>(pixel), count);
          }
        put(to + c, sum, count);
      });
    }
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
  forWindows(call, [&](const Window& at, const auto& box) {
    forChannels(p.channels, [&](int64_t c, int count) {
      Float sum{};
      for (int64_t iy = 0; iy < box.high; ++iy)
        for (int64_t ix = 0; ix < box.wide; ++ix)
          sum = sum + get(x + at.image + ((box.y + iy) * p.width + box.x + ix) * p.channels + c, count);
      put(y + at.out + c, sum / size, count);
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
PUSHFORWARD_CPU_KERNEL(max_pool2d_pullback, maxPool2dPullback<false>, nullptr)
PUSHFORWARD_CPU_KERNEL(max_pool2d_gated_pullback, maxPool2dPullback<true>, nullptr)
PUSHFORWARD_CPU_KERNEL(pool_gather, poolGather, nullptr)
PUSHFORWARD_CPU_KERNEL(pool_scatter, poolScatter, nullptr)
PUSHFORWARD_CPU_KERNEL(avg_pool2d, avgPool2d, nullptr)
PUSHFORWARD_CPU_KERNEL(avg_pool2d_pullback, avgPool2dPullback, nullptr)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
