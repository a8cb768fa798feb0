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

/** P and s̄ of one element, from its products of q and k and of ȳ and v; 0, whatever stands there, where a key is not seen. */
struct RowsRead {
  const AttentionPullbackArguments& a;
  const float* row;  // of query 0

  __device__ __forceinline__ RowsRead(const AttentionPullbackArguments& a, int64_t batch)
      : a(a), row(a.rows + batch * a.p.n) {}

  __device__ __forceinline__ float probability(int64_t query, int64_t key, float product) const {
    if (!sees(a.p, query, key)) return 0.0f;
    return expf(scoreOf(a.p, a.mask, query, key, product) - row[query]) / row[a.p.batch * a.p.n + query];
  }
  __device__ __forceinline__ float scoreCotangent(int64_t query, int64_t key, float product, float z) const {
    if (!sees(a.p, query, key)) return 0.0f;
    return static_cast<float>(a.p.scale) * probability(query, key, product) * (z - row[2 * a.p.batch * a.p.n + query]);
  }
};

}  // namespace attention

extern "C" __global__ void __launch_bounds__(productThreads) attention_kernel(const AttentionArguments a) {
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
}

/** ẏ = Σ_j P (scale ṡ − Σ P scale ṡ) v + P v̇, with ṡ = q̇ kᵀ + q k̇ᵀ. */
extern "C" __global__ void __launch_bounds__(productThreads) attention_pushforward_kernel(const AttentionArguments a) {
  using namespace attention;
  __shared__ AttentionTiles shared;
  __shared__ Weights change;
  const AttentionParameters& p = a.p;
  const Share share(tilesOf(p.n, tileRows), tilesOf(p.e, tileColumns));
  const int64_t first = share.tile * tileRows, column = share.chunk * tileColumns,
                width = keysSeen(p, first + tileRows);
  const int64_t batch = share.batch % p.batch;  // share.batch counts directions too
  const float *q = a.q + batch * p.n * p.d, *k = a.k + batch * p.m * p.d, *v = a.v + batch * p.m * p.e;
  RunningSoftmax softmax;
  TileSums y, yDot;
  y.clear();
  yDot.clear();
#pragma unroll 1
  for (int64_t key = 0; key < width; key += tileColumns) {
    TileSums s, sDot;
    s.clear();
    sDot.clear();
    addProduct(shared.tiles, RowsOperand(q, p.d, first, p.n), RowsOperand(k, p.d, key, p.m), 0, p.d, s);
    if (a.qDot != nullptr)
      addProduct(shared.tiles, RowsOperand(a.qDot + share.batch * p.n * p.d, p.d, first, p.n),
                 RowsOperand(k, p.d, key, p.m), 0, p.d, sDot);
    if (a.kDot != nullptr)
      addProduct(shared.tiles, RowsOperand(q, p.d, first, p.n),
                 RowsOperand(a.kDot + share.batch * p.m * p.d, p.d, key, p.m), 0, p.d, sDot);
    float shrink[4];
    softmax.take(p, a.mask, first, key, s, shrink);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float sum = 0.0f;
#pragma unroll
      for (int j = 0; j < 4; ++j) sum += sDot.at[i][j] *= static_cast<float>(p.scale) * s.at[i][j];
      softmax.along[i] += rowSum(sum);
    }
    scaleRows(y, shrink);
    scaleRows(yDot, shrink);
    __syncthreads();
    shared.weights.store(s);
    change.store(sDot);
    addSlices(ColumnsOperand(v, p.e, column, p.e), key, width, shared.tiles.b, [&](int slice) {
      y.add(shared.weights.slice[slice], shared.tiles.b);
      yDot.add(change.slice[slice], shared.tiles.b);
    });
    if (a.vDot != nullptr)
      addSlices(ColumnsOperand(a.vDot + share.batch * p.m * p.e, p.e, column, p.e), key, width, shared.tiles.b,
                [&](int slice) { yDot.add(shared.weights.slice[slice], shared.tiles.b); });
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      y.at[i][j] /= softmax.total[i];
      yDot.at[i][j] = fmaf(-softmax.along[i], y.at[i][j], yDot.at[i][j]) / softmax.total[i];
    }
  if (share.batch < p.batch) y.store(a.y + batch * p.n * p.e, first, p.n, column, p.e);
  yDot.store(a.yDot + share.batch * p.n * p.e, first, p.n, column, p.e);
}

