// c[i, j] (+)= Σ_p a[i, p] b[p, j]: packing, and the loop over the tiles of a panel. Formulas and layouts stand in product.h.
#include "cpu/gemm/product.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

typedef float Quad __attribute__((vector_size(16)));

PUSHFORWARD_INLINE Quad loadQuad(const float* p) {
  Quad x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
PUSHFORWARD_INLINE void storeQuad(float* p, Quad x) { __builtin_memcpy(p, &x, sizeof x); }

/** Four lines of four to four steps of four: eight shuffles for sixteen elements, a quarter of what scalar moves cost. */
PUSHFORWARD_INLINE void transposeQuad(const float* lines, int64_t stride, float* out, int64_t outStride) {
  const Quad x0 = loadQuad(lines), x1 = loadQuad(lines + stride), x2 = loadQuad(lines + 2 * stride),
             x3 = loadQuad(lines + 3 * stride);
  const Quad y0 = __builtin_shufflevector(x0, x1, 0, 4, 1, 5), y1 = __builtin_shufflevector(x0, x1, 2, 6, 3, 7),
             y2 = __builtin_shufflevector(x2, x3, 0, 4, 1, 5), y3 = __builtin_shufflevector(x2, x3, 2, 6, 3, 7);
  storeQuad(out, __builtin_shufflevector(y0, y2, 0, 1, 4, 5));
  storeQuad(out + outStride, __builtin_shufflevector(y0, y2, 2, 3, 6, 7));
  storeQuad(out + 2 * outStride, __builtin_shufflevector(y1, y3, 0, 1, 4, 5));
  storeQuad(out + 3 * outStride, __builtin_shufflevector(y1, y3, 2, 3, 6, 7));
}

void packLines(Matrix lines, int64_t count, int64_t depth, float* out, int64_t outStride) {
  const float* from = lines.data;
  const int64_t line = lines.rowStride, step = lines.columnStride;
  if (line == 1) {
    const int64_t whole = count / lanes * lanes;
    const int rest = static_cast<int>(count - whole);
    for (int64_t p = 0; p < depth; ++p, from += step, out += outStride) {
      for (int64_t i = 0; i < whole; i += lanes) store(out + i, load(from + i));
      if (rest > 0) storePartial(out + whole, loadPartial(from + whole, rest), rest);
    }
    return;
  }
  int64_t i = 0;
  if (step == 1)
    for (; i + 4 <= count; i += 4) {
      int64_t p = 0;
      for (; p + 4 <= depth; p += 4) transposeQuad(from + i * line + p, line, out + i + p * outStride, outStride);
      for (; p < depth; ++p)
        for (int64_t t = 0; t < 4; ++t) out[i + t + p * outStride] = from[(i + t) * line + p];
    }
  for (; i < count; ++i)
    for (int64_t p = 0; p < depth; ++p) out[i + p * outStride] = from[i * line + p * step];
}

void packRows(Matrix a, int64_t rows, int64_t first, int64_t last, int64_t depth, float* out) {
  for (int64_t i = first; i < last; ++i) {
    const int64_t row = blockBegin(rows, i), count = blockBegin(rows, i + 1) - row;
    packLines(a.at(row, 0), count, depth, out + row * depth, count);
  }
}

void packColumns(Matrix b, int64_t columns, int64_t depth, float* out) {
  packLines({b.data, b.columnStride, b.rowStride}, columns, depth, out, tileColumns);
  padPanel(out, columns, depth);
}

void padPanel(float* panel, int64_t columns, int64_t depth) {
  const int64_t end = roundUp(columns, lanes);
  if (columns == end) return;
  for (int64_t p = 0; p < depth; ++p)
    for (int64_t j = columns; j < end; ++j) panel[p * tileColumns + j] = 0.0f;
}

template <int rows>
PUSHFORWARD_INLINE TileFunction tileOf(int64_t vectors) {
  return vectors > 1 ? &multiplyTile<rows, tileVectors> : &multiplyTile<rows, 1>;
}

static TileFunction tileOf(int64_t rows, int64_t vectors) {
  switch (rows) {
    case 1:
      return tileOf<1>(vectors);
    case 2:
      return tileOf<2>(vectors);
    case 3:
      return tileOf<3>(vectors);
    case 4:
      return tileOf<4>(vectors);
#if PUSHFORWARD_LANES >= 8
    case 5:
      return tileOf<5>(vectors);
    case 6:
      return tileOf<6>(vectors);
#endif
#if PUSHFORWARD_LANES >= 16
    case 7:
      return tileOf<7>(vectors);
    case 8:
      return tileOf<8>(vectors);
    case 9:
      return tileOf<9>(vectors);
    case 10:
      return tileOf<10>(vectors);
    case 11:
      return tileOf<11>(vectors);
    case 12:
      return tileOf<12>(vectors);
    case 13:
      return tileOf<13>(vectors);
    case 14:
      return tileOf<14>(vectors);
#endif
  }
  return nullptr;
}

void multiplyPanel(const float* a, int64_t rows, int64_t depth, const float* b, int64_t bStride, int64_t columns,
                   float* c, int64_t cStride, bool accumulate, Prefetch next, int64_t nextColumns) {
  const int64_t blocks = blockCount(rows), vectors = ceilDivide(columns, lanes);
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t row = blockBegin(rows, i), count = blockBegin(rows, i + 1) - row;
    // 16 floats are a cache line. Where there is nothing to fetch, the tile asks again for what it has.
    const Prefetch line =
        i * 16 < nextColumns ? Prefetch{next.data + i * 16, next.stride} : Prefetch{a + row * depth, 0};
    tileOf(count, vectors)(depth, a + row * depth, b, bStride, c + row * cStride, cStride, static_cast<int>(columns),
                           accumulate, line);
  }
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
