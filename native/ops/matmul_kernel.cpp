// y[t] = A[t] B[t], A = aᵀ or a, B = bᵀ or b, for every index t of the batch axes. Shapes and strides stand in
// matmul.h. A task is a tile of one y[t], whose rows and columns are packed by the thread that does it; a single row
// needs no packing.
#include "ops/matmul.h"

#include "cpu/gemm/bf16_format.h"
#include "cpu/parallel.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

// Rows of A packed at once, 128 KB with their panel's depth; a single thread takes more, so that B is packed
// fewer times.
constexpr int64_t packedRows = 128;
template <class Format>
static int64_t rowsTogetherOf(int64_t threads) {
  return threads > 1 ? packedRows : Format::matmulRows;
}
// Columns of a task: packing a row costs as much as about 12.
constexpr int64_t taskColumns = 1024;

static int64_t batchCount(const MatmulParameters& p) {
  int64_t count = 1;
  for (int axis = 0; axis < p.batchRank; ++axis) count *= p.batchShape[axis];
  return count;
}

/** Depth of A that is packed at once. */
template <class Format>
static int64_t packedDepth(int64_t rows, int64_t k) {
  if (!Format::apart) return minimum(k, panelDepth);
  return minimum(k, maximum(Format::packedFloats / maximum(Format::floats(rows, panelDepth), 1), 1) * panelDepth);
}

/** What a thread has: packed rows, a panel, and results that are kept apart. A whole batch may be the rows of one product. */
template <class Format>
struct Room {
  int64_t rows, packed;

  Room(const MatmulParameters& p, int64_t threads) {
    rows = minimum(maximum(p.m, 1) * maximum(batchCount(p), 1), rowsTogetherOf<Format>(threads));
    const int64_t piece = Format::floats(rows, minimum(p.k, panelDepth));
    packed = Format::apart ? minimum(Format::floats(rows, p.k), maximum(Format::packedFloats, piece)) : piece;
    packed = roundUp(packed, 16);
  }
  int64_t floats() const { return packed + panelFloats + (Format::apart ? rows * tileColumns : 0); }
};

template <class Format>
static size_t matmulScratch(const void* parameters, int threads) {
  return static_cast<size_t>(4 * threads *
                             Room<Format>(*static_cast<const MatmulParameters*>(parameters), threads).floats());
}

/** B: b, or columns of a weight that lies in panels. */
template <class Format>
struct Right {
  Matrix b;
  const Weights* weights;  // in panels or planes, else nullptr
  bool transposed;         // of weights
  int64_t column;          // of weights

  Panel panelOf(bool once, const Piece& piece, float* scratch) const {
    if (weights == nullptr)
      return Format::panelFrom(b.at(piece.top, piece.column), piece.columns, piece.depth, once, scratch);
    const Piece own = {piece.top, piece.depth, column + piece.column, piece.columns};
    return transposed ? Format::panelOfTransposed(*weights, own, scratch)
                      : Format::panelOf(*weights, own, once, scratch);
  }
  NextPanel next(const Piece& piece) const {
    if (piece.columns <= 0) return {};
    if (weights != nullptr && !transposed)
      return {Format::linesOf(*weights, {piece.top, piece.depth, column + piece.column, piece.columns})};
    if (weights != nullptr)
      return {Format::linesOfTransposed(*weights, {piece.top, piece.depth, column + piece.column, piece.columns})};
    if (b.columnStride != 1) return {};
    return {{b.at(piece.top, piece.column).data, b.rowStride, piece.columns}};
  }
};

PUSHFORWARD_INLINE void copyRows(const float* from, int64_t fromStride, int64_t rows, int64_t columns, float* to,
                                 int64_t toStride) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; j += lanes)
      storeFirst(to + i * toStride + j, loadFirst(from + i * fromStride + j, columns - j), columns - j);
}

/** y [rows, columns] = A B; scratch holds the packed rows, then a panel. */
template <class Format>
static void multiplyTask(Matrix a, const Right<Format>& right, int64_t rows, int64_t columns, int64_t k, float* y,
                         int64_t yStride, float* packed, float* panel) {
  Format::begin();
  for (int64_t begin = 0; begin < k; begin += panelDepth) {
    const int64_t depth = minimum(panelDepth, k - begin);
    Format::packRows(a.at(0, begin), rows, 0, Format::blocks(rows), depth, packed);
    for (int64_t j = 0; j < columns; j += tileColumns) {
      const int64_t width = minimum(tileColumns, columns - j);
      const Panel b = right.panelOf(Format::blocks(rows) == 1, {begin, depth, j, width}, panel);
      Format::multiply(packed, rows, 0, Format::blocks(rows), depth, b, width, y + j, yStride, begin > 0,
                       right.next({begin, depth, j + width, minimum(tileColumns, columns - j - width)}));
    }
  }
  Format::end();
}

/** The same; results of a panel of columns are summed in `apart` [rows, tileColumns], for all the depth that is packed at once. */
template <class Format>
static void multiplyTaskApart(Matrix a, const Right<Format>& right, int64_t rows, int64_t columns, int64_t k, float* y,
                              int64_t yStride, float* packed, float* panel, float* apart) {
  const int64_t deep = packedDepth<Format>(rows, k), blocks = Format::blocks(rows);
  Format::begin();
  for (int64_t begin = 0; begin < k; begin += deep) {
    const int64_t end = minimum(begin + deep, k);
    for (int64_t top = begin; top < end; top += panelDepth)
      Format::packRows(a.at(0, top), rows, 0, blocks, minimum(panelDepth, end - top),
                       packed + Format::floats(rows, top - begin));
    for (int64_t j = 0; j < columns; j += tileColumns) {
      const int64_t width = minimum(tileColumns, columns - j);
      if (begin > 0) copyRows(y + j, yStride, rows, width, apart, tileColumns);
      for (int64_t top = begin; top < end; top += panelDepth) {
        const int64_t depth = minimum(panelDepth, end - top);
        const Panel b = right.panelOf(blocks == 1, {top, depth, j, width}, panel);
        Format::multiply(packed + Format::floats(rows, top - begin), rows, 0, blocks, depth, b, roundUp(width, lanes),
                         apart, tileColumns, top > 0,
                         right.next({top, depth, j + width, minimum(tileColumns, columns - j - width)}));
      }
      copyRows(apart, tileColumns, rows, width, y + j, yStride);
    }
  }
  Format::end();
}

