// The oracle of attention_primal, attention_pushforward and attention_pullback: one query after another.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/kernel.h"
#include "ops/attention.h"

namespace pushforward {

namespace {

double dot(const double* a, const double* b, int64_t size) {
  double sum = 0;
  for (int64_t i = 0; i < size; ++i) sum += a[i] * b[i];
  return sum;
}

void addScaled(double* to, const double* from, double factor, int64_t size) {
  for (int64_t i = 0; i < size; ++i) to[i] += factor * from[i];
}

/** One index of the batch. */
struct Head {
  const AttentionParameters& p;
  const double *q, *k, *v, *mask;

  Head(const KernelCall& call, const AttentionParameters& p, int64_t b, const void* mask)
      : p(p),
        q(static_cast<const double*>(call.operands[0]) + b * p.n * p.d),
        k(static_cast<const double*>(call.operands[1]) + b * p.m * p.d),
        v(static_cast<const double*>(call.operands[2]) + b * p.m * p.e),
        mask(static_cast<const double*>(mask)) {}

  int64_t seen(int64_t i) const { return std::min(p.m, i + p.offset + 1); }

  /** P[i, j] for the keys that query i sees. */
  std::vector<double> row(int64_t i) const {
    std::vector<double> s(static_cast<size_t>(seen(i)));
    for (size_t j = 0; j < s.size(); ++j) {
      s[j] = p.scale * dot(q + i * p.d, k + static_cast<int64_t>(j) * p.d, p.d);
      if (mask) s[j] += mask[i * p.m + static_cast<int64_t>(j)];
    }
    double top = s[0], total = 0;
    for (double each : s)
      if (std::isnan(each) || each > top) top = each;
    for (double& each : s) total += each = std::exp(each - top);
    for (double& each : s) each /= total;
    return s;
  }

  void value(const std::vector<double>& row, const double* of, double* y) const {
    for (size_t j = 0; j < row.size(); ++j) addScaled(y, of + static_cast<int64_t>(j) * p.e, row[j], p.e);
  }
};

/** scale P ⊙ (z − Σ P ⊙ z). */
std::vector<double> project(const std::vector<double>& row, std::vector<double> z, double scale) {
  double along = dot(row.data(), z.data(), static_cast<int64_t>(row.size()));
  for (size_t j = 0; j < z.size(); ++j) z[j] = scale * row[j] * (z[j] - along);
  return z;
}

const AttentionParameters& parametersOf(const KernelCall& call) {
  return *static_cast<const AttentionParameters*>(call.parameters);
}

void attention(const KernelCall& call) {
  const AttentionParameters& p = parametersOf(call);
  double* y = static_cast<double*>(call.operands[4]);
  std::fill(y, y + p.batch * p.n * p.e, 0.0);
  for (int64_t b = 0; b < p.batch; ++b) {
    Head head(call, p, b, call.operands[3]);
    for (int64_t i = 0; i < p.n; ++i) head.value(head.row(i), head.v, y + (b * p.n + i) * p.e);
  }
}

void attentionPushforward(const KernelCall& call) {
  const AttentionParameters& p = parametersOf(call);
  const double *qDot = static_cast<const double*>(call.operands[4]),
               *kDot = static_cast<const double*>(call.operands[5]),
               *vDot = static_cast<const double*>(call.operands[6]);
  double *y = static_cast<double*>(call.operands[7]), *yDot = static_cast<double*>(call.operands[8]);
  std::fill(y, y + p.batch * p.n * p.e, 0.0);
  std::fill(yDot, yDot + p.directions * p.batch * p.n * p.e, 0.0);
  for (int64_t b = 0; b < p.batch; ++b) {
    Head head(call, p, b, call.operands[3]);
    for (int64_t i = 0; i < p.n; ++i) {
      std::vector<double> row = head.row(i), z(row.size());
      head.value(row, head.v, y + (b * p.n + i) * p.e);
      for (int64_t direction = 0; direction < p.directions; ++direction) {
        int64_t at = direction * p.batch + b;
        double* to = yDot + (at * p.n + i) * p.e;
        for (size_t j = 0; j < z.size(); ++j) {
          int64_t key = static_cast<int64_t>(j);
          z[j] = 0;
          if (qDot) z[j] += dot(qDot + (at * p.n + i) * p.d, head.k + key * p.d, p.d);
          if (kDot) z[j] += dot(head.q + i * p.d, kDot + (at * p.m + key) * p.d, p.d);
        }
        head.value(project(row, z, p.scale), head.v, to);
        if (vDot) head.value(row, vDot + at * p.m * p.e, to);
      }
    }
  }
}

void attentionPullback(const KernelCall& call) {
  const AttentionParameters& p = parametersOf(call);
  const double* yBar = static_cast<const double*>(call.operands[3]);
  double *qBar = static_cast<double*>(call.operands[5]), *kBar = static_cast<double*>(call.operands[6]),
         *vBar = static_cast<double*>(call.operands[7]);
  std::fill(qBar, qBar + p.batch * p.n * p.d, 0.0);
  std::fill(kBar, kBar + p.batch * p.m * p.d, 0.0);
  std::fill(vBar, vBar + p.batch * p.m * p.e, 0.0);
  for (int64_t b = 0; b < p.batch; ++b) {
    Head head(call, p, b, call.operands[4]);
    for (int64_t i = 0; i < p.n; ++i) {
      const double* bar = yBar + (b * p.n + i) * p.e;
      std::vector<double> row = head.row(i), z(row.size());
      for (size_t j = 0; j < z.size(); ++j) z[j] = dot(bar, head.v + static_cast<int64_t>(j) * p.e, p.e);
      std::vector<double> sBar = project(row, z, p.scale);
      for (size_t j = 0; j < z.size(); ++j) {
        int64_t key = static_cast<int64_t>(j);
        addScaled(qBar + (b * p.n + i) * p.d, head.k + key * p.d, sBar[j], p.d);
        addScaled(kBar + (b * p.m + key) * p.d, head.q + i * p.d, sBar[j], p.d);
        addScaled(vBar + (b * p.m + key) * p.e, bar, row[j], p.e);
      }
    }
  }
}

PUSHFORWARD_REFERENCE_KERNEL(attention_primal, attention)
PUSHFORWARD_REFERENCE_KERNEL(attention_pushforward, attentionPushforward)
PUSHFORWARD_REFERENCE_KERNEL(attention_pullback, attentionPullback)

}  // namespace

}  // namespace pushforward
