// attention: tiles of scores s = scale q kᵀ + mask, 64 × 64, of which none goes to memory. The softmax runs along: sums of exp(s − max s) v
// shrink when a tile of keys raises the maximum. The pullback first finds each row's maximum and sums, then P is exp(s − max s)/Σ at once.
#include "cuda/device.cuh"
#include "cuda/tile_product.cuh"
#include "ops/attention_cuda.h"

namespace pushforward::cuda {

namespace attention {

constexpr int slices = tileColumns / tileDepth;
constexpr float minusInfinity = -__builtin_inff();

/** A tile of weights as the left operand of a product over its columns: [column][row]. */
struct Weights {
  OperandTile slice[slices];

  __device__ __forceinline__ void store(const TileSums& tile) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int column = TileSums::column() + j;
      *reinterpret_cast<float4*>(&slice[column / tileDepth].at[column % tileDepth][TileSums::row()]) =
          make_float4(tile.at[0][j], tile.at[1][j], tile.at[2][j], tile.at[3][j]);
    }
  }

  /** What this thread stored: P waits here, and not in registers, until what it is multiplied by is there. */
  __device__ __forceinline__ void load(TileSums& tile) const {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int column = TileSums::column() + j;
      const float4 rows =
          *reinterpret_cast<const float4*>(&slice[column / tileDepth].at[column % tileDepth][TileSums::row()]);
      tile.at[0][j] = rows.x, tile.at[1][j] = rows.y, tile.at[2][j] = rows.z, tile.at[3][j] = rows.w;
    }
  }
};

/** add(s) for each slice of depth of a tile of weights, when slice s of `right`, from `begin` on and below `end`, stands in `tile`. */
template <class Add>
__device__ __forceinline__ void addSlices(const ColumnsOperand& right, int64_t begin, int64_t end, OperandTile& tile,
                                          const Add& add) {
#pragma unroll 1
  for (int s = 0; s < slices && begin + s * tileDepth < end; ++s) {
    float held[4];
    right.fetch(begin + s * tileDepth, end, held);
    __syncthreads();
    right.place(held, tile);
    __syncthreads();
    add(s);
  }
}

/** Over the 16 threads that share rows of a tile. */
__device__ __forceinline__ float rowSum(float x) {
#pragma unroll
  for (int offset = 8; offset > 0; offset /= 2) x += __shfl_xor_sync(allLanes, x, offset);
  return x;
}
__device__ __forceinline__ float rowMax(float x) {
#pragma unroll
  for (int offset = 8; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(allLanes, x, offset));
  return x;
}

__device__ __forceinline__ bool sees(const AttentionParameters& p, int64_t query, int64_t key) {
  return query < p.n && key < p.m && key <= query + p.offset;
}

/** s from a product of q and k, of a key that is seen. */
__device__ __forceinline__ float scoreOf(const AttentionParameters& p, const float* mask, int64_t query, int64_t key,
                                         float product) {
  return fmaf(static_cast<float>(p.scale), product, mask != nullptr ? mask[query * p.m + key] : 0.0f);
}

/** Keys that some query below `end` sees. */
__device__ __forceinline__ int64_t keysSeen(const AttentionParameters& p, int64_t end) {
  const int64_t last = (end < p.n ? end : p.n) + p.offset;
  return last < p.m ? last : p.m;
}

/** The first query that sees a key. */
__device__ __forceinline__ int64_t firstSeeing(const AttentionParameters& p, int64_t key) {
  return key > p.offset ? key - p.offset : 0;
}

/** Of each of a thread's rows: the maximum so far, and sums of exp(s − maximum), and of that times z. */
struct RunningSoftmax {
  float top[4], total[4], along[4];

  __device__ __forceinline__ RunningSoftmax() {
#pragma unroll
    for (int i = 0; i < 4; ++i) top[i] = minusInfinity, total[i] = along[i] = 0.0f;
  }

