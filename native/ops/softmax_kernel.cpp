// softmax and log_softmax: rows where the axis is the last one, else tiles of columns that go through it together.
#include "ops/softmax.h"

#include "ops/exp_terms.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

constexpr int64_t elementsPerTask = 16384;  // half of what plain loops take: an exp costs as much as several loads

void scaleRun(float* y, int64_t count, float factor) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(y + i, load(y + i) * factor);
  const int rest = static_cast<int>(count - i);
  if (rest) storePartial(y + i, loadPartial(y + i, rest) * factor, rest);
}

void subtractRun(const float* x, float* y, int64_t count, float first, float second) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(y + i, (load(x + i) - first) - second);
  const int rest = static_cast<int>(count - i);
  if (rest) storePartial(y + i, (loadPartial(x + i, rest) - first) - second, rest);
}

struct Softmax {
  static void row(const float* x, float* y, int64_t size) {
    const float m = maxOfRun(x, size);
    const float sum = sumOfRun(x, size, StoredExpTerms<1>{{broadcast(m)}, x, y});
    scaleRun(y, size, 1.0f / sum);
  }
  template <int T, bool whole>
  static void columns(const float* x, float* y, int64_t size, int64_t stride, int n) {
    StoredExpTerms<T> terms{{}, x, y};
    Float factor[T];
    maxOfColumns<T, whole>(terms.top, x, size, stride, n);
    sumOfColumns<T, whole>(factor, x, size, stride, n, terms);
    for (int t = 0; t < T; ++t) factor[t] = 1.0f / factor[t];
    for (int64_t i = 0; i < size; ++i)
      for (int t = 0; t < T; ++t) {
        float* p = y + i * stride + t * lanes;
        if constexpr (whole)
          store(p, load(p) * factor[t]);
        else
          storePartial(p, loadPartial(p, n) * factor[t], n);
      }
  }
};

struct LogSoftmax {
  static void row(const float* x, float* y, int64_t size) {
    const float m = maxOfRun(x, size);
    const float sum = sumOfRun(x, size, ExpTerms<1>{{broadcast(m)}});
    subtractRun(x, y, size, m, log(broadcast(sum))[0]);
  }
  template <int T, bool whole>
  static void columns(const float* x, float* y, int64_t size, int64_t stride, int n) {
    ExpTerms<T> terms;
    Float shift[T];
    maxOfColumns<T, whole>(terms.top, x, size, stride, n);
    sumOfColumns<T, whole>(shift, x, size, stride, n, terms);
    for (int t = 0; t < T; ++t) shift[t] = log(shift[t]);
    for (int64_t i = 0; i < size; ++i)
      for (int t = 0; t < T; ++t) {
        const int64_t at = i * stride + t * lanes;
        if constexpr (whole)
          store(y + at, (load(x + at) - terms.top[t]) - shift[t]);
        else
          storePartial(y + at, (loadPartial(x + at, n) - terms.top[t]) - shift[t], n);
      }
  }
};

template <class Op>
void forEachRow(const KernelCall& call) {
  const auto& p = *static_cast<const SoftmaxParameters*>(call.parameters);
  const float* x = static_cast<const float*>(call.operands[0]);
  float* y = static_cast<float*>(call.operands[1]);
  if (p.size == 0 || p.inner == 0) return;
  if (p.inner == 1) {
    parallelRanges(call, p.outer, 1 + (elementsPerTask - 1) / p.size, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; ++row) Op::row(x + row * p.size, y + row * p.size, p.size);
    });
    return;
  }
  constexpr int64_t width = narrowTile * lanes;
  const int64_t tiles = (p.inner + width - 1) / width;
  const int64_t grain = 1 + (elementsPerTask - 1) / (p.size * (p.inner < width ? p.inner : width));
  parallelRanges(call, p.outer * tiles, grain, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t unit = begin; unit < end; ++unit) {
      int64_t column = unit % tiles * width;
      const int64_t base = unit / tiles * p.size * p.inner;
      if (column + width <= p.inner) {
        Op::template columns<narrowTile, true>(x + base + column, y + base + column, p.size, p.inner, 0);
        continue;
      }
      for (; column + lanes <= p.inner; column += lanes)
        Op::template columns<1, true>(x + base + column, y + base + column, p.size, p.inner, 0);
      const int left = static_cast<int>(p.inner - column);
      if (left > 0) Op::template columns<1, false>(x + base + column, y + base + column, p.size, p.inner, left);
    }
  });
}

void softmax(const KernelCall& call) { forEachRow<Softmax>(call); }
void logSoftmax(const KernelCall& call) { forEachRow<LogSoftmax>(call); }

PUSHFORWARD_CPU_KERNEL(softmax, softmax, nullptr)
PUSHFORWARD_CPU_KERNEL(log_softmax, logSoftmax, nullptr)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
