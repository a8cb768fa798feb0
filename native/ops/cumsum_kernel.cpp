// cumsum and argmax: rows where the axis is the last one, else vectors of columns that go through it together. Running
// sums are kept in float64, so that the last of a million is as right as the first.
#include "ops/cumsum.h"

#include "ops/reduce_max.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

constexpr int64_t elementsPerTask = 16384;

/** row(first element, line) when the axis is the last one; else columns(first element, line, n) for n ≤ lanes of them. */
template <class Row, class Columns>
void forEachLine(const KernelCall& call, const AlongParameters& p, const Row& row, const Columns& columns) {
  if (p.size == 0 || p.inner == 0) return;
  if (p.inner == 1) {
    parallelRanges(call, p.outer, 1 + (elementsPerTask - 1) / p.size, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t o = begin; o < end; ++o) row(o * p.size, o);
    });
    return;
  }
  const int64_t tiles = (p.inner + lanes - 1) / lanes, grain = 1 + (elementsPerTask - 1) / (p.size * lanes);
  parallelRanges(call, p.outer * tiles, grain, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t o = unit / tiles, column = unit % tiles * lanes;
      const int64_t left = p.inner - column;
      columns(o * p.size * p.inner + column, o * p.inner + column, left < lanes ? static_cast<int>(left) : lanes);
    }
  });
}

void cumsum(const KernelCall& call) {
  const auto& p = *static_cast<const AlongParameters*>(call.parameters);
  const int64_t from = p.reverse ? (p.size - 1) * p.inner : 0, step = p.reverse ? -p.inner : p.inner;
  const float* x = static_cast<const float*>(call.operands[0]) + from;
  float* y = static_cast<float*>(call.operands[1]) + from;
  forEachLine(
      call, p,
      [&](int64_t first, int64_t) {
        double total = 0;
        for (int64_t k = 0; k < p.size; ++k) {
          total += static_cast<double>(x[first + k * step]);
          y[first + k * step] = static_cast<float>(total);
        }
      },
      [&](int64_t first, int64_t, int n) {
        Doubles total{};
        for (int64_t k = 0; k < p.size; ++k) {
          const Doubles next = widen(loadPartial(x + first + k * step, n));
          total.low += next.low;
          total.high += next.high;
          storePartial(y + first + k * step, narrow(total), n);
        }
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
        Float top = loadPartial(x + first, n);
        Int best{};
        for (int64_t k = 1; k < p.size; ++k) {
          const Float next = loadPartial(x + first + k * p.inner, n);
          const Int better = (next > top) | ((next != next) & (top == top));
          top = select(better, next, top);
          best = select(better, broadcast(static_cast<int32_t>(k)), best);
        }
        storePartial(y + line, best, n);
      });
}

PUSHFORWARD_CPU_KERNEL(cumsum, cumsum, nullptr)
PUSHFORWARD_CPU_KERNEL(argmax, argmax, nullptr)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
