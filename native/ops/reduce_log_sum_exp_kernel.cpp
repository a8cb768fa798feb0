// log_sum_exp: m = max x, y = m + log Σ exp(x − m); where m is not finite, y = m.
#include "ops/exp_terms.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

/** m + log(sum), or m. */
Float joined(Float m, Float sum) { return select(isFinite(m), m + log(sum), m); }

struct LogSumExpOp {
  static constexpr int tile = narrowTile;
  void row(const Reduction& r, const float* x, int64_t o, float* y) const {
    const float m = maxOfRow(r, x);
    y[o] = isFinite(m) ? m + log(broadcast(sumRow(r, x, ExpTerms<1>{{broadcast(m)}})))[0] : m;
  }
  template <int T, bool whole>
  void columns(const Reduction& r, const float* x, int64_t o, float* y, int n) const {
    ExpTerms<T> terms;
    Float sum[T];
    maxColumns<T, whole>(terms.top, r, x, n);
    sumColumns<T, whole>(sum, r, x, n, terms);
    for (int t = 0; t < T; ++t) sum[t] = joined(terms.top[t], sum[t]);
    storeTile<T, whole>(y + o, sum, n);
  }
};

// Split in pieces: y takes the maxima first, then the partial sums are made with them.
struct PartialOp {
  static constexpr int tile = narrowTile;
  const float* top;
  int64_t outputs;

  void row(const Reduction& r, const float* x, int64_t o, float* y) const {
    y[o] = sumRow(r, x, ExpTerms<1>{{broadcast(top[o % outputs])}});
  }
  template <int T, bool whole>
  void columns(const Reduction& r, const float* x, int64_t o, float* y, int n) const {
    ExpTerms<T> terms;
    Float sum[T];
    for (int t = 0; t < T; ++t) {
      const float* m = top + o % outputs + t * lanes;
      if constexpr (whole)
        terms.top[t] = load(m);
      else
        terms.top[t] = loadPartial(m, n);
    }
    sumColumns<T, whole>(sum, r, x, n, terms);
    storeTile<T, whole>(y + o, sum, n);
  }
};

struct JoinOp {
  static constexpr int tile = narrowTile;
  void row(const Reduction& r, const float* x, int64_t o, float* y) const {
    y[o] = joined(broadcast(y[o]), broadcast(sumRow(r, x, PlainTerms{})))[0];
  }
  template <int T, bool whole>
  void columns(const Reduction& r, const float* x, int64_t o, float* y, int n) const {
    Float sum[T];
    sumColumns<T, whole>(sum, r, x, n, PlainTerms{});
    for (int t = 0; t < T; ++t) {
      if constexpr (whole)
        sum[t] = joined(load(y + o + t * lanes), sum[t]);
      else
        sum[t] = joined(loadPartial(y + o, n), sum[t]);
    }
    storeTile<T, whole>(y + o, sum, n);
  }
};

void logSumExp(const KernelCall& call) {
  const Reduction r(*static_cast<const ReduceParameters*>(call.parameters));
  const float* x = static_cast<const float*>(call.operands[0]);
  float* y = static_cast<float*>(call.operands[1]);
  if (r.reduced == 0) return;
  if (splitOf(r).pieces == 0) {
    reduceAll(call, r, x, y, LogSumExpOp{});
    return;
  }
  float* partial = static_cast<float*>(call.scratch);
  reduceSplit(call, r, x, y, partial, MaxOp{}, MaxOp{});
  reduceSplit(call, r, x, y, partial, PartialOp{y, r.outputs}, JoinOp{});
}

size_t scratch(const void* parameters, int) {
  const Reduction r(*static_cast<const ReduceParameters*>(parameters));
  return r.reduced == 0 ? 0 : static_cast<size_t>(splitScratch(r)) * sizeof(float);
}

PUSHFORWARD_CPU_KERNEL(log_sum_exp, logSumExp, scratch)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
