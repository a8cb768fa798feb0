// strided_copy and fill for elements of four bytes. The iteration space is seen as planes of rows × columns; what a
// row is decides the loop: a contiguous run, one element repeated, a transposition in blocks of 16 × 16, or single
// elements.
#include "ops/shape.h"

#include "cpu/parallel.h"
#include "cpu/vector.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

typedef uint32_t Word __attribute__((may_alias));  // float32 or int32

constexpr int64_t elementsPerTask = 32768;
constexpr int block = 16;  // 16 words are a cache line: a block reads and writes whole lines, each once

struct Axis {
  int64_t size, from, to;
};

enum class RowKind { run, repeat, transposed, scattered };

struct Copy {
  RowKind kind;
  Axis rows, columns;
  int outerRank;
  Axis outer[maxRank];
  int64_t planes;
  int64_t rowTile, columnTile, rowTiles, columnTiles;
};

Copy copyOf(const StridedCopyParameters& p) {
  Copy copy{};
  auto axisAt = [&](int axis) { return Axis{p.shape[axis], p.inputStride[axis], p.outputStride[axis]}; };
  int last = p.rank - 1, row = last - 1;
  copy.columns = axisAt(last);
  if (copy.columns.to != 1)
    copy.kind = RowKind::scattered;
  else if (copy.columns.from == 1 || copy.columns.size == 1)
    copy.kind = RowKind::run;
  else if (copy.columns.from == 0)
    copy.kind = RowKind::repeat;
  else {
    copy.kind = RowKind::scattered;
    for (int axis = 0; axis < last; ++axis)
      if (p.inputStride[axis] == 1) {
        copy.kind = RowKind::transposed;
        row = axis;
      }
  }
  copy.rows = row >= 0 ? axisAt(row) : Axis{1, 0, 0};
  copy.planes = 1;
  for (int axis = 0; axis < last; ++axis)
    if (axis != row) {
      copy.outer[copy.outerRank++] = axisAt(axis);
      copy.planes *= p.shape[axis];
    }
  auto least = [](int64_t a, int64_t b) { return a < b ? a : b; };
  // A transposed tile is one block wide or high in memory on both sides, so its length costs no more lines.
  copy.columnTile = copy.kind == RowKind::transposed ? 256 : 8192;
  copy.columnTile = least(copy.columnTile, copy.columns.size > 0 ? copy.columns.size : 1);
  copy.rowTile = copy.kind == RowKind::transposed ? block : 1 + 8191 / copy.columnTile;
  copy.rowTile = least(copy.rowTile, copy.rows.size > 0 ? copy.rows.size : 1);
  copy.rowTiles = (copy.rows.size + copy.rowTile - 1) / copy.rowTile;
  copy.columnTiles = (copy.columns.size + copy.columnTile - 1) / copy.columnTile;
  return copy;
}

void copyRun(const Word* from, Word* to, int64_t count) {
  if (count >= 64) {
    __builtin_memcpy(to, from, static_cast<size_t>(count) * sizeof(Word));
    return;
  }
  const float* source = reinterpret_cast<const float*>(from);
  float* target = reinterpret_cast<float*>(to);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(target + i, load(source + i));
  if (i < count)
    storePartial(target + i, loadPartial(source + i, static_cast<int>(count - i)), static_cast<int>(count - i));
}

void fillRun(Word* to, Word value, int64_t count) {
  const Int all = broadcast(static_cast<int32_t>(value));
  int32_t* target = reinterpret_cast<int32_t*>(to);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(target + i, all);
  if (i < count) storePartial(target + i, all, static_cast<int>(count - i));
}

/** to[r·to + c] = from[r + c·from], r, c < 16, by a buffer: lines a power of two apart would evict each other. */
void transposeBlock(const Word* from, int64_t fromStride, Word* to, int64_t toStride) {
  alignas(64) float buffer[block * block];
  const float* source = reinterpret_cast<const float*>(from);
#if defined(__x86_64__)
  for (int c = 0; c < block; c += 4)
    for (int r = 0; r < block; r += 4) {
      const float* corner = source + c * fromStride + r;
      __m128 a = _mm_loadu_ps(corner), b = _mm_loadu_ps(corner + fromStride);
      __m128 e = _mm_loadu_ps(corner + 2 * fromStride), f = _mm_loadu_ps(corner + 3 * fromStride);
      _MM_TRANSPOSE4_PS(a, b, e, f);
      _mm_store_ps(buffer + r * block + c, a);
      _mm_store_ps(buffer + (r + 1) * block + c, b);
      _mm_store_ps(buffer + (r + 2) * block + c, e);
      _mm_store_ps(buffer + (r + 3) * block + c, f);
    }
#else
  for (int c = 0; c < block; ++c)
    for (int r = 0; r < block; ++r) buffer[r * block + c] = source[c * fromStride + r];
#endif
  float* target = reinterpret_cast<float*>(to);
  for (int r = 0; r < block; ++r)
    for (int c = 0; c < block; c += lanes) store(target + r * toStride + c, load(buffer + r * block + c));
}

