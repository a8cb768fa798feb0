// combine: the Gram matrix by tangents generated again, a panel of each direction at a time. Gaussians are multiplied in float64, signs
// compared as bits, 32 at once: x·y = n − 2 popcount(x ^ y); of low-rank tangents the factors alone, since
// V_k·V_l = (1/r) Σ_qp (a_kq·a_lp)(b_kq·b_lp). Work is cut into strips by shapes alone, each with a Gram matrix of its own, and these
// are summed in order: the number of threads changes nothing.
#include "ops/combine.h"

#include "cpu/exact_product.h"
#include "cpu/parallel.h"
#include "cpu/tangent_panel.h"
#include "cpu/vector.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr int64_t panelValues = 512;              // of one direction: K of them stay in an L2 cache up to some hundred
constexpr int64_t panelBlocks = panelValues / 4;  // of signs, 128 each
constexpr int64_t mostStrips = 16, mostSums = 1 << 22;  // 32 MB of Gram matrices

static int64_t ceilingOf(int64_t x, int64_t y) { return (x + y - 1) / y; }

static int64_t stripsOf(const CombineParameters& p) {
  const int64_t strips = mostSums / (int64_t{p.directions} * p.directions);
  return strips < mostStrips ? strips : mostStrips;
}

/** Words of the signs of n numbers, whole blocks. */
static int64_t signWords(int64_t n) { return 4 * ceilingOf(n, 128); }

static int64_t panelWords(const CombineParameters& p) { return p.directions * panelValues + signSlack; }

static int64_t factorWords(const DrawnTangent& tangent) { return signWords(tangent.rows) + signWords(tangent.n); }

/** Doubles: a Gram matrix a strip, a diagonal, c; then words: panels of each thread, or factors. */
static size_t combineScratch(const void* parameters, int threads) {
  const auto& p = *static_cast<const CombineParameters*>(parameters);
  const int64_t k = p.directions;
  int64_t words = threads * panelWords(p);
  for (int64_t t = 0; t < p.tangents; ++t) {
    const DrawnTangent& tangent = tangentsOf(p)[t];
    const int64_t factors = k * tangent.law.rank * factorWords(tangent) + signSlack;
    if (tangent.law.rank > 0 && factors > words) words = factors;
  }
  return static_cast<size_t>(8 * (stripsOf(p) * k * k + 2 * k) + 4 * words);
}

static Draw drawOf(const KernelCall& call, const DrawnTangent& tangent, uint32_t stream, int64_t direction) {
  const RunState& state = *call.state;
  return {{state.key[0], state.key[1]}, tangent.law.parameter, stream, static_cast<uint32_t>(direction), state.step};
}

/** Bits in which x and y differ; `count` is even. */
static int64_t differences(const uint32_t* x, const uint32_t* y, int64_t count) {
  int64_t total = 0;
  for (int64_t i = 0; i < count; i += 2) {
    uint64_t a, b;
    __builtin_memcpy(&a, x + i, sizeof a);
    __builtin_memcpy(&b, y + i, sizeof b);
    total += __builtin_popcountll(a ^ b);
  }
  return total;
}

/** Clears the bits of words [4 blocks] from number n of a row on; blocks [first, first + blocks) of rows of ⌈n/128⌉ follow each other. */
static int64_t maskBlocks(int64_t n, int64_t first, int64_t blocks, uint32_t* words) {
  const int64_t across = ceilingOf(n, 128);
  int64_t count = 0;
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t left = n - (first + i) % across * 128;
    count += left < 128 ? left : 128;
    for (int64_t w = 0; w < 4 && left < 128; ++w) {
      const int64_t some = left - 32 * w;
      if (some < 32) words[4 * i + w] &= some <= 0 ? 0u : (1u << some) - 1u;
    }
  }
  return count;
}

