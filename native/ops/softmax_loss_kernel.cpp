// softmax_cross_entropy, pick and unpick: rows of classes, one label a row.
#include "ops/exp_terms.h"
#include "ops/softmax.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

constexpr int64_t elementsPerTask = 16384;

struct Rows {
  const PickParameters& p;
  const int32_t* labels;

  explicit Rows(const KernelCall& call)
      : p(*static_cast<const PickParameters*>(call.parameters)),
        labels(static_cast<const int32_t*>(call.operands[1])) {}
  int32_t label(int64_t row) const { return labels[row % p.labels]; }
  bool valid(int32_t label) const { return label >= 0 && label < p.classes; }
  template <class F>
  void forRanges(const KernelCall& call, int64_t elementsPerRow, const F& f) const {
    parallelRanges(call, p.rows, 1 + (elementsPerTask - 1) / elementsPerRow, lanes, f);
  }
};

// y = log Σ exp(x − m) − (x[label] − m); the logarithms of `lanes` rows are taken together.
void softmaxCrossEntropy(const KernelCall& call) {
  const Rows rows(call);
  const float* x = static_cast<const float*>(call.operands[0]);
  float* y = static_cast<float*>(call.operands[2]);
  const int64_t classes = rows.p.classes;
  rows.forRanges(call, classes, [&](int64_t begin, int64_t end, int) {
    for (int64_t first = begin; first < end; first += lanes) {
      const int count = end - first < lanes ? static_cast<int>(end - first) : lanes;
      Float sum = broadcast(1.0f), target = Float{};
      for (int i = 0; i < count; ++i) {
        const float* logits = x + (first + i) * classes;
        const int32_t label = rows.label(first + i);
        const float m = maxOfRun(logits, classes);
        if (!rows.valid(label))
          target[i] = __builtin_nanf("");
        else if (!isFinite(m))
          target[i] = logits[label] - m;  // sum stays 1: y = m − x[label]
        else {
          target[i] = logits[label] - m;
          sum[i] = sumOfRun(logits, classes, ExpTerms<1>{{broadcast(m)}});
        }
      }
      storePartial(y + first, log(sum) - target, count);
    }
  });
}

void pick(const KernelCall& call) {
  const Rows rows(call);
  const float* x = static_cast<const float*>(call.operands[0]);
  float* y = static_cast<float*>(call.operands[2]);
  rows.forRanges(call, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const int32_t label = rows.label(row);
      y[row] = rows.valid(label) ? x[row * rows.p.classes + label] : __builtin_nanf("");
    }
  });
}

void unpick(const KernelCall& call) {
  const Rows rows(call);
  const float* y = static_cast<const float*>(call.operands[0]);
  float* x = static_cast<float*>(call.operands[2]);
  const int64_t classes = rows.p.classes;
  rows.forRanges(call, classes, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const int32_t label = rows.label(row);
      const bool valid = rows.valid(label);
      const float elsewhere = valid ? 0.0f : __builtin_nanf("");
      float* to = x + row * classes;
      for (int64_t c = 0; c < classes; ++c) to[c] = elsewhere;
      if (valid) to[label] = y[row];
    }
  });
}

PUSHFORWARD_CPU_KERNEL(softmax_cross_entropy, softmaxCrossEntropy, nullptr)
PUSHFORWARD_CPU_KERNEL(pick, pick, nullptr)
PUSHFORWARD_CPU_KERNEL(unpick, unpick, nullptr)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
