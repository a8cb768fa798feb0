// sgd, adam, adamW: formulas stand in update.h. The gradient of a piece of the parameter is read, or regenerated as
// (1/K) Σ_k c_k v_k, or multiplied out as xᵀ δ, into a panel that stays in the cache, and applied at once: one pass
// over the parameter and its state.
#include "cpu/gemm/bf16_format.h"
#include "cpu/parallel.h"
#include "cpu/tangent_panel.h"
#include "ops/update_rule.h"
#include "ops/update_tiles.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

// A piece of regenerated gradient, 16 KB: with a tangent beside it, it stays in an L1 cache.
constexpr int64_t pieceFloats = 4096, pieceColumns = 1024, pieceRows = 1024;

// Of floats, as many may be multiplied out again for every vector: beyond, four rows share what is read of b.
constexpr int64_t fewFactors = 8;

struct Update {
  const UpdateParameters& p;
  const KernelCall& call;
  Coefficients c;
  float *parameter, *first, *second;
  const float *gradient, *coefficient, *x, *delta;
  void (*piece)(const Coefficients& c, float scale, Span at, int64_t count);
  UpdatePanel<PanelGradient> byPanel;
  UpdatePanel<SignGradient> bySigns;
  UpdatePanel<FactorGradient> byFactors;

  void apply(int64_t offset, const float* from, int64_t count, float scale, int64_t ahead) const {
    piece(c, scale, {parameter + offset, within(first, offset), within(second, offset), from, ahead}, count);
  }
};

static bool allFinite(const KernelCall& call, const UpdateParameters& p) {
  bool finite = true;
  for (int i = 0; i < p.guards; ++i) {
    const float* guard = static_cast<const float*>(call.operands[updateGuardOperand + i]);
    for (int64_t j = 0; guard != nullptr && j < p.guardCount[i]; ++j) finite = finite && guard[j] - guard[j] == 0.0f;
  }
  return finite;
}

static bool inPanels(const UpdateParameters& p) { return p.layout != WeightLayout::rows; }

/** Offset of element (row, column) in panels; `column` begins one. */
static int64_t panelOffset(const UpdateParameters& p, int64_t row, int64_t column) {
  return column * p.rows + row * minimum(tileColumns, p.n - column);
}

/** Applies a gradient, which begins with element (row, column), to rows [row, row + rows) of the panel at `column`. */
template <class Gradient>
static void applyToPanel(const Update& u, UpdatePanel<Gradient> by, int64_t row, int64_t column, int64_t rows,
                         const Gradient& gradient) {
  const int64_t offset = panelOffset(u.p, row, column), halves = u.p.layout == WeightLayout::planes ? 2 : 1;
  by(u.c, gradient,
     {u.parameter + offset / halves, within(u.first, offset), within(u.second, offset), nullptr, contiguousAhead},
     u.p.rows * u.p.n / 2, rows, minimum(tileColumns, u.p.n - column));
}

/** The same of g [rows, wide]. */
static void applyToPanel(const Update& u, int64_t row, int64_t column, int64_t rows, const float* g, float scale) {
  applyToPanel(u, u.byPanel, row, column, rows, PanelGradient{g, minimum(tileColumns, u.p.n - column), scale});
}

static void applyGivenToPanels(const Update& u) {
  const UpdateParameters& p = u.p;
  constexpr int64_t most = pieceFloats / tileColumns;
  parallelFor(u.call, ceilDivide(p.n, tileColumns), [&](int64_t panel, int) {
    alignas(64) float g[pieceFloats];
    const int64_t column = panel * tileColumns, wide = minimum(tileColumns, p.n - column);
    for (int64_t row = 0; row < p.rows; row += most) {
      const int64_t rows = minimum(most, p.rows - row);
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < wide; j += lanes)
          store(g + i * wide + j, load(u.gradient + (row + i) * p.n + column + j));
      applyToPanel(u, row, column, rows, g, 1.0f);
    }
  });
}

static void applyGiven(const Update& u) {
  if (inPanels(u.p)) return applyGivenToPanels(u);
  const int64_t count = u.p.rows * u.p.n;
  parallelRanges(u.call, count, 16384, lanes, [&](int64_t begin, int64_t end, int) {
    u.apply(begin, u.gradient + begin, end - begin, 1.0f, contiguousAhead);
  });
}