  /** Products of queries from `first` on and keys from `key` on become exp(s − maximum); shrink[i] is what sums so far are multiplied by. */
  __device__ __forceinline__ void take(const AttentionParameters& p, const float* mask, int64_t first, int64_t key,
                                       TileSums& s, float shrink[4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float highest = minusInfinity, sum = 0.0f;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int64_t query = first + TileSums::row() + i, of = key + TileSums::column() + j;
        s.at[i][j] = sees(p, query, of) ? scoreOf(p, mask, query, of, s.at[i][j]) : minusInfinity;
        highest = fmaxf(highest, s.at[i][j]);
      }
      highest = fmaxf(top[i], rowMax(highest));
      const float base = highest == minusInfinity ? 0.0f : highest;  // no −∞ − −∞
#pragma unroll
      for (int j = 0; j < 4; ++j) sum += s.at[i][j] = expf(s.at[i][j] - base);
      shrink[i] = expf(top[i] - base);
      top[i] = highest;
      total[i] = fmaf(total[i], shrink[i], rowSum(sum));
      along[i] *= shrink[i];
    }
  }

  /** max s and Σ exp(s − max s) of queries from `first` on: to[query], and `count` further on. */
  __device__ __forceinline__ void store(float* to, int64_t count, int64_t first, int64_t queries) const {
    if (threadIdx.x % 16 != 0) return;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int64_t query = first + TileSums::row() + i;
      if (query >= queries) continue;
      to[query] = top[i];
      to[count + query] = total[i];
    }
  }
};

struct AttentionTiles {
  ProductTiles tiles;
  Weights weights;
};

__device__ __forceinline__ void scaleRows(TileSums& sums, const float factor[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) sums.at[i][j] *= factor[i];
}

/** What a block works on: `chunk` counts tiles of columns of the result, `tile` of queries or keys, `batch` what is left. */
struct Share {
  int64_t batch, tile, chunk;

  __device__ __forceinline__ Share(int64_t tiles, int64_t chunks) {
    const int64_t rest = blockIdx.x / chunks;
    chunk = blockIdx.x - rest * chunks;
    batch = rest / tiles;
    tile = rest - batch * tiles;
  }
};

/** P of query and key from their product, when a query's maximum and sum are known; 0, whatever stands there, where a key is not seen. */
struct Probabilities {
  const AttentionParameters& p;
  const float *mask, *top, *total;  // those of query 0

  __device__ __forceinline__ float operator()(int64_t query, int64_t key, float product) const {
    if (!sees(p, query, key)) return 0.0f;
    return expf(scoreOf(p, mask, query, key, product) - top[query]) / total[query];
  }
};

/** Products of queries from `first` on and keys from `key` on become P. */
__device__ __forceinline__ void toProbabilities(const Probabilities& probability, int64_t first, int64_t key,
                                                TileSums& s) {
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j)
      s.at[i][j] = probability(first + TileSums::row() + i, key + TileSums::column() + j, s.at[i][j]);
}
/** The same of a transposed tile. */
__device__ __forceinline__ void toProbabilitiesTransposed(const Probabilities& probability, int64_t first, int64_t key,
                                                          TileSums& s) {
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j)
      s.at[i][j] = probability(first + TileSums::column() + j, key + TileSums::row() + i, s.at[i][j]);
}

/** Of rows, whose maximum and sum are known, of one index of the batch: the operands of its products. */
struct Backward {
  const AttentionParameters& p;
  const float *q, *k, *v, *yBar, *along;
  Probabilities probability;

  __device__ __forceinline__ Backward(const AttentionPullbackArguments& a, int64_t batch)
      : p(a.p),
        q(a.q + batch * p.n * p.d),
        k(a.k + batch * p.m * p.d),
        v(a.v + batch * p.m * p.e),
        yBar(a.yBar + batch * p.n * p.e),
        along(a.rows + (2 * p.batch + batch) * p.n),
        probability{p, a.mask, a.rows + batch * p.n, a.rows + (p.batch + batch) * p.n} {}

