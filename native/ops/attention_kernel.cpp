// attention_primal, attention_pushforward and attention_pullback: a tile of queries at a time, whose rows of P (and of ṡ or s̄) are all of the
// n·m elements that ever exist. Four or five products of a tile stand between packed panels, as in matmul. A task is a tile; of the
// pullback it is all or half of one index of the batch, whose k̄ and v̄ take the tiles' shares in order. The shape alone says which, so
// that threads change no bit.
#include "ops/attention.h"

#include "cpu/gemm/product.h"
#include "ops/exp_terms.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

constexpr int64_t packedRows = 128;

/**
 * Queries of a tile: a buffer [tile, m] stays within 256 KB, a share of L2, up to 4096 keys. Keys are packed once a tile; where causal, a
 * tile multiplies half of its square in vain.
 */
int64_t tileOf(const AttentionParameters& p) {
  const int64_t most = p.offset < p.m ? 64 : 128;
  return maximum(1, minimum(p.n, minimum(most, maximum(16, 65536 / p.m))));
}

int64_t scoreStride(const AttentionParameters& p) { return roundUp(p.m, 16); }

int64_t packedFloats(const AttentionParameters& p) {
  const int64_t rows = minimum(packedRows, maximum(tileOf(p), p.m));
  return rows * minimum(panelDepth, maximum(maximum(p.d, p.e), maximum(p.m, tileOf(p))));
}

/** Floats of a thread: packed rows, a panel, and `buffers` of [tile, m]. */
int64_t spaceFloats(const AttentionParameters& p, int buffers) {
  return roundUp(packedFloats(p), 16) + panelFloats + buffers * tileOf(p) * scoreStride(p);
}

template <int buffers>
size_t scratchOf(const void* parameters, int threads) {
  const auto& p = *static_cast<const AttentionParameters*>(parameters);
  return sizeof(float) * static_cast<size_t>(threads) * static_cast<size_t>(spaceFloats(p, buffers));
}

/** The pullback cuts few batches in two, for two threads; each further piece would cost another k̄ and v̄. */
int64_t piecesOf(const AttentionParameters& p) { return p.batch < 4 && p.n > tileOf(p) ? 2 : 1; }

/** k̄ and v̄ of the second pieces. */
int64_t partialFloats(const AttentionParameters& p) {
  return piecesOf(p) == 1 ? 0 : roundUp(p.batch * p.m * (p.d + p.e), 16);
}

size_t pullbackScratch(const void* parameters, int threads) {
  const auto& p = *static_cast<const AttentionParameters*>(parameters);
  return sizeof(float) * static_cast<size_t>(partialFloats(p)) + scratchOf<2>(parameters, threads);
}

/** What a thread works in. `scores` is P, `change` ṡ or s̄: rows `stride` apart. */
struct Space {
  float *packed, *panel, *scores, *change;
  int64_t stride;

  Space(float* scratch, const AttentionParameters& p, int buffers, int thread)
      : packed(scratch + thread * spaceFloats(p, buffers)),
        panel(packed + roundUp(packedFloats(p), 16)),
        scores(panel + panelFloats),
        change(scores + tileOf(p) * scoreStride(p)),
        stride(scoreStride(p)) {}
};

/** c [rows, columns] (+)= A B over k. */
void product(const Space& space, Matrix a, Matrix b, int64_t rows, int64_t columns, int64_t k, float* c,
             int64_t cStride, bool accumulate) {
  if (rows == 1 && !accumulate) return multiplyRow(a.data, a.columnStride, b, columns, k, c);
  for (int64_t row = 0; row < rows; row += packedRows) {
    const int64_t count = minimum(packedRows, rows - row);
    for (int64_t begin = 0; begin < k; begin += panelDepth) {
      const int64_t depth = minimum(panelDepth, k - begin);
      packRows(a.at(row, begin), count, 0, blockCount(count), depth, space.packed);
      for (int64_t j = 0; j < columns; j += tileColumns) {
        const int64_t width = minimum(tileColumns, columns - j);
        const Matrix right = b.at(begin, j);
        const bool direct = count <= tileRows && b.columnStride == 1 && width == tileColumns;
        if (!direct) packColumns(right, width, depth, space.panel);
        multiplyPanel(space.packed, count, 0, blockCount(count), depth,
                      direct ? Panel{right.data, b.rowStride} : Panel{space.panel, tileColumns}, width,
                      c + row * cStride + j, cStride, accumulate || begin > 0, {});
      }
    }
  }
}

void zero(float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = 0.0f;
}

/** x[i] = f(x[i], i), in vectors; lanes beyond `count` are dropped. */
template <class F>
PUSHFORWARD_INLINE void replaceRun(float* x, int64_t count, const F& f) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(x + i, f(load(x + i), i, [](const float* p) { return load(p); }));
  const int rest = static_cast<int>(count - i);
  if (rest)
    storePartial(x + i, f(loadPartial(x + i, rest), i, [rest](const float* p) { return loadPartial(p, rest); }), rest);
}

/** y += x. */
void addRun(const float* x, int64_t count, float* y) {
  replaceRun(y, count, [&](Float sum, int64_t i, auto get) { return sum + get(x + i); });
}

