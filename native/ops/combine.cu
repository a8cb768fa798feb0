// combine: the Gram matrix by tangents generated again. A block takes a tile of pairs of directions and a strip of elements; it draws a chunk of
// each direction into shared memory and adds the products in float64. Gaussians are multiplied, signs compared as bits, 32 at once:
// x·y = n − 2 popcount(x ^ y); of low-rank tangents the factors alone, since V_k·V_l = (1/r) Σ_qp (a_kq·a_lp)(b_kq·b_lp). Then one block
// adds the strips in order and solves. How work is divided depends on shapes alone.
#include "cuda/device.cuh"
#include "cuda/draw.cuh"
#include "ops/combine_cuda.h"

namespace pushforward::cuda {

namespace combine {

// Of one unit of a tangent: a block of Philox's words, `columns` elements of a row.

struct Gaussians {
  static constexpr int columns = quadColumns;
  static __device__ void draw(const Draw& draw, int64_t n, const Quad& at, uint32_t w[4]) {
    float v[quadColumns];
    gaussianQuad(draw, n, at, v);
#pragma unroll
    for (int i = 0; i < quadColumns; ++i) w[i] = at.column + i < n ? __float_as_uint(v[i]) : 0u;
  }
  static __device__ double product(uint32_t x, uint32_t y) {
    return static_cast<double>(__uint_as_float(x)) * static_cast<double>(__uint_as_float(y));
  }
  static __device__ double offset(const DrawnTangent&) { return 0.0; }
};

/** Clears the bits of numbers that are not there, of a block of 128 of which `left` are. */
__device__ __forceinline__ void maskSigns(int64_t left, uint32_t w[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int64_t some = left - 32 * i;
    if (some < 32) w[i] &= some <= 0 ? 0u : (1u << some) - 1u;
  }
}

struct Signs {
  static constexpr int columns = 128;
  static __device__ void draw(const Draw& draw, int64_t n, const Quad& at, uint32_t w[4]) {
    drawBlock(draw, static_cast<uint32_t>(at.row * ((n + 127) / 128) + at.column / 128), w);
    maskSigns(n - at.column, w);
  }
  static __device__ double product(uint32_t x, uint32_t y) { return static_cast<double>(-2 * __popc(x ^ y)); }
  static __device__ double offset(const DrawnTangent& tangent) {
    return static_cast<double>(tangent.rows) * static_cast<double>(tangent.n);
  }
};

/** One side of a tile: `side` directions, `units` blocks of words each; rows of odd length, so that they lie in different banks. */
struct Chunk {
  uint32_t words[tileWords + gramSide];

