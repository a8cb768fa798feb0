// tangentDot: tangents are generated a panel at a time and multiplied in float64. s is cut into strips by its shape alone, whose sums
// are added in order, so that the number of threads changes nothing. A low-rank tangent gives (1/√r) Σ_q a_qᵀ s b_q, by its factors.
#include "ops/tangent_dot.h"

#include "cpu/exact_product.h"
#include "cpu/parallel.h"
#include "cpu/tangent_panel.h"
#include "cpu/vector.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr int64_t panelValues = 4096, mostStrips = 16;

static int64_t ceilingOf(int64_t x, int64_t y) { return (x + y - 1) / y; }

static int64_t factorsOf(const TangentDotParameters& p) {
  return p.law.kind == TangentKind::lowRank ? p.directions * p.law.rank : 0;
}

/** Sums [strips, directions], then the factors a_kq [rows] and b_kq [n]. */
static size_t tangentDotScratch(const void* parameters, int) {
  const auto& p = *static_cast<const TangentDotParameters*>(parameters);
  return static_cast<size_t>(8 * mostStrips * p.directions + 4 * factorsOf(p) * (p.rows + p.n));
}

static Draw drawOf(const KernelCall& call, const TangentDotParameters& p, uint32_t stream, int64_t direction) {
  const RunState& state = *call.state;
  return {{state.key[0], state.key[1]}, p.law.parameter, stream, static_cast<uint32_t>(direction), state.step};
}

static void drawFactors(const KernelCall& call, const TangentDotParameters& p, float* left, float* right) {
  parallelRanges(call, factorsOf(p), 65536 / (p.rows + p.n) + 1, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t f = begin; f < end; ++f) {
      fillTangentPanel(TangentKind::rademacher, drawOf(call, p, leftStream, f), p.rows, 0, 1, 0, p.rows,
                       left + f * p.rows, p.rows);
      fillTangentPanel(TangentKind::rademacher, drawOf(call, p, rightStream, f), p.n, 0, 1, 0, p.n, right + f * p.n,
                       p.n);
    }
  });
}

/** A panel of columns [column, column + columns) of some rows: its products with every direction, added to `sums`. */
struct Panel {
  const float* s;
  int64_t row, rows, column, columns;
};

static void addFactors(const TangentDotParameters& p, const Panel& at, const float* left, const float* right,
                       double* sums) {
  for (int64_t f = 0; f < factorsOf(p); ++f)
    for (int64_t i = at.row; i < at.row + at.rows; ++i)
      sums[f / p.law.rank] += double{left[f * p.rows + i]} *
                              exactProduct(at.s + i * p.n + at.column, right + f * p.n + at.column, at.columns);
}

static void addPanel(const KernelCall& call, const TangentDotParameters& p, const Panel& at, const float* given,
                     double* sums) {
  float v[panelValues];
  for (int64_t k = 0; k < p.directions; ++k) {
    if (given == nullptr)
      fillTangentPanel(p.law.kind, drawOf(call, p, tangentStream, k), p.n, at.row, at.rows, at.column, at.columns, v,
                       at.columns);
    for (int64_t i = 0; i < at.rows; ++i) {
      const int64_t offset = (at.row + i) * p.n + at.column;
      const float* tangent = given == nullptr ? v + i * at.columns : given + k * p.rows * p.n + offset;
      sums[k] += exactProduct(at.s + offset, tangent, at.columns);
    }
  }
}

static void tangentDot(const KernelCall& call) {
  const auto& p = *static_cast<const TangentDotParameters*>(call.parameters);
  const float *s = static_cast<const float*>(call.operands[0]), *given = static_cast<const float*>(call.operands[1]);
  float* y = static_cast<float*>(call.operands[2]);
  double* sums = static_cast<double*>(call.scratch);
  float *left = reinterpret_cast<float*>(sums + mostStrips * p.directions), *right = left + factorsOf(p) * p.rows;
  for (int64_t i = 0; i < mostStrips * p.directions; ++i) sums[i] = 0.0;
  if (p.rows <= 0 || p.n <= 0) {
    for (int64_t k = 0; k < p.directions; ++k) y[k] = 0.0f;
    return;
  }
  if (factorsOf(p) > 0) drawFactors(call, p, left, right);
  const int64_t columns = p.n < panelValues ? p.n : panelValues, high = panelValues / columns;
  const int64_t across = ceilingOf(p.n, columns), total = across * ceilingOf(p.rows, high);
  const int64_t each = ceilingOf(total, mostStrips);
  parallelFor(call, ceilingOf(total, each), [&](int64_t strip, int) {
    for (int64_t index = strip * each; index < total && index < (strip + 1) * each; ++index) {
      const int64_t row = index / across * high, column = index % across * columns;
      const Panel at = {s, row, p.rows - row < high ? p.rows - row : high, column,
                        p.n - column < columns ? p.n - column : columns};
      if (factorsOf(p) > 0)
        addFactors(p, at, left, right, sums + strip * p.directions);
      else
        addPanel(call, p, at, given, sums + strip * p.directions);
    }
  });
  const double scale = factorsOf(p) > 0 ? 1.0 / __builtin_sqrt(static_cast<double>(p.law.rank)) : 1.0;
  for (int64_t k = 0; k < p.directions; ++k) {
    double total = 0.0;
    for (int64_t strip = 0; strip < mostStrips; ++strip) total += sums[strip * p.directions + k];
    y[k] = static_cast<float>(total * scale);
  }
}

PUSHFORWARD_CPU_KERNEL(tangentDot, tangentDot, tangentDotScratch)

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