struct ProductTerms {
  const float* x;
  const float* z;
  Float whole(const float* p, int) const { return load(p) * load(z + (p - x)); }
  Float part(const float* p, int n, int) const { return loadPartial(p, n) * loadPartial(z + (p - x), n); }
};

/** Queries [first, first + rows) of one index of the batch, of which none sees a key from `width` on. */
struct Tile {
  const AttentionParameters& p;
  int64_t batch, first, rows, width;

  Tile(const AttentionParameters& p, int64_t batch, int64_t first)
      : p(p), batch(batch), first(first), rows(minimum(tileOf(p), p.n - first)), width(seen(rows - 1)) {}

  int64_t seen(int64_t row) const { return minimum(p.m, first + row + p.offset + 1); }
  /** This tile's rows of an operand [.., batch, n, columns], `direction` of it. */
  template <class T>
  T* queries(T* x, int64_t columns, int64_t direction = 0) const {
    return x + ((direction * p.batch + batch) * p.n + first) * columns;
  }
  /** This batch index's rows of an operand [.., batch, m, columns]. */
  template <class T>
  T* keys(T* x, int64_t columns, int64_t direction = 0) const {
    return x + (direction * p.batch + batch) * p.m * columns;
  }

  /** to (+)= x [rows, size] keysᵀ, for the keys that the tile sees. */
  void scores(const Space& space, const float* x, const float* keys, int64_t size, float* to, bool accumulate) const {
    if (size == 0) return zero(to, rows * space.stride);  // values without elements
    product(space, {x, size, 1}, {keys, 1, size}, rows, width, size, to, space.stride, accumulate);
  }
  /** to [rows, size] (+)= weights values. */
  void mix(const Space& space, const float* weights, const float* values, int64_t size, float* to,
           bool accumulate) const {
    if (size > 0)
      product(space, {weights, space.stride, 1}, {values, size, 1}, rows, size, width, to, size, accumulate);
  }
  /** to [width, size] += weightsᵀ x. */
  void share(const Space& space, const float* weights, const float* x, int64_t size, float* to) const {
    if (size > 0) product(space, {weights, 1, space.stride}, {x, size, 1}, width, size, rows, to, size, true);
  }

  /** space.scores = P. */
  void probabilities(const Space& space, const float* q, const float* k, const float* mask) const {
    scores(space, queries(q, p.d), keys(k, p.d), p.d, space.scores, false);
    const float scale = static_cast<float>(p.scale);
    for (int64_t r = 0; r < rows; ++r) {
      float* row = space.scores + r * space.stride;
      const int64_t count = seen(r);
      if (mask) {
        const float* own = mask + (first + r) * p.m;
        replaceRun(row, count, [&](Float s, int64_t i, auto get) { return s * scale + get(own + i); });
      } else {
        replaceRun(row, count, [&](Float s, int64_t, auto) { return s * scale; });
      }
      const float top = maxOfRun(row, count);
      const float factor = 1.0f / sumOfRun(row, count, StoredExpTerms<1>{{broadcast(top)}, row, row});
      replaceRun(row, count, [&](Float e, int64_t, auto) { return e * factor; });
      zero(row + count, width - count);
    }
  }

  /** space.change z → scale P ⊙ (z − Σ P ⊙ z). */
  void project(const Space& space) const {
    const float scale = static_cast<float>(p.scale);
    for (int64_t r = 0; r < rows; ++r) {
      const float* weights = space.scores + r * space.stride;
      float* row = space.change + r * space.stride;
      const int64_t count = seen(r);
      const float along = sumOfRun(weights, count, ProductTerms{weights, row});
      replaceRun(row, count, [&](Float z, int64_t i, auto get) { return (z - along) * get(weights + i) * scale; });
      zero(row + count, width - count);
    }
  }
};

/** The first query of the second piece: tiles before it see half of what all of them see. */
int64_t middleOf(const AttentionParameters& p) {
  int64_t seen = 0, middle = 0;
  for (int64_t first = 0; first < p.n; first += tileOf(p)) seen += Tile(p, 0, first).width;
  for (int64_t half = seen / 2; half > 0; middle += tileOf(p)) half -= Tile(p, 0, middle).width;
  return minimum(middle, p.n);
}

const AttentionParameters& parametersOf(const KernelCall& call) {
  return *static_cast<const AttentionParameters*>(call.parameters);
}

/** f(tile, thread) for every tile; `products` of a tile's rows with all keys say how much one costs. */
template <class F>
void forEachTile(const KernelCall& call, double products, const F& f) {
  const AttentionParameters& p = parametersOf(call);
  const int64_t size = tileOf(p), tiles = ceilDivide(p.n, size), total = p.batch * tiles;
  // A task shorter than 20 µs is not worth waking a thread for.
  const double work = products * static_cast<double>(size * p.m) * static_cast<double>(p.d + p.e + 16);
  const int64_t group = work >= 1e6 ? 1 : static_cast<int64_t>(1e6 / (work + 1)) + 1;
  parallelFor(call, ceilDivide(total, group), [&](int64_t task, int thread) {
    for (int64_t i = task * group; i < minimum(total, (task + 1) * group); ++i)
      f(Tile(p, i / tiles, i % tiles * size), thread);
  });
}