void scatterTile(const Word* from, Word* to, const Axis& rows, const Axis& columns) {
  for (int64_t r = 0; r < rows.size; ++r)
    for (int64_t c = 0; c < columns.size; ++c)
      to[r * rows.to + c * columns.to] = from[r * rows.from + c * columns.from];
}

void transposeTile(const Word* from, Word* to, const Axis& rows, const Axis& columns) {
  int64_t whole = rows.size == block ? columns.size / block * block : 0;
  for (int64_t c = 0; c < whole; c += block) transposeBlock(from + c * columns.from, columns.from, to + c, rows.to);
  Axis rest{columns.size - whole, columns.from, 1};
  scatterTile(from + whole * columns.from, to + whole, rows, rest);
}

void copyTile(RowKind kind, const Word* from, Word* to, const Axis& rows, const Axis& columns) {
  switch (kind) {
    case RowKind::run:
      for (int64_t r = 0; r < rows.size; ++r) copyRun(from + r * rows.from, to + r * rows.to, columns.size);
      break;
    case RowKind::repeat:
      for (int64_t r = 0; r < rows.size; ++r) fillRun(to + r * rows.to, from[r * rows.from], columns.size);
      break;
    case RowKind::transposed:
      transposeTile(from, to, rows, columns);
      break;
    case RowKind::scattered:
      scatterTile(from, to, rows, columns);
      break;
  }
}

void stridedCopy(const KernelCall& call) {
  const auto& p = *static_cast<const StridedCopyParameters*>(call.parameters);
  const Word* input = static_cast<const Word*>(call.operands[0]) + p.inputOffset;
  Word* output = static_cast<Word*>(call.operands[1]) + p.outputOffset;
  const Copy copy = copyOf(p);
  const int64_t tiles = copy.rowTiles * copy.columnTiles;
  const int64_t grain = 1 + (elementsPerTask - 1) / (copy.rowTile * copy.columnTile);
  parallelRanges(call, copy.planes * tiles, grain, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t unit = begin; unit < end; ++unit) {
      int64_t plane = unit / tiles, tile = unit % tiles, from = 0, to = 0;
      for (int axis = copy.outerRank - 1; axis >= 0; --axis) {
        int64_t index = axis == 0 ? plane : plane % copy.outer[axis].size;
        plane /= copy.outer[axis].size;
        from += index * copy.outer[axis].from;
        to += index * copy.outer[axis].to;
      }
      int64_t row = tile / copy.columnTiles * copy.rowTile, column = tile % copy.columnTiles * copy.columnTile;
      Axis rows = copy.rows, columns = copy.columns;
      rows.size = rows.size - row < copy.rowTile ? rows.size - row : copy.rowTile;
      columns.size = columns.size - column < copy.columnTile ? columns.size - column : copy.columnTile;
      copyTile(copy.kind, input + from + row * rows.from + column * columns.from,
               output + to + row * rows.to + column * columns.to, rows, columns);
    }
  });
}

void fill(const KernelCall& call) {
  const auto& p = *static_cast<const FillParameters*>(call.parameters);
  Word* output = static_cast<Word*>(call.operands[0]);
  Word value;
  if (p.integer) {
    const int32_t integer = static_cast<int32_t>(p.value);
    __builtin_memcpy(&value, &integer, sizeof value);
  } else {
    const float real = static_cast<float>(p.value);
    __builtin_memcpy(&value, &real, sizeof value);
  }
  parallelRanges(call, p.count, elementsPerTask, block,
                 [&](int64_t begin, int64_t end, int) { fillRun(output + begin, value, end - begin); });
}

PUSHFORWARD_CPU_KERNEL(strided_copy, stridedCopy, nullptr)
PUSHFORWARD_CPU_KERNEL(fill, fill, nullptr)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