/** Adds panel number `index` of a gaussian or rademacher tangent to the upper triangle of a Gram matrix. */
static void addPanel(const KernelCall& call, const DrawnTangent& tangent, int64_t k, int64_t index, float* panels,
                     double* gram) {
  const int64_t columns = tangent.n < panelValues ? tangent.n : panelValues, across = ceilingOf(tangent.n, columns);
  const int64_t most = panelValues / columns, row = index / across * most, column = index % across * columns;
  const int64_t rows = tangent.rows - row < most ? tangent.rows - row : most;
  const int64_t wide = tangent.n - column < columns ? tangent.n - column : columns;
  for (int64_t d = 0; d < k; ++d)
    fillTangentPanel(TangentKind::gaussian, drawOf(call, tangent, tangentStream, d), tangent.n, row, rows, column, wide,
                     panels + d * panelValues, wide);
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = i; j < k; ++j)
      gram[i * k + j] += exactProduct(panels + i * panelValues, panels + j * panelValues, rows * wide);
}

static void addSigns(const KernelCall& call, const DrawnTangent& tangent, int64_t k, int64_t index, uint32_t* words,
                     double* gram) {
  const int64_t all = tangent.rows * ceilingOf(tangent.n, 128), first = index * panelBlocks;
  const int64_t blocks = all - first < panelBlocks ? all - first : panelBlocks;
  int64_t count = 0;
  for (int64_t d = 0; d < k; ++d) {  // in order: each draw may run over into the next one's words
    fillSignWords(drawOf(call, tangent, tangentStream, d), 128, first, blocks, 0, words + d * panelValues);
    count = maskBlocks(tangent.n, first, blocks, words + d * panelValues);
  }
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = i; j < k; ++j) {
      const int64_t unequal = differences(words + i * panelValues, words + j * panelValues, 4 * blocks);
      gram[i * k + j] += static_cast<double>(count - 2 * unequal);
    }
}

static int64_t panelsOf(const DrawnTangent& tangent) {
  if (tangent.law.kind == TangentKind::rademacher)
    return ceilingOf(tangent.rows * ceilingOf(tangent.n, 128), panelBlocks);
  const int64_t columns = tangent.n < panelValues ? tangent.n : panelValues;
  return ceilingOf(tangent.n, columns) * ceilingOf(tangent.rows, panelValues / columns);
}

static void addDense(const KernelCall& call, const CombineParameters& p, const DrawnTangent& tangent, float* panels,
                     double* grams) {
  const int64_t k = p.directions, total = panelsOf(tangent), each = ceilingOf(total, stripsOf(p));
  parallelFor(call, ceilingOf(total, each), [&](int64_t strip, int thread) {
    float* own = panels + thread * panelWords(p);
    for (int64_t index = strip * each; index < total && index < (strip + 1) * each; ++index) {
      if (tangent.law.kind == TangentKind::gaussian)
        addPanel(call, tangent, k, index, own, grams + strip * k * k);
      else
        addSigns(call, tangent, k, index, reinterpret_cast<uint32_t*>(own), grams + strip * k * k);
    }
  });
}

/** Sums of integers below 2⁵³ are exact in any order. */
static void addLowRank(const KernelCall& call, const CombineParameters& p, const DrawnTangent& tangent, uint32_t* words,
                       double* gram) {
  const int64_t k = p.directions, rank = tangent.law.rank, left = signWords(tangent.rows), right = signWords(tangent.n);
  for (int64_t f = 0; f < k * rank; ++f) {  // in order, as above
    uint32_t *a = words + f * (left + right), *b = a + left;
    fillSignWords(drawOf(call, tangent, leftStream, f), 128, 0, left / 4, 0, a);
    maskBlocks(tangent.rows, 0, left / 4, a);
    fillSignWords(drawOf(call, tangent, rightStream, f), 128, 0, right / 4, 0, b);
    maskBlocks(tangent.n, 0, right / 4, b);
  }
  parallelFor(call, k, [&](int64_t i, int) {
    for (int64_t j = i; j < k; ++j) {
      double sum = 0;
      for (int64_t q = i * rank; q < (i + 1) * rank; ++q)
        for (int64_t s = j * rank; s < (j + 1) * rank; ++s) {
          const uint32_t *x = words + q * (left + right), *y = words + s * (left + right);
          sum += static_cast<double>((tangent.rows - 2 * differences(x, y, left)) *
                                     (tangent.n - 2 * differences(x + left, y + left, right)));
        }
      gram[i * k + j] += sum / static_cast<double>(rank);
    }
  });
}