/** Offset of batch index t, whose axes have the given strides. */
static int64_t batchOffset(const MatmulParameters& p, int64_t t, const int64_t* stride) {
  int64_t offset = 0;
  for (int axis = p.batchRank - 1; axis >= 0; --axis) {
    offset += t % p.batchShape[axis] * stride[axis];
    t /= p.batchShape[axis];
  }
  return offset;
}

static void zero(float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = 0.0f;
}

template <class Format>
static void matmul(const KernelCall& call) {
  const MatmulParameters& p = *static_cast<const MatmulParameters*>(call.parameters);
  const float *aData = static_cast<const float*>(call.operands[0]),
              *bData = static_cast<const float*>(call.operands[1]);
  float* y = static_cast<float*>(call.operands[2]);
  const int64_t k = p.k;
  int64_t m = p.m, n = p.n, batch = batchCount(p);
  if (batch <= 0 || m <= 0 || n <= 0) return;
  if (k <= 0) return zero(y, batch * m * n);
  Matrix a = {aData, p.transposeA ? 1 : k, p.transposeA ? m : 1},
         b = {bData, p.transposeB ? 1 : n, p.transposeB ? k : 1};
  // x [batch, m, k] times one w is a product of batch·m rows.
  bool oneProduct = !p.transposeA && batch > 1;
  int64_t rowsBelow = m * k;
  for (int axis = p.batchRank - 1; axis >= 0; --axis) {
    if (p.batchShape[axis] != 1 && (p.bStride[axis] != 0 || p.aStride[axis] != rowsBelow)) oneProduct = false;
    rowsBelow *= p.batchShape[axis];
  }
  if (oneProduct) m *= batch, batch = 1;
  const bool panels = p.layout != WeightLayout::rows;
  if (n == 1 && m > 1 && !panels) {  // yᵀ = bᵀ aᵀ, and yᵀ lies in memory as y does
    const Matrix left = {b.data, b.columnStride, b.rowStride};
    b = {a.data, a.columnStride, a.rowStride};
    a = left;
  }
  const bool swapped = n == 1 && m > 1 && !panels;
  const Weights weights = {bData, p.transposeB ? n : k, p.transposeB ? k : n, p.layout};
  if (swapped) n = m, m = 1;

  const int64_t threads = call.parallel == nullptr ? 1 : call.parallel->threads;
  const int64_t rowTiles = ceilDivide(m, rowsTogetherOf<Format>(threads)), rowSize = ceilDivide(m, rowTiles);
  int64_t columnSize = minimum(roundUp(n, tileColumns), taskColumns);
  while (threads > 1 && columnSize > 4 * tileColumns && batch * rowTiles * ceilDivide(n, columnSize) < 4 * threads)
    columnSize = roundUp(columnSize / 2, tileColumns);
  const int64_t columnTiles = ceilDivide(n, columnSize), tiles = rowTiles * columnTiles;
  const int64_t total = batch * tiles;
  const Room<Format> room(p, threads);
  // A task shorter than 20 µs is not worth waking a thread for.
  const int64_t group = maximum(1, 1000000 / maximum(1, rowSize * columnSize * k));
  parallelFor(call, ceilDivide(total, group), [&](int64_t task, int thread) {
    float* packed = static_cast<float*>(call.scratch) + thread * room.floats();
    float *panel = packed + room.packed, *apart = panel + panelFloats;
    for (int64_t index = task * group; index < minimum(total, (task + 1) * group); ++index) {
      const int64_t t = index / tiles, row = index % tiles / columnTiles * rowSize,
                    column = index % columnTiles * columnSize;
      const int64_t rows = minimum(rowSize, m - row), columns = minimum(columnSize, n - column);
      const int64_t aOffset = batch == 1 ? 0 : batchOffset(p, t, p.aStride),
                    bOffset = batch == 1 ? 0 : batchOffset(p, t, p.bStride);
      Matrix left = a.at(row, 0), right = b.at(0, column);
      left.data += swapped ? bOffset : aOffset;
      right.data += swapped ? aOffset : bOffset;
      float* to = y + t * m * n + row * n + column;
      if (m == 1 && !panels)
        Format::multiplyRow(left.data, left.columnStride, right, columns, k, to);
      else if (Format::apart)
        multiplyTaskApart<Format>(left, {right, panels ? &weights : nullptr, p.transposeB != 0, column}, rows, columns,
                                  k, to, n, packed, panel, apart);
      else
        multiplyTask<Format>(left, {right, panels ? &weights : nullptr, p.transposeB != 0, column}, rows, columns, k,
                             to, n, packed, panel);
    }
  });
}

PUSHFORWARD_CPU_KERNEL(matmul, matmul<FloatFormat>, matmulScratch<FloatFormat>)
PUSHFORWARD_BF16_KERNEL(matmul_bf16, matmul, matmulScratch)

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