  /** s̄ = scale P ⊙ (z − Σ P z) of one element; Σ P z may be NaN where the key is not seen. */
  __device__ __forceinline__ float scoreCotangent(int64_t query, float probability, float z) const {
    return probability != 0.0f ? static_cast<float>(p.scale) * probability * (z - along[query]) : 0.0f;
  }
};

}  // namespace attention

extern "C" __global__ void __launch_bounds__(productThreads, productBlocks)
    attention_kernel(const AttentionArguments a) {
  using namespace attention;
  __shared__ AttentionTiles shared;
  const AttentionParameters& p = a.p;
  const Share share(tilesOf(p.n, tileRows), tilesOf(p.e, tileColumns));
  const int64_t first = share.tile * tileRows, column = share.chunk * tileColumns,
                width = keysSeen(p, first + tileRows);
  const float *q = a.q + share.batch * p.n * p.d, *k = a.k + share.batch * p.m * p.d,
              *v = a.v + share.batch * p.m * p.e;
  RunningSoftmax softmax;
  TileSums y;
  y.clear();
#pragma unroll 1
  for (int64_t key = 0; key < width; key += tileColumns) {
    TileSums s;
    s.clear();
    addProduct(shared.tiles, RowsOperand(q, p.d, first, p.n), RowsOperand(k, p.d, key, p.m), 0, p.d, s);
    float shrink[4];
    softmax.take(p, a.mask, first, key, s, shrink);
    scaleRows(y, shrink);
    __syncthreads();
    shared.weights.store(s);
    addSlices(ColumnsOperand(v, p.e, column, p.e), key, width, shared.tiles.b,
              [&](int slice) { y.add(shared.weights.slice[slice], shared.tiles.b); });
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) y.at[i][j] /= softmax.total[i];
  y.store(a.y + share.batch * p.n * p.e, first, p.n, column, p.e);
  if (a.rows != nullptr && share.chunk == 0) softmax.store(a.rows + share.batch * p.n, p.batch * p.n, first, p.n);
}

/** ẏ = Σ_j P (scale ṡ) v + P v̇ − (Σ P scale ṡ) y, with ṡ = q̇ kᵀ + q k̇ᵀ. */
extern "C" __global__ void __launch_bounds__(productThreads, productBlocks)
    attention_tangent_kernel(const AttentionArguments a) {
  using namespace attention;
  __shared__ AttentionTiles shared;
  const AttentionParameters& p = a.p;
  const Share share(tilesOf(p.n, tileRows), tilesOf(p.e, tileColumns));
  const int64_t first = share.tile * tileRows, column = share.chunk * tileColumns,
                width = keysSeen(p, first + tileRows);
  const int64_t batch = share.batch % p.batch;  // share.batch counts directions too
  const float *q = a.q + batch * p.n * p.d, *k = a.k + batch * p.m * p.d;
  const Probabilities probability{p, a.mask, a.rows + batch * p.n, a.rows + (p.batch + batch) * p.n};
  TileSums yDot;
  yDot.clear();
  float along[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll 1
  for (int64_t key = 0; key < width; key += tileColumns) {
    TileSums probabilities, sDot;
    probabilities.clear();
    addProduct(shared.tiles, RowsOperand(q, p.d, first, p.n), RowsOperand(k, p.d, key, p.m), 0, p.d, probabilities);
    toProbabilities(probability, first, key, probabilities);
    __syncthreads();
    shared.weights.store(probabilities);
    if (a.vDot != nullptr)
      addSlices(ColumnsOperand(a.vDot + share.batch * p.m * p.e, p.e, column, p.e), key, width, shared.tiles.b,
                [&](int slice) { yDot.add(shared.weights.slice[slice], shared.tiles.b); });
    sDot.clear();
    if (a.qDot != nullptr)
      addProduct(shared.tiles, RowsOperand(a.qDot + share.batch * p.n * p.d, p.d, first, p.n),
                 RowsOperand(k, p.d, key, p.m), 0, p.d, sDot);
    if (a.kDot != nullptr)
      addProduct(shared.tiles, RowsOperand(q, p.d, first, p.n),
                 RowsOperand(a.kDot + share.batch * p.m * p.d, p.d, key, p.m), 0, p.d, sDot);
    shared.weights.load(probabilities);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float sum = 0.0f;
#pragma unroll
      for (int j = 0; j < 4; ++j) sum += sDot.at[i][j] *= static_cast<float>(p.scale) * probabilities.at[i][j];
      along[i] += rowSum(sum);
    }
    __syncthreads();
    shared.weights.store(sDot);
    addSlices(ColumnsOperand(a.v + batch * p.m * p.e, p.e, column, p.e), key, width, shared.tiles.b,
              [&](int slice) { yDot.add(shared.weights.slice[slice], shared.tiles.b); });
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int64_t row = first + TileSums::row() + i, at = column + TileSums::column() + j;
      if (row < p.n && at < p.e) yDot.at[i][j] = fmaf(-along[i], a.y[(batch * p.n + row) * p.e + at], yDot.at[i][j]);
    }
  yDot.store(a.yDot + share.batch * p.n * p.e, first, p.n, column, p.e);
}

