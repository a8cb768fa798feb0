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
    const float sum = sumOfRun(x, size, StoredExpTerms{broadcast(m), x, y});
    scaleRun(y, size, 1.0f / sum);
  }
  template <bool whole>
  static void columns(const float* x, float* y, int64_t size, int64_t stride, int n) {
    Float m[1], sum[1];
    maxOfColumns<1, whole>(m, x, size, stride, n);
    sumOfColumns<1, whole>(sum, x, size, stride, n, StoredExpTerms{m[0], x, y});
    const Float factor = 1.0f / sum[0];
    for (int64_t i = 0; i < size; ++i) {
      float* p = y + i * stride;
      if constexpr (whole) store(p, load(p) * factor);
      else storePartial(p, loadPartial(p, n) * factor, n);
    }
  }
};

struct LogSoftmax {
  static void row(const float* x, float* y, int64_t size) {
    const float m = maxOfRun(x, size);
    const float sum = sumOfRun(x, size, ExpTerms<1>{{broadcast(m)}});
    subtractRun(x, y, size, m, log(broadcast(sum))[0]);
  }
  template <bool whole>
  static void columns(const float* x, float* y, int64_t size, int64_t stride, int n) {
    Float m[1], sum[1];
    maxOfColumns<1, whole>(m, x, size, stride, n);
    sumOfColumns<1, whole>(sum, x, size, stride, n, ExpTerms<1>{{m[0]}});
    const Float shift = log(sum[0]);
    for (int64_t i = 0; i < size; ++i) {
      if constexpr (whole) store(y + i * stride, (load(x + i * stride) - m[0]) - shift);
      else storePartial(y + i * stride, (loadPartial(x + i * stride, n) - m[0]) - shift, n);
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
  const int64_t tiles = (p.inner + lanes - 1) / lanes;
  const int64_t grain = 1 + (elementsPerTask - 1) / (p.size * lanes);
  parallelRanges(call, p.outer * tiles, grain, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t column = unit % tiles * lanes, base = unit / tiles * p.size * p.inner + column;
      const int64_t left = p.inner - column;
      if (left >= lanes) Op::template columns<true>(x + base, y + base, p.size, p.inner, 0);
      else Op::template columns<false>(x + base, y + base, p.size, p.inner, static_cast<int>(left));
    }
  });
}

void softmax(const KernelCall& call) { forEachRow<Softmax>(call); }
void logSoftmax(const KernelCall& call) { forEachRow<LogSoftmax>(call); }

PUSHFORWARD_CPU_KERNEL(softmax, softmax, nullptr)
PUSHFORWARD_CPU_KERNEL(log_softmax, logSoftmax, nullptr)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