extern "C" __global__ void __launch_bounds__(productThreads) attention_rows_kernel(const AttentionPullbackArguments a) {
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
  if (threadIdx.x % 16 != 0) return;
  const int64_t count = p.batch * p.n;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int64_t query = first + TileSums::row() + i;
    if (query >= p.n) continue;
    float* row = a.rows + share.batch * p.n + query;
    row[0] = softmax.top[i];
    row[count] = softmax.total[i];
    row[2 * count] = softmax.along[i] / softmax.total[i];
  }
}

/** q̄ = s̄ k */
extern "C" __global__ void __launch_bounds__(productThreads)
    attention_query_pullback_kernel(const AttentionPullbackArguments a) {
  using namespace attention;
  __shared__ AttentionTiles shared;
  const AttentionParameters& p = a.p;
  const Share share(tilesOf(p.n, tileRows), tilesOf(p.d, tileColumns));
  const int64_t first = share.tile * tileRows, column = share.chunk * tileColumns,
                width = keysSeen(p, first + tileRows);
  const float *q = a.q + share.batch * p.n * p.d, *k = a.k + share.batch * p.m * p.d,
              *v = a.v + share.batch * p.m * p.e, *yBar = a.yBar + share.batch * p.n * p.e;
  const RowsRead rows(a, share.batch);
  TileSums qBar;
  qBar.clear();
#pragma unroll 1
  for (int64_t key = 0; key < width; key += tileColumns) {
    TileSums s, z;
    s.clear();
    z.clear();
    addProduct(shared.tiles, RowsOperand(q, p.d, first, p.n), RowsOperand(k, p.d, key, p.m), 0, p.d, s);
    addProduct(shared.tiles, RowsOperand(yBar, p.e, first, p.n), RowsOperand(v, p.e, key, p.m), 0, p.e, z);
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j)
        s.at[i][j] =
            rows.scoreCotangent(first + TileSums::row() + i, key + TileSums::column() + j, s.at[i][j], z.at[i][j]);
    __syncthreads();
    shared.weights.store(s);
    addSlices(ColumnsOperand(k, p.d, column, p.d), key, width, shared.tiles.b,
              [&](int slice) { qBar.add(shared.weights.slice[slice], shared.tiles.b); });
  }
  qBar.store(a.qBar + share.batch * p.n * p.d, first, p.n, column, p.d);
}

/** k̄ = s̄ᵀ q, v̄ = Pᵀ ȳ: tiles of scores stand here transposed, rows are keys. */
extern "C" __global__ void __launch_bounds__(productThreads)
    attention_key_pullback_kernel(const AttentionPullbackArguments a) {
  using namespace attention;
  __shared__ AttentionTiles shared;
  const AttentionParameters& p = a.p;
  const int64_t keyChunks = tilesOf(p.d, tileColumns);
  const Share share(tilesOf(p.m, tileRows), keyChunks + tilesOf(p.e, tileColumns));
  const bool ofKeys = share.chunk < keyChunks;
  const int64_t first = share.tile * tileRows, column = (ofKeys ? share.chunk : share.chunk - keyChunks) * tileColumns;
  const float *q = a.q + share.batch * p.n * p.d, *k = a.k + share.batch * p.m * p.d,
              *v = a.v + share.batch * p.m * p.e, *yBar = a.yBar + share.batch * p.n * p.e;
  const int64_t columns = ofKeys ? p.d : p.e;
  const RowsRead rows(a, share.batch);
  TileSums bar;
  bar.clear();
  const int64_t seenFrom = first > p.offset ? first - p.offset : 0;  // the first query that sees key `first`
#pragma unroll 1
  for (int64_t query = seenFrom; query < p.n; query += tileColumns) {
    TileSums s, z;
    s.clear();
    z.clear();
    addProduct(shared.tiles, RowsOperand(k, p.d, first, p.m), RowsOperand(q, p.d, query, p.n), 0, p.d, s);
    if (ofKeys)
      addProduct(shared.tiles, RowsOperand(v, p.e, first, p.m), RowsOperand(yBar, p.e, query, p.n), 0, p.e, z);
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int64_t key = first + TileSums::row() + i, of = query + TileSums::column() + j;
        s.at[i][j] =
            ofKeys ? rows.scoreCotangent(of, key, s.at[i][j], z.at[i][j]) : rows.probability(of, key, s.at[i][j]);
      }
    __syncthreads();
    shared.weights.store(s);
    addSlices(ColumnsOperand(ofKeys ? q : yBar, columns, column, columns), query, p.n, shared.tiles.b,
              [&](int slice) { bar.add(shared.weights.slice[slice], shared.tiles.b); });
  }
  bar.store((ofKeys ? a.kBar : a.vBar) + share.batch * p.m * columns, first, p.m, column, columns);
}

}  // namespace pushforward::cuda