extern "C" __global__ void __launch_bounds__(productThreads, productBlocks)
    attention_rows_kernel(const AttentionPullbackArguments a) {
  using namespace attention;
  __shared__ ProductTiles tiles;
  const AttentionParameters& p = a.p;
  const Share share(tilesOf(p.n, tileRows), 1);
  const int64_t first = share.tile * tileRows, width = keysSeen(p, first + tileRows);
  const float *q = a.q + share.batch * p.n * p.d, *k = a.k + share.batch * p.m * p.d,
              *v = a.v + share.batch * p.m * p.e, *yBar = a.yBar + share.batch * p.n * p.e;
  RunningSoftmax softmax;
#pragma unroll 1
  for (int64_t key = 0; key < width; key += tileColumns) {
    TileSums s, z;
    s.clear();
    z.clear();
    addProduct(tiles, RowsOperand(q, p.d, first, p.n), RowsOperand(k, p.d, key, p.m), 0, p.d, s);
    addProduct(tiles, RowsOperand(yBar, p.e, first, p.n), RowsOperand(v, p.e, key, p.m), 0, p.e, z);
    float shrink[4];
    softmax.take(p, a.mask, first, key, s, shrink);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float sum = 0.0f;
#pragma unroll
      for (int j = 0; j < 4; ++j) sum = fmaf(s.at[i][j], z.at[i][j], sum);
      softmax.along[i] += rowSum(sum);
    }
  }
  const int64_t count = p.batch * p.n;
  float* rows = a.rows + share.batch * p.n;
  softmax.store(rows, count, first, p.n);
  if (threadIdx.x % 16 != 0) return;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int64_t query = first + TileSums::row() + i;
    if (query < p.n) rows[2 * count + query] = softmax.along[i] / softmax.total[i];
  }
}

/** q̄ = s̄ k */
extern "C" __global__ void __launch_bounds__(productThreads, productBlocks)
    attention_query_pullback_kernel(const AttentionPullbackArguments a) {
  using namespace attention;
  __shared__ AttentionTiles shared;
  const AttentionParameters& p = a.p;
  const Share share(tilesOf(p.n, tileRows), tilesOf(p.d, tileColumns));
  const int64_t first = share.tile * tileRows, column = share.chunk * tileColumns,
                width = keysSeen(p, first + tileRows);
  const Backward b(a, share.batch);
  TileSums qBar;
  qBar.clear();
#pragma unroll 1
  for (int64_t key = 0; key < width; key += tileColumns) {
    TileSums probabilities, z;
    probabilities.clear();
    addProduct(shared.tiles, RowsOperand(b.q, p.d, first, p.n), RowsOperand(b.k, p.d, key, p.m), 0, p.d, probabilities);
    toProbabilities(b.probability, first, key, probabilities);
    __syncthreads();
    shared.weights.store(probabilities);
    z.clear();
    addProduct(shared.tiles, RowsOperand(b.yBar, p.e, first, p.n), RowsOperand(b.v, p.e, key, p.m), 0, p.e, z);
    shared.weights.load(probabilities);
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j)
        z.at[i][j] = b.scoreCotangent(first + TileSums::row() + i, probabilities.at[i][j], z.at[i][j]);
    shared.weights.store(z);
    addSlices(ColumnsOperand(b.k, p.d, column, p.d), key, width, shared.tiles.b,
              [&](int slice) { qBar.add(shared.weights.slice[slice], shared.tiles.b); });
  }
  qBar.store(a.qBar + share.batch * p.n * p.d, first, p.n, column, p.d);
}