  template <class Law>
  __device__ void fill(const GramArguments& a, int64_t chunk, int firstDirection) {
    const int units = tileWords / 4 / a.side, stride = 4 * units + 1;
    const int64_t n = a.tangent.n, across = (n + Law::columns - 1) / Law::columns, total = a.tangent.rows * across;
    for (int i = threadIdx.x; i < tileWords / 4; i += gramThreads) {
      const int d = i / units, unit = i - d * units;
      const int64_t index = chunk * units + unit, row = quotient(index, across);
      uint32_t w[4] = {0, 0, 0, 0};
      if (firstDirection + d < a.directions && index < total)
        Law::draw(drawOf(a.tangent.law, a.state->run, firstDirection + d), n,
                  {row, (index - row * across) * Law::columns}, w);
#pragma unroll
      for (int j = 0; j < 4; ++j) words[d * stride + 4 * unit + j] = w[j];
    }
  }
};

/** Sum over the threads of a pair, which lie `pairs` apart, as a tree: in the first of them. */
__device__ __forceinline__ double sumSlices(double sum, int pairs, double* shared) {
  shared[threadIdx.x] = sum;
  for (int step = gramThreads / 2; step >= pairs; step /= 2) {
    __syncthreads();
    if (threadIdx.x < step) shared[threadIdx.x] += shared[threadIdx.x + step];
  }
  return shared[threadIdx.x];
}

template <class Law>
__device__ __forceinline__ void addTile(const GramArguments& a) {
  __shared__ Chunk left, right;
  __shared__ double sums[gramThreads];
  if (blockIdx.x < blockIdx.y) return;
  const bool diagonal = blockIdx.x == blockIdx.y;
  const int side = a.side, words = tileWords / side, pairs = side * side, slices = gramThreads / pairs;
  const int pair = threadIdx.x % pairs, i = pair / side, j = pair % side;
  double sum = 0;
  for (int64_t chunk = blockIdx.z; chunk < a.chunks; chunk += gridDim.z) {
    __syncthreads();  // of the chunk before
    left.fill<Law>(a, chunk, blockIdx.y * side);
    if (!diagonal) right.fill<Law>(a, chunk, blockIdx.x * side);
    __syncthreads();
    const uint32_t *x = left.words + i * (words + 1), *y = (diagonal ? left : right).words + j * (words + 1);
    for (int at = threadIdx.x / pairs; at < words; at += slices) sum += Law::product(x[at], y[at]);
  }
  sum = sumSlices(sum, pairs, sums);
  const int64_t row = int64_t{blockIdx.y} * side + i, column = int64_t{blockIdx.x} * side + j, k = a.directions;
  if (threadIdx.x >= pairs || row >= k || column >= k) return;
  if (blockIdx.z == 0) sum += Law::offset(a.tangent);
  a.grams[(int64_t{blockIdx.z} * k + row) * k + column] += sum;
}

/** x·y of two factors of n signs, the same in every lane of a warp. */
__device__ __forceinline__ int64_t factorProduct(const Draw& x, const Draw& y, int64_t n) {
  int differences = 0;
  for (int64_t block = threadIdx.x % warpLanes; block < (n + 127) / 128; block += warpLanes) {
    uint32_t a[4], b[4];
    drawBlock(x, static_cast<uint32_t>(block), a);
    drawBlock(y, static_cast<uint32_t>(block), b);
#pragma unroll
    for (int i = 0; i < 4; ++i) a[i] ^= b[i];
    maskSigns(n - block * 128, a);
#pragma unroll
    for (int i = 0; i < 4; ++i) differences += __popc(a[i]);
  }
  return n - 2 * int64_t{warpSum(differences)};
}

__device__ __forceinline__ void addStrips(const SolveArguments& a) {
  const int64_t size = int64_t{a.directions} * a.directions;
  for (int64_t i = threadIdx.x; i < size; i += blockDim.x) {
    double sum = 0;
    for (int64_t strip = 0; strip < a.strips; ++strip) sum += a.grams[strip * size + i];
    a.grams[i] = sum;
  }
}

/** x ← G⁻¹ c by the factors of Cholesky, G = L D Lᵀ, which replace the upper triangle; false where a pivot is as good as zero. */
__device__ __forceinline__ bool solve(int k, double* gram, const double* diagonal, double* c, double* x) {
  const int lane = threadIdx.x % warpLanes, warp = threadIdx.x / warpLanes, warps = blockDim.x / warpLanes;
  for (int i = 0; i < k; ++i) {
    __syncthreads();  // row i and c[i] are final
    const double* pivot = gram + static_cast<int64_t>(i) * k;
    if (!(pivot[i] > singularPivot * diagonal[i])) return false;
    for (int r = i + 1 + warp; r < k; r += warps) {
      const double factor = pivot[r] / pivot[i];
      double* row = gram + static_cast<int64_t>(r) * k;
      for (int j = r + lane; j < k; j += warpLanes) row[j] -= factor * pivot[j];
      if (lane == 0) c[r] -= factor * c[i];
    }
  }
  for (int i = k - 1; i >= 0; --i) {
    __syncthreads();
    const double found = c[i] / gram[static_cast<int64_t>(i) * k + i];
    if (threadIdx.x == 0) x[i] = found;
    for (int r = threadIdx.x; r < i; r += blockDim.x) c[r] -= gram[static_cast<int64_t>(r) * k + i] * found;
  }
  return true;
}

/** This thread's terms of cᵀ G c. */
__device__ __forceinline__ double quadraticTerms(int k, const double* gram, const double* c) {
  double total = 0;
  for (int i = threadIdx.x / warpLanes; i < k; i += blockDim.x / warpLanes)
    for (int j = i + threadIdx.x % warpLanes; j < k; j += warpLanes)
      total += (i == j ? 1.0 : 2.0) * c[i] * gram[static_cast<int64_t>(i) * k + j] * c[j];
  return total;
}

}  // namespace combine

extern "C" __global__ void combine_clear_kernel(const ClearArguments a) {
  for (int64_t i = gridIndex(); i < a.count; i += gridStride()) a.grams[i] = 0.0;
}

extern "C" __global__ void __launch_bounds__(gramThreads) combine_gaussian_kernel(const GramArguments a) {
  combine::addTile<combine::Gaussians>(a);
}

extern "C" __global__ void __launch_bounds__(gramThreads) combine_rademacher_kernel(const GramArguments a) {
  combine::addTile<combine::Signs>(a);
}

/** A block a pair of directions, a warp a pair of factors: sums of integers below 2⁵³ are exact. */
extern "C" __global__ void __launch_bounds__(gramThreads) combine_low_rank_kernel(const GramArguments a) {
  __shared__ double partial[gramThreads / warpLanes];
  const int64_t k = blockIdx.y, l = blockIdx.x;
  if (l < k) return;
  const int rank = a.tangent.law.rank;
  const Draw x = drawOf(a.tangent.law, a.state->run, k), y = drawOf(a.tangent.law, a.state->run, l);
  double sum = 0;
  for (int pair = threadIdx.x / warpLanes; pair < rank * rank; pair += blockDim.x / warpLanes) {
    const int q = pair / rank, p = pair - q * rank;
    const int64_t rows =
        combine::factorProduct(factorOf(x, leftStream, rank, q), factorOf(y, leftStream, rank, p), a.tangent.rows);
    const int64_t columns =
        combine::factorProduct(factorOf(x, rightStream, rank, q), factorOf(y, rightStream, rank, p), a.tangent.n);
    sum += static_cast<double>(rows * columns);
  }
  sum = blockSum(threadIdx.x % warpLanes == 0 ? sum : 0.0, partial);
  if (threadIdx.x == 0) a.grams[k * a.directions + l] += sum / rank;
}

extern "C" __global__ void __launch_bounds__(solveThreads) combine_solve_kernel(const SolveArguments a) {
  __shared__ double diagonal[mostDirections], c[mostDirections], made[mostDirections];
  __shared__ double partial[solveThreads / warpLanes];
  const int k = a.directions;
  combine::addStrips(a);
  __syncthreads();
  for (int i = threadIdx.x; i < k; i += blockDim.x) {
    diagonal[i] = a.grams[static_cast<int64_t>(i) * k + i];
    c[i] = made[i] = a.given[i];
  }
  __syncthreads();
  double squares = 0;  // of the estimate's norm, times K²
  if (a.project != 0) {
    const bool regular = combine::solve(k, a.grams, diagonal, c, made);
    __syncthreads();
    for (int i = threadIdx.x; i < k; i += blockDim.x) {
      made[i] = regular ? made[i] * k : static_cast<double>(NAN);
      squares += k * made[i] * a.given[i];  // c′ᵀ G c′ = K c′·c
    }
  } else {
    squares = combine::quadraticTerms(k, a.grams, c);
  }
  const double norm = sqrt(blockSum(squares, partial)) / k;
  const double scale = a.clip > 0 && norm > a.clip ? a.clip / norm : 1.0;
  for (int i = threadIdx.x; i < k; i += blockDim.x) a.combined[i] = static_cast<float>(made[i] * scale);
}

}  // namespace pushforward::cuda