/** The upper triangle of G, in the first of the strips. */
static void accumulate(const KernelCall& call, const CombineParameters& p, double* grams, float* panels) {
  const int64_t size = int64_t{p.directions} * p.directions, strips = stripsOf(p);
  for (int64_t i = 0; i < strips * size; ++i) grams[i] = 0.0;
  for (int64_t t = 0; t < p.tangents; ++t) {
    const DrawnTangent& tangent = tangentsOf(p)[t];
    if (tangent.law.kind == TangentKind::lowRank)
      addLowRank(call, p, tangent, reinterpret_cast<uint32_t*>(panels), grams);
    else
      addDense(call, p, tangent, panels, grams);
  }
  for (int64_t strip = 1; strip < strips; ++strip)
    for (int64_t i = 0; i < size; ++i) grams[i] += grams[strip * size + i];
}

static double quadraticForm(int64_t k, const double* gram, const double* c) {
  double total = 0;
  for (int64_t i = 0; i < k; ++i) {
    total += c[i] * gram[i * k + i] * c[i];
    for (int64_t j = i + 1; j < k; ++j) total += 2 * c[i] * gram[i * k + j] * c[j];
  }
  return total;
}

/** c ← G⁻¹ c by the factors of Cholesky, G = L D Lᵀ, which replace the upper triangle; NaN where a pivot is as good as zero. */
static void solve(int64_t k, double* gram, double* diagonal, double* c) {
  for (int64_t i = 0; i < k; ++i) diagonal[i] = gram[i * k + i];
  bool singular = false;
  for (int64_t i = 0; i < k && !singular; ++i) {
    const double* pivot = gram + i * k;
    singular = !(pivot[i] > singularPivot * diagonal[i]);
    for (int64_t r = i + 1; r < k && !singular; ++r) {
      const double factor = pivot[r] / pivot[i];
      for (int64_t j = r; j < k; ++j) gram[r * k + j] -= factor * pivot[j];
      c[r] -= factor * c[i];
    }
  }
  for (int64_t i = k - 1; i >= 0; --i) {
    double rest = singular ? __builtin_nan("") : c[i];
    for (int64_t j = i + 1; j < k; ++j) rest -= gram[i * k + j] * c[j];
    c[i] = rest / gram[i * k + i];
  }
}

static void combine(const KernelCall& call) {
  const auto& p = *static_cast<const CombineParameters*>(call.parameters);
  const float* given = static_cast<const float*>(call.operands[0]);
  float* out = static_cast<float*>(call.operands[1]);
  const int64_t k = p.directions;
  double *gram = static_cast<double*>(call.scratch), *diagonal = gram + stripsOf(p) * k * k, *c = diagonal + k;
  accumulate(call, p, gram, reinterpret_cast<float*>(c + k));
  double squares = 0;  // of the estimate's norm, times K²
  for (int64_t i = 0; i < k; ++i) c[i] = double{given[i]};
  if (p.project != 0) {
    solve(k, gram, diagonal, c);
    for (int64_t i = 0; i < k; ++i) {
      c[i] *= static_cast<double>(k);
      squares += static_cast<double>(k) * c[i] * double{given[i]};  // c′ᵀ G c′ = K c′·c
    }
  } else {
    squares = quadraticForm(k, gram, c);
  }
  const double norm = __builtin_sqrt(squares) / static_cast<double>(k);
  const double scale = p.clip > 0 && norm > p.clip ? p.clip / norm : 1.0;
  for (int64_t i = 0; i < k; ++i) out[i] = static_cast<float>(c[i] * scale);
}

PUSHFORWARD_CPU_KERNEL(combine, combine, combineScratch)

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