// Tiles of scores of the other two pullbacks stand transposed: rows are keys, columns are queries.

/** k̄ = s̄ᵀ q */
extern "C" __global__ void __launch_bounds__(productThreads, productBlocks)
    attention_key_pullback_kernel(const AttentionPullbackArguments a) {
  using namespace attention;
  __shared__ AttentionTiles shared;
  const AttentionParameters& p = a.p;
  const Share share(tilesOf(p.m, tileRows), tilesOf(p.d, tileColumns));
  const int64_t first = share.tile * tileRows, column = share.chunk * tileColumns;
  const Backward b(a, share.batch);
  TileSums kBar;
  kBar.clear();
#pragma unroll 1
  for (int64_t query = firstSeeing(p, first); query < p.n; query += tileColumns) {
    TileSums probabilities, z;
    probabilities.clear();
    addProduct(shared.tiles, RowsOperand(b.k, p.d, first, p.m), RowsOperand(b.q, p.d, query, p.n), 0, p.d,
               probabilities);
    toProbabilitiesTransposed(b.probability, query, first, probabilities);
    __syncthreads();
    shared.weights.store(probabilities);
    z.clear();
    addProduct(shared.tiles, RowsOperand(b.v, p.e, first, p.m), RowsOperand(b.yBar, p.e, query, p.n), 0, p.e, z);
    shared.weights.load(probabilities);
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j)
        z.at[i][j] = b.scoreCotangent(query + TileSums::column() + j, probabilities.at[i][j], z.at[i][j]);
    shared.weights.store(z);
    addSlices(ColumnsOperand(b.q, p.d, column, p.d), query, p.n, shared.tiles.b,
              [&](int slice) { kBar.add(shared.weights.slice[slice], shared.tiles.b); });
  }
  kBar.store(a.kBar + share.batch * p.m * p.d, first, p.m, column, p.d);
}

/** v̄ = Pᵀ ȳ */
extern "C" __global__ void __launch_bounds__(productThreads, productBlocks)
    attention_value_pullback_kernel(const AttentionPullbackArguments a) {
  using namespace attention;
  __shared__ AttentionTiles shared;
  const AttentionParameters& p = a.p;
  const Share share(tilesOf(p.m, tileRows), tilesOf(p.e, tileColumns));
  const int64_t first = share.tile * tileRows, column = share.chunk * tileColumns;
  const Backward b(a, share.batch);
  TileSums vBar;
  vBar.clear();
#pragma unroll 1
  for (int64_t query = firstSeeing(p, first); query < p.n; query += tileColumns) {
    TileSums probabilities;
    probabilities.clear();
    addProduct(shared.tiles, RowsOperand(b.k, p.d, first, p.m), RowsOperand(b.q, p.d, query, p.n), 0, p.d,
               probabilities);
    toProbabilitiesTransposed(b.probability, query, first, probabilities);
    __syncthreads();
    shared.weights.store(probabilities);
    addSlices(ColumnsOperand(b.yBar, p.e, column, p.e), query, p.n, shared.tiles.b,
              [&](int slice) { vBar.add(shared.weights.slice[slice], shared.tiles.b); });
  }
  vBar.store(a.vBar + share.batch * p.m * p.e, first, p.m, column, p.e);
}

}  // namespace pushforward::cuda