void attention(const KernelCall& call) {
  const AttentionParameters& p = parametersOf(call);
  auto in = [&](int i) { return static_cast<const float*>(call.operands[i]); };
  const float *q = in(0), *k = in(1), *v = in(2), *mask = in(3);
  float* y = static_cast<float*>(call.operands[4]);
  forEachTile(call, 1, [&](const Tile& tile, int thread) {
    const Space space(static_cast<float*>(call.scratch), p, 1, thread);
    tile.probabilities(space, q, k, mask);
    tile.mix(space, space.scores, tile.keys(v, p.e), p.e, tile.queries(y, p.e), false);
  });
}

void attentionPushforward(const KernelCall& call) {
  const AttentionParameters& p = parametersOf(call);
  auto in = [&](int i) { return static_cast<const float*>(call.operands[i]); };
  const float *q = in(0), *k = in(1), *v = in(2), *mask = in(3), *qDot = in(4), *kDot = in(5), *vDot = in(6);
  float *y = static_cast<float*>(call.operands[7]), *yDot = static_cast<float*>(call.operands[8]);
  forEachTile(call, 1 + 2.0 * p.directions, [&](const Tile& tile, int thread) {
    const Space space(static_cast<float*>(call.scratch), p, 2, thread);
    const float *ownK = tile.keys(k, p.d), *ownV = tile.keys(v, p.e);
    tile.probabilities(space, q, k, mask);
    tile.mix(space, space.scores, ownV, p.e, tile.queries(y, p.e), false);
    for (int64_t direction = 0; direction < p.directions; ++direction) {
      float* to = tile.queries(yDot, p.e, direction);
      if (qDot) tile.scores(space, tile.queries(qDot, p.d, direction), ownK, p.d, space.change, false);
      if (kDot)
        tile.scores(space, tile.queries(q, p.d), tile.keys(kDot, p.d, direction), p.d, space.change, qDot != nullptr);
      const bool moves = qDot || kDot;
      if (moves) {
        tile.project(space);
        tile.mix(space, space.change, ownV, p.e, to, false);
      }
      if (vDot) tile.mix(space, space.scores, tile.keys(vDot, p.e, direction), p.e, to, moves);
      if (!moves && !vDot) zero(to, tile.rows * p.e);
    }
  });
}

void attentionPullback(const KernelCall& call) {
  const AttentionParameters& p = parametersOf(call);
  auto in = [&](int i) { return static_cast<const float*>(call.operands[i]); };
  const float *q = in(0), *k = in(1), *v = in(2), *yBar = in(3), *mask = in(4);
  auto out = [&](int i) { return static_cast<float*>(call.operands[i]); };
  float *qBar = out(5), *kBar = out(6), *vBar = out(7);
  const int64_t pieces = piecesOf(p), middle = pieces == 1 ? p.n : middleOf(p), total = p.batch * pieces;
  float* kSecond = static_cast<float*>(call.scratch);
  float *vSecond = kSecond + p.batch * p.m * p.d, *spaces = kSecond + partialFloats(p);
  const double work = 2.5 * static_cast<double>(p.n * p.m) * static_cast<double>(p.d + p.e + 16);
  const int64_t group = work >= 1e6 ? 1 : static_cast<int64_t>(1e6 / (work + 1)) + 1;
  parallelFor(call, ceilDivide(total, group), [&](int64_t task, int thread) {
    const Space space(spaces, p, 2, thread);
    for (int64_t i = task * group; i < minimum(total, (task + 1) * group); ++i) {
      const int64_t b = i / pieces;
      const bool second = i % pieces == 1;
      float* toK = (second ? kSecond : kBar) + b * p.m * p.d;
      float* toV = (second ? vSecond : vBar) + b * p.m * p.e;
      zero(toK, p.m * p.d);
      zero(toV, p.m * p.e);
      for (int64_t first = second ? middle : 0; first < (second ? p.n : middle); first += tileOf(p)) {
        const Tile tile(p, b, first);
        const float* bar = tile.queries(yBar, p.e);
        tile.probabilities(space, q, k, mask);
        tile.share(space, space.scores, bar, p.e, toV);
        tile.scores(space, bar, tile.keys(v, p.e), p.e, space.change, false);
        tile.project(space);
        tile.mix(space, space.change, tile.keys(k, p.d), p.d, tile.queries(qBar, p.d), false);
        tile.share(space, space.change, tile.queries(q, p.d), p.d, toK);
      }
    }
  });
  if (pieces == 1) return;
  addRun(kSecond, p.batch * p.m * p.d, kBar);
  addRun(vSecond, p.batch * p.m * p.e, vBar);
}

PUSHFORWARD_CPU_KERNEL(attention_primal, attention, scratchOf<1>)
PUSHFORWARD_CPU_KERNEL(attention_pushforward, attentionPushforward, scratchOf<2>)
PUSHFORWARD_CPU_KERNEL(attention_pullback, attentionPullback, pullbackScratch)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
