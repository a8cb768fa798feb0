// cumsum and argmax: rows where the axis is the last one, else vectors of columns that go through it together. Running
// sums are kept in float64, so that the last of a million is as right as the first.
#include "ops/cumsum.h"

#include "ops/reduce_max.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

constexpr int64_t elementsPerTask = 16384;

constexpr int tile = 4;  // vectors of columns at once: of rows far apart, one cache line each would wait for memory

/** row(first element, line) when the axis is the last one; else columns(first element, line, n ≤ tile·lanes). */
template <class Row, class Columns>
void forEachLine(const KernelCall& call, const AlongParameters& p, const Row& row, const Columns& columns) {
  if (p.size == 0 || p.inner == 0) return;
  if (p.inner == 1) {
    parallelRanges(call, p.outer, 1 + (elementsPerTask - 1) / p.size, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t o = begin; o < end; ++o) row(o * p.size, o);
    });
    return;
  }
  constexpr int64_t width = tile * lanes;
  const int64_t tiles = (p.inner + width - 1) / width;
  const int64_t grain = 1 + (elementsPerTask - 1) / (p.size * (p.inner < width ? p.inner : width));
  parallelRanges(call, p.outer * tiles, grain, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t o = unit / tiles, column = unit % tiles * width, left = p.inner - column;
      columns(o * p.size * p.inner + column, o * p.inner + column, static_cast<int>(left < width ? left : width));
    }
  });
}

/** f(t, lanes of vector t) for the vectors that n columns make. */
template <class F>
PUSHFORWARD_INLINE void forEachVector(int n, const F& f) {
  if (n == tile * lanes) {
#pragma GCC unroll 4
    for (int t = 0; t < tile; ++t) f(t, lanes);
    return;
  }
  for (int t = 0; t * lanes < n; ++t) f(t, n - t * lanes < lanes ? n - t * lanes : lanes);
}

PUSHFORWARD_INLINE Float get(const float* p, int n) { return n == lanes ? load(p) : loadPartial(p, n); }

/** Four at a time: a running sum is a chain of additions that wait for each other, now one for four elements. */
void sumRow(const float* x, float* y, int64_t size, int64_t step) {
  double total = 0;
  int64_t k = 0;
  for (; k + 4 <= size; k += 4, x += 4 * step, y += 4 * step) {
    const double one = static_cast<double>(x[0]), two = one + static_cast<double>(x[step]);
    const double three = two + static_cast<double>(x[2 * step]), four = three + static_cast<double>(x[3 * step]);
    y[0] = static_cast<float>(total + one);
    y[step] = static_cast<float>(total + two);
    y[2 * step] = static_cast<float>(total + three);
    y[3 * step] = static_cast<float>(total += four);
  }
  for (; k < size; ++k, x += step, y += step) *y = static_cast<float>(total += static_cast<double>(*x));
}

void cumsum(const KernelCall& call) {
  const auto& p = *static_cast<const AlongParameters*>(call.parameters);
  const int64_t from = p.reverse ? (p.size - 1) * p.inner : 0, step = p.reverse ? -p.inner : p.inner;
  const float* x = static_cast<const float*>(call.operands[0]) + from;
  float* y = static_cast<float*>(call.operands[1]) + from;
  forEachLine(
      call, p, [&](int64_t first, int64_t) { sumRow(x + first, y + first, p.size, step); },
      [&](int64_t first, int64_t, int n) {
        Doubles total[tile] = {};
        for (int64_t k = 0; k < p.size; ++k)
          forEachVector(n, [&](int t, int count) {
            const int64_t at = first + k * step + t * lanes;
            const Doubles next = widen(get(x + at, count));
            total[t].low += next.low;
            total[t].high += next.high;
            if (count == lanes)
              store(y + at, narrow(total[t]));
            else
              storePartial(y + at, narrow(total[t]), count);
          });
      });
}

/** The first place where x is `top`, or NaN when that is NaN. */
int32_t placeOf(const float* x, int64_t count, float top) {
  int64_t i = 0;
  const bool nan = top != top;
  for (; i + lanes <= count; i += lanes) {
    const Float part = load(x + i);
    if (any(nan ? part != part : part == top)) break;
  }
  while (nan ? x[i] == x[i] : x[i] != top) ++i;
  return static_cast<int32_t>(i);
}

void argmax(const KernelCall& call) {
  const auto& p = *static_cast<const AlongParameters*>(call.parameters);
  const float* x = static_cast<const float*>(call.operands[0]);
  int32_t* y = static_cast<int32_t*>(call.operands[1]);
  forEachLine(
      call, p, [&](int64_t first, int64_t line) { y[line] = placeOf(x + first, p.size, maxOfRun(x + first, p.size)); },
      [&](int64_t first, int64_t line, int n) {
        Float top[tile];
        Int best[tile] = {};
        forEachVector(n, [&](int t, int count) { top[t] = get(x + first + t * lanes, count); });
        for (int64_t k = 1; k < p.size; ++k)
          forEachVector(n, [&](int t, int count) {
            const Float next = get(x + first + k * p.inner + t * lanes, count);
            const Int better = (next > top[t]) | ((next != next) & (top[t] == top[t]));
            top[t] = select(better, next, top[t]);
            best[t] = select(better, broadcast(static_cast<int32_t>(k)), best[t]);
          });
        forEachVector(n, [&](int t, int count) { storePartial(y + line + t * lanes, best[t], count); });
      });
}

PUSHFORWARD_CPU_KERNEL(cumsum, cumsum, nullptr)
PUSHFORWARD_CPU_KERNEL(argmax, argmax, nullptr)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