static Draw drawOf(const Update& u, uint32_t stream, int64_t direction) {
  const RunState& state = *u.call.state;
  return {{state.key[0], state.key[1]}, u.p.tangent.parameter, stream, static_cast<uint32_t>(direction), state.step};
}

/** g += c v, v regenerated; both have room for a whole last vector. */
static void addTangent(const Update& u, int64_t k, float c, int64_t row, int64_t rows, int64_t column, int64_t columns,
                       float* v, float* g) {
  fillTangentPanel(u.p.tangent.kind, drawOf(u, u.p.tangent.stream, k), u.p.n, row, rows, column, columns, v, columns);
  for (int64_t i = 0; i < rows * columns; i += lanes) store(g + i, multiplyAdd(load(v + i), broadcast(c), load(g + i)));
}

/** Scratch of factors: a_kq [rows] times c_kq = c_k/(K √rank), then b_kq [n], of all kq. */
static int64_t factorCount(const UpdateParameters& p) {
  return p.tangent.kind == TangentKind::lowRank ? p.directions * p.tangent.rank : 0;
}

static void drawFactors(const Update& u, float* left, float* right) {
  const UpdateParameters& p = u.p;
  const double scale = 1.0 / (p.directions * __builtin_sqrt(static_cast<double>(p.tangent.rank)));
  parallelRanges(u.call, factorCount(p), maximum(1, 65536 / (p.rows + p.n)), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t f = begin; f < end; ++f) {
      const float c = static_cast<float>(scale * u.coefficient[f / p.tangent.rank]);
      float* a = left + f * p.rows;
      fillTangentPanel(TangentKind::rademacher, drawOf(u, leftStream, f), p.rows, 0, 1, 0, p.rows, a, p.rows);
      for (int64_t i = 0; i < p.rows; ++i) a[i] *= c;
      fillTangentPanel(TangentKind::rademacher, drawOf(u, rightStream, f), p.n, 0, 1, 0, p.n, right + f * p.n, p.n);
    }
  });
}

