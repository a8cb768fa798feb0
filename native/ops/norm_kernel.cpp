// norm and norm_project, a few rows at a time, so that the sums and quotients of one row need not wait for those of
// another. A row is read from memory once and from the cache after that. Its mean is found twice, the second time of what the first has left: so x̂ is right to rounding however far from zero a row lies, which
// the mean of float32 numbers alone, wrong by ε times itself, would not give.
#include "ops/norm.h"

#include "ops/reduce_sum.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

constexpr int64_t elementsPerTask = 16384;

struct ShiftedTerms {
  float mean;
  Float whole(const float* p, int) const { return load(p) - mean; }
  Float part(const float* p, int n, int) const { return select(iota() < n, loadPartial(p, n) - mean, Float{}); }
};

/** x̂ = ((x − mean) − rest) scale. */
struct Row {
  float mean, rest, scale;
  Float centred(Float x) const { return (x - mean) - rest; }
  Float normalised(Float x) const { return centred(x) * scale; }
};

struct SquareTerms {
  Row row;
  Float whole(const float* p, int) const {
    const Float d = row.centred(load(p));
    return d * d;
  }
  Float part(const float* p, int n, int) const {
    const Float d = row.centred(loadPartial(p, n));
    return select(iota() < n, d * d, Float{});
  }
};

/** x̂ ⊙ z. */
struct ProductTerms {
  Row row;
  const float* z;
  const float* x;
  Float whole(const float* p, int) const { return row.normalised(load(x + (p - z))) * load(p); }
  Float part(const float* p, int n, int) const {
    return select(iota() < n, row.normalised(loadPartial(x + (p - z), n)) * loadPartial(p, n), Float{});
  }
};

constexpr int64_t mostTogether = 8;

/** Rows at a time: so many that `operands` of them stay in L1. */
int64_t togetherOf(const NormParameters& p, int operands) {
  const int64_t fit = 8192 / (operands * p.n);
  return fit < 1 ? 1 : fit < mostTogether ? fit : mostTogether;
}

void findRows(const NormParameters& p, const float* x, int64_t count, Row* row) {
  const float n = static_cast<float>(p.n);
  for (int64_t i = 0; i < count; ++i) row[i] = {0, 0, 1};
  if (p.centre) {
    for (int64_t i = 0; i < count; ++i) row[i].mean = sumOfRun(x + i * p.n, p.n, PlainTerms{}) / n;
    for (int64_t i = 0; i < count; ++i) row[i].rest = sumOfRun(x + i * p.n, p.n, ShiftedTerms{row[i].mean}) / n;
  }
  for (int64_t i = 0; i < count; ++i) {
    const float variance = sumOfRun(x + i * p.n, p.n, SquareTerms{row[i]}) / n;
    row[i].scale = 1 / __builtin_sqrtf(variance + static_cast<float>(p.epsilon));
  }
}

/** y[i] = f(i, the elements of a at i), in vectors; lanes beyond n are dropped. */
template <class F>
PUSHFORWARD_INLINE void forEachVector(int64_t n, const F& f) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    f(i, [](const float* p) { return load(p); }, [](float* p, Float y) { store(p, y); });
  const int rest = static_cast<int>(n - i);
  if (rest)
    f(
        i, [rest](const float* p) { return loadPartial(p, rest); },
        [rest](float* p, Float y) { storePartial(p, y, rest); });
}

void norm(const KernelCall& call) {
  const auto& p = *static_cast<const NormParameters*>(call.parameters);
  const float* x = static_cast<const float*>(call.operands[0]);
  const float* scale = static_cast<const float*>(call.operands[1]);
  const float* shift = static_cast<const float*>(call.operands[2]);
  float* y = static_cast<float*>(call.operands[3]);
  const int64_t together = togetherOf(p, 2);
  parallelRanges(call, p.rows, 1 + (elementsPerTask - 1) / p.n, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; r += together) {
      const int64_t count = end - r < together ? end - r : together;
      Row row[mostTogether];
      findRows(p, x + r * p.n, count, row);
      for (int64_t t = 0; t < count; ++t) {
        const Row own = row[t];
        const float* from = x + (r + t) * p.n;
        float* to = y + (r + t) * p.n;
        forEachVector(p.n, [=](int64_t i, auto get, auto put) {
          Float value = own.normalised(get(from + i));
          if (scale) value = value * get(scale + i);
          if (shift) value = value + get(shift + i);
          put(to + i, value);
        });
      }
    }
  });
}

void normProject(const KernelCall& call) {
  const auto& p = *static_cast<const NormParameters*>(call.parameters);
  const float* z = static_cast<const float*>(call.operands[0]);
  const float* x = static_cast<const float*>(call.operands[1]);
  float* y = static_cast<float*>(call.operands[2]);
  if (p.repeats == 0) return;
  const int64_t grain = 1 + (elementsPerTask - 1) / (p.n * p.repeats), together = togetherOf(p, 3);
  const float n = static_cast<float>(p.n);
  parallelRanges(call, p.rows, grain, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; r += together) {
      const int64_t count = end - r < together ? end - r : together;
      Row row[mostTogether];
      findRows(p, x + r * p.n, count, row);
      for (int64_t k = 0; k < p.repeats; ++k) {
        float mean[mostTogether], along[mostTogether];
        const float *own = x + r * p.n, *from = z + (k * p.rows + r) * p.n;
        float* to = y + (k * p.rows + r) * p.n;
        for (int64_t t = 0; t < count; ++t) mean[t] = p.centre ? sumOfRun(from + t * p.n, p.n, PlainTerms{}) / n : 0.0f;
        for (int64_t t = 0; t < count; ++t)
          along[t] = sumOfRun(from + t * p.n, p.n, ProductTerms{row[t], from + t * p.n, own + t * p.n}) / n;
        for (int64_t t = 0; t < count; ++t, own += p.n, from += p.n, to += p.n) {
          const Row found = row[t];
          const float middle = mean[t], slope = along[t];
          forEachVector(p.n, [=](int64_t i, auto get, auto put) {
            put(to + i, found.scale * ((get(from + i) - middle) - found.normalised(get(own + i)) * slope));
          });
        }
      }
    }
  });
}

PUSHFORWARD_CPU_KERNEL(norm, norm, nullptr)
PUSHFORWARD_CPU_KERNEL(norm_project, normProject, nullptr)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