/** Σ_f a_f b_fᵀ for `rows` rows and two vectors of columns, of which `columns` are stored. */
template <int rows>
PUSHFORWARD_INLINE void addOuterProducts(const float* a, int64_t aStride, const float* b, int64_t bStride,
                                         int64_t factors, int64_t columns, float* g, int64_t gStride) {
  Float sum[rows][2];
  for (int i = 0; i < rows; ++i) sum[i][0] = sum[i][1] = Float{};
  const int first = static_cast<int>(minimum(columns, lanes)), second = static_cast<int>(columns) - first;
  for (int64_t f = 0; f < factors; ++f, a += aStride, b += bStride) {
    const Float right[2] = {columns >= lanes ? load(b) : loadPartial(b, first), columns >= 2 * lanes ? load(b + lanes)
                                                                                : second > 0
                                                                                    ? loadPartial(b + lanes, second)
                                                                                    : Float{}};
#pragma GCC unroll 4
    for (int i = 0; i < rows; ++i) {
      sum[i][0] = multiplyAdd(broadcast(a[i]), right[0], sum[i][0]);
      sum[i][1] = multiplyAdd(broadcast(a[i]), right[1], sum[i][1]);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < rows; ++i) {
    if (columns >= 2 * lanes) {
      store(g + i * gStride, sum[i][0]);
      store(g + i * gStride + lanes, sum[i][1]);
      continue;
    }
    storePartial(g + i * gStride, sum[i][0], first);
    if (second > 0) storePartial(g + i * gStride + lanes, sum[i][1], second);
  }
}

/** g = Σ_kq c_kq a_kq b_kqᵀ; meanwhile what it will be added to, if given, `stride` floats a row, comes nearer. */
static void addFactors(const Update& u, const float* left, const float* right, int64_t row, int64_t rows,
                       int64_t column, int64_t columns, const float* parameter, int64_t stride, float* g) {
  const UpdateParameters& p = u.p;
  const int64_t factors = factorCount(p);
  constexpr int64_t wide = 2 * lanes;
  constexpr int together = 4;
  for (int64_t j = 0; j < columns; j += wide) {
    const float* b = right + column + j;
    const int64_t count = minimum(wide, columns - j);
    int64_t i = 0;
    for (; i + together <= rows; i += together) {
      for (int64_t t = 0; parameter != nullptr && t < together; ++t)
        for (int64_t v = 0; v < wide; v += 16) __builtin_prefetch(parameter + (i + t) * stride + j + v, 1);
      addOuterProducts<together>(left + row + i, p.rows, b, p.n, factors, count, g + i * columns + j, columns);
    }
    for (; i < rows; ++i)
      addOuterProducts<1>(left + row + i, p.rows, b, p.n, factors, count, g + i * columns + j, columns);
  }
}

/** g = scale g + the given gradient. */
static void addGiven(const Update& u, int64_t row, int64_t rows, int64_t column, int64_t columns, float scale,
                     float* g) {
  for (int64_t i = 0; i < rows; ++i) {
    const float* from = u.gradient + (row + i) * u.p.n + column;
    for (int64_t j = 0; j < columns; ++j) g[i * columns + j] = g[i * columns + j] * scale + from[j];
  }
}

/** g = Σ_f a_f b_fᵀ never leaves the registers. */
static void applyFactorsToPanels(const Update& u, const float* left, const float* right) {
  const UpdateParameters& p = u.p;
  const int64_t down = ceilDivide(p.rows, pieceRows);
  parallelFor(u.call, ceilDivide(p.n, tileColumns) * down, [&](int64_t index, int) {
    const int64_t row = index % down * pieceRows, column = index / down * tileColumns;
    applyToPanel(u, u.byFactors, row, column, minimum(pieceRows, p.rows - row),
                 FactorGradient{left + row, right + column, p.rows, p.n, factorCount(p)});
  });
}

/** g = c v of one rademacher direction, whose signs are drawn for all panels of their block of columns at once. */
static void applySignsToPanels(const Update& u) {
  const UpdateParameters& p = u.p;
  constexpr int64_t rows = 256;
  const int64_t down = ceilDivide(p.rows, rows);
  parallelFor(u.call, ceilDivide(p.n, signColumns) * down, [&](int64_t index, int) {
    alignas(64) uint32_t words[4 * rows + signSlack];
    const int64_t row = index % down * rows, begin = index / down * signColumns, high = minimum(rows, p.rows - row);
    fillSignWords(drawOf(u, u.p.tangent.stream, 0), p.n, row, high, begin / signColumns, words);
    for (int64_t column = begin; column < minimum(p.n, begin + signColumns); column += tileColumns)
      applyToPanel(u, u.bySigns, row, column, high,
                   SignGradient{words + (column - begin) / 32, static_cast<int>(column % 32), u.coefficient[0]});
  });
}

/** A piece is some rows, or a part of some; its gradient is drawn into a panel. */
static void applyDirectional(const Update& u) {
  const UpdateParameters& p = u.p;
  const int64_t columns = minimum(p.n, inPanels(p) ? tileColumns : pieceColumns),
                rows = minimum(pieceFloats / columns / 4 * 4, pieceRows);
  const int64_t across = ceilDivide(p.n, columns), down = ceilDivide(p.rows, rows);
  float *left = static_cast<float*>(u.call.scratch), *right = left + factorCount(p) * p.rows;
  if (factorCount(p) > 0) drawFactors(u, left, right);
  const int64_t mostFactors = p.layout == WeightLayout::planes ? factorCount(p) : fewFactors;
  if (u.gradient == nullptr && inPanels(p) && factorCount(p) > 0 && factorCount(p) <= mostFactors)
    return applyFactorsToPanels(u, left, right);
  if (u.gradient == nullptr && inPanels(p) && p.directions == 1 && p.tangent.kind == TangentKind::rademacher)
    return applySignsToPanels(u);
  parallelFor(u.call, across * down, [&](int64_t index, int) {
    alignas(64) float g[pieceFloats + lanes], other[pieceFloats + lanes];
    // In the order in which they lie.
    const int64_t row = (inPanels(p) ? index % down : index / across) * rows,
                  column = (inPanels(p) ? index / down : index % across) * columns;
    const int64_t high = minimum(rows, p.rows - row), wide = minimum(columns, p.n - column);
    const int64_t offset = inPanels(p) ? panelOffset(p, row, column) : row * p.n + column;
    float scale = 1.0f;
    if (p.tangent.kind == TangentKind::lowRank) {
      const float* parameter = p.layout == WeightLayout::planes ? nullptr : u.parameter + offset;
      addFactors(u, left, right, row, high, column, wide, parameter, inPanels(p) ? wide : p.n, g);
    } else if (p.directions == 1) {
      fillTangentPanel(p.tangent.kind, drawOf(u, p.tangent.stream, 0), p.n, row, high, column, wide, g, wide);
      scale = u.coefficient[0];
    } else {
      for (int64_t i = 0; i < high * wide; i += lanes) store(g + i, Float{});
      for (int64_t k = 0; k < p.directions; ++k)
        addTangent(u, k, static_cast<float>(double{u.coefficient[k]} / p.directions), row, high, column, wide, other,
                   g);
    }
    if (u.gradient != nullptr) {
      addGiven(u, row, high, column, wide, scale, g);
      scale = 1.0f;
    }
    if (inPanels(p))
      applyToPanel(u, row, column, high, g, scale);
    else if (wide == p.n)
      u.apply(offset, g, high * wide, scale, contiguousAhead);
    else
      for (int64_t i = 0; i < high; ++i) u.apply(offset + i * p.n, g + i * wide, wide, scale, contiguousAhead);
  });
}

/**
 * The tile of gradient that a task multiplies out: whole rows stream best, but all threads together hold at most
 * about 2 MB.
 */
template <class Format>
struct ProductTile {
  int64_t rows, columns;

  explicit ProductTile(int threads) : rows(roundUp(threads <= 8 ? 96 : 56, Format::blockRows)), columns(128) {
    if (threads <= 8) columns = threads <= 3 ? 1024 : 256;
  }
  int64_t floats() const { return Format::floats(rows, panelDepth) + panelFloats + rows * columns; }
};

/**
 * Of a parameter in panels: δ of as many panels as may be packed at once, `panels`, is packed once for all rows, and as many rows of xᵀ,
 * a `chunk`, once for these panels. A group of rows of a panel is multiplied out and applied at a time, 12 KB of gradient.
 */
template <class Format>
struct PanelProduct {
  // δ of 1024 columns and 1024 examples, which lies in an L3 cache.
  static constexpr int64_t mostFloats = int64_t{1} << 20;
  int64_t inner, group, chunk, pieces, panelSize, panels;

  explicit PanelProduct(const UpdateParameters& p)
      : inner(p.inner),
        group(roundUp(96, Format::blockRows)),
        pieces(ceilDivide(inner, panelDepth)),
        panelSize(pieces > 1 ? pieces * panelFloats : roundUp(inner, 64) * tileColumns) {
    const int64_t groups = Format::packedFloats / maximum(Format::floats(group, inner), 1);
    chunk = minimum(maximum(groups, 1), ceilDivide(p.rows, group)) * group;
    panels = minimum(maximum(mostFloats / maximum(panelSize, 1), 1), ceilDivide(p.n, tileColumns));
  }
  int64_t packedFloats() const { return roundUp(chunk / group * Format::floats(group, inner), 16); }
  int64_t deltaFloats() const { return panels * panelSize; }
  int64_t threadFloats() const { return group * tileColumns; }
  int64_t depth(int64_t piece) const { return minimum(panelDepth, inner - piece * panelDepth); }
};

/** Whether g = xᵀ δ is applied from tiles (update_tiles.h). */
template <class Format>
static bool onTiles(const UpdateParameters& p) {
  return Format::apart && p.gradient == GradientKind::product && p.layout == WeightLayout::planes && p.inner > 0;
}

template <class Format>
static size_t updateScratch(const void* parameters, int threads) {
  const UpdateParameters& p = *static_cast<const UpdateParameters*>(parameters);
  if (p.gradient == GradientKind::directional) return static_cast<size_t>(4 * factorCount(p) * (p.rows + p.n));
  if (p.gradient != GradientKind::product) return 0;
  if (!inPanels(p)) return static_cast<size_t>(4 * threads * ProductTile<Format>(threads).floats());
#if PUSHFORWARD_LANES == 16
  if (onTiles<Format>(p)) {
    const TileProduct product(p);
    return static_cast<size_t>(4 * (product.packedFloats() + threads * product.threadFloats()));
  }
#endif
  const PanelProduct<Format> product(p);
  return static_cast<size_t>(4 * (product.packedFloats() + product.deltaFloats() + threads * product.threadFloats()));
}

/** Packs a group of rows of xᵀ, one piece of depth after the other. */
template <class Format>
static void packGroup(const Update& u, int64_t row, int64_t rows, float* packed) {
  const UpdateParameters& p = u.p;
  for (int64_t begin = 0; begin < p.inner; begin += panelDepth)
    Format::packRows({u.x + begin * p.rows + row, 1, p.rows}, rows, 0, Format::blocks(rows),
                     minimum(panelDepth, p.inner - begin), packed + Format::floats(rows, begin));
}

/** Packs the δ of the panel at `column`, one piece of depth after the other. */
template <class Format>
static void packDelta(const Update& u, const PanelProduct<Format>& product, int64_t column, float* to) {
  const UpdateParameters& p = u.p;
  for (int64_t i = 0; i < product.pieces; ++i)
    Format::panelFrom({u.delta + i * panelDepth * p.n + column, p.n, 1}, minimum(tileColumns, p.n - column),
                      product.depth(i), false, to + i * panelFloats);
}

/**
 * Multiplies out and applies rows [first, last) of the panel at `column`, whose groups are packed one after the other. Meanwhile come
 * nearer: what a group will be added to, and the δ of the next panel, unless this is the `last` one.
 */
template <class Format>
static void applyProductToPanel(const Update& u, const PanelProduct<Format>& product, const float* packed,
                                const float* delta, int64_t first, int64_t last, int64_t column, bool lastPanel,
                                float* g) {
  const UpdateParameters& p = u.p;
  const int64_t width = minimum(tileColumns, p.n - column);
  for (int64_t i = 0; p.inner == 0 && i < product.group * width; ++i) g[i] = 0.0f;
  const int64_t others = product.pieces - 1, calls = ceilDivide(last - first, product.group) * others;
  const auto ahead = [&](int64_t row, int64_t rows, int64_t piece) -> NextPanel {
    if (p.layout != WeightLayout::panels) return {};
    if (piece == 0) return {{u.parameter + panelOffset(p, row, column), 0, rows * width, 1}};
    if (lastPanel) return {};
    const int64_t blocks = Format::blocks(rows), call = (row - first) / product.group * others + piece - 1;
    return {{delta + product.panelSize, 0, product.panelSize, 1}, call * blocks, calls * blocks};
  };
  Format::begin();
  for (int64_t row = first; row < last; row += product.group, packed += Format::floats(product.group, p.inner)) {
    const int64_t rows = minimum(product.group, last - row);
    for (int64_t i = 0; i < product.pieces; ++i)
      Format::multiply(packed + Format::floats(rows, i * panelDepth), rows, 0, Format::blocks(rows), product.depth(i),
                       {delta + i * panelFloats, tileColumns}, width, g, width, i > 0, ahead(row, rows, i));
    applyToPanel(u, row, column, rows, g, 1.0f);
  }
  Format::end();
}

template <class Format>
static void applyProductToPanels(const Update& u) {
  const UpdateParameters& p = u.p;
  const PanelProduct<Format> product(p);
  float *packed = static_cast<float*>(u.call.scratch), *delta = packed + product.packedFloats(),
        *scratch = delta + product.deltaFloats();
  const int64_t all = ceilDivide(p.n, tileColumns);
  for (int64_t begin = 0; begin < all; begin += product.panels) {
    const int64_t panels = minimum(product.panels, all - begin);
    parallelFor(u.call, panels, [&](int64_t panel, int) {
      packDelta(u, product, (begin + panel) * tileColumns, delta + panel * product.panelSize);
    });
    for (int64_t first = 0; first < p.rows; first += product.chunk) {
      const int64_t last = minimum(p.rows, first + product.chunk);
      parallelFor(u.call, ceilDivide(last - first, product.group), [&](int64_t index, int) {
        const int64_t row = first + index * product.group;
        packGroup<Format>(u, row, minimum(product.group, last - row),
                          packed + index * Format::floats(product.group, p.inner));
      });
      parallelFor(u.call, panels, [&](int64_t panel, int thread) {
        applyProductToPanel(u, product, packed, delta + panel * product.panelSize, first, last,
                            (begin + panel) * tileColumns, panel + 1 == panels,
                            scratch + thread * product.threadFloats());
      });
    }
  }
}

/** A task multiplies out a tile of g = xᵀ δ and applies it. */
template <class Format>
static void applyProduct(const Update& u) {
  const UpdateParameters& p = u.p;
  if (inPanels(p)) return applyProductToPanels<Format>(u);
  const ProductTile<Format> tile(u.call.parallel == nullptr ? 1 : u.call.parallel->threads);
  const int64_t across = ceilDivide(p.n, tile.columns);
  parallelFor(u.call, across * ceilDivide(p.rows, tile.rows), [&](int64_t index, int thread) {
    float* packed = static_cast<float*>(u.call.scratch) + thread * tile.floats();
    float *panel = packed + Format::floats(tile.rows, panelDepth), *g = panel + panelFloats;
    const int64_t row = index / across * tile.rows, column = index % across * tile.columns;
    const int64_t rows = minimum(tile.rows, p.rows - row), columns = minimum(tile.columns, p.n - column);
    if (p.inner == 0)
      for (int64_t i = 0; i < rows * tile.columns; ++i) g[i] = 0.0f;
    Format::begin();
    for (int64_t begin = 0; begin < p.inner; begin += panelDepth) {
      const int64_t depth = minimum(panelDepth, p.inner - begin);
      Format::packRows({u.x + begin * p.rows + row, 1, p.rows}, rows, 0, Format::blocks(rows), depth, packed);
      for (int64_t j = 0; j < columns; j += tileColumns) {
        const int64_t width = minimum(tileColumns, columns - j);
        const float* from = u.delta + begin * p.n + column + j;
        Format::multiply(packed, rows, 0, Format::blocks(rows), depth,
                         Format::panelFrom({from, p.n, 1}, width, depth, false, panel), width, g + j, tile.columns,
                         begin > 0, {from + tileColumns, p.n, minimum(tileColumns, columns - j - width)});
      }
    }
    Format::end();
    for (int64_t i = 0; i < rows; ++i)
      u.apply((row + i) * p.n + column, g + i * tile.columns, columns, 1.0f,
              columns == p.n ? contiguousAhead : 4 * p.n);
  });
}

template <Rule rule, class Gradient>
static UpdatePanel<Gradient> updateBy(bool bare, bool planes) {
  if (planes) return bare ? updatePairs<rule, false, Gradient> : updatePairs<rule, true, Gradient>;
  return bare ? updateRows<rule, false, Gradient> : updateRows<rule, true, Gradient>;
}

template <Rule rule, class Format>
static void update(const KernelCall& call) {
  const UpdateParameters& p = *static_cast<const UpdateParameters*>(call.parameters);
  if (p.rows <= 0 || p.n <= 0 || !allFinite(call, p)) return;
  const auto at = [&](int i) { return static_cast<float*>(call.operands[i]); };
  const bool bare = rule == Rule::sgd && at(1) == nullptr, planes = p.layout == WeightLayout::planes;
  const Coefficients c = coefficientsOf(p, *call.state, rule);
#if PUSHFORWARD_LANES == 16
  if constexpr (Format::apart)
    if (onTiles<Format>(p))
      return bare ? applyTiles<AmxTiles, rule, false>(call, c) : applyTiles<AmxTiles, rule, true>(call, c);
#endif
  const Update u = {p,
                    call,
                    c,
                    at(0),
                    at(1),
                    at(2),
                    at(3),
                    at(4),
                    at(5),
                    at(6),
                    bare ? updatePiece<rule, false> : updatePiece<rule, true>,
                    updateBy<rule, PanelGradient>(bare, planes),
                    updateBy<rule, SignGradient>(bare, planes),
                    updateBy<rule, FactorGradient>(bare, planes)};
  if (p.gradient == GradientKind::given)
    applyGiven(u);
  else if (p.gradient == GradientKind::product)
    applyProduct<Format>(u);
  else
    applyDirectional(u);
}

template <class Format>
static void sgd(const KernelCall& call) {
  update<Rule::sgd, Format>(call);
}
template <class Format>
static void adam(const KernelCall& call) {
  update<Rule::adam, Format>(call);
}
template <class Format>
static void adamW(const KernelCall& call) {
  update<Rule::adamW, Format>(call);
}

PUSHFORWARD_CPU_KERNEL(sgd, sgd<FloatFormat>, updateScratch<FloatFormat>)
PUSHFORWARD_CPU_KERNEL(adam, adam<FloatFormat>, updateScratch<FloatFormat>)
PUSHFORWARD_CPU_KERNEL(adamW, adamW<FloatFormat>, updateScratch<FloatFormat>)
PUSHFORWARD_BF16_KERNEL(sgd_bf16, sgd, updateScratch)
PUSHFORWARD_BF16_KERNEL(adam_bf16, adam, updateScratch)
PUSHFORWARD_BF16_KERNEL(adamW_bf16, adamW, updateScratch)

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
