// The products of a convolution on AMX, rows of patches as they lie in a strip: 3 or 4 tiles of rows by 16 columns, or 1 or 2 tiles of rows by
// 32. A weight's tile is read once for four tiles of rows: those of a filter [576, 32] fill the first-level cache of a Xeon (Emerald Rapids),
// and two of them for each tile of rows take twice as long as the products. `Tiles` is AmxTiles or an emulation of it (test/amx_conv.test.ts).
#pragma once
#include "cpu/gemm/amx.h"
#include "cpu/gemm/bf16.h"
#include "cpu/gemm/conv_tile.h"

#if PUSHFORWARD_LANES == 16
namespace pushforward::cpu::PUSHFORWARD_ISA {

/** A tile has 16 rows of 64 bytes; a step of depth is 32 bf16, of a panel of 32 columns two tiles of 16 pairs that follow each other. */
constexpr int64_t tileSide = 16, tileWords = tileSide * tileSide, tileDepth = 2 * tileSide;
constexpr int64_t tilesTogether = mostBlocks;

/** Tiles of rows that begin `offset` elements behind each piece; what is fetched meanwhile: c, their results, `gate` and `next`, if anything. */
struct RowTiles {
  const Stretch<uint16_t>* pieces;
  int64_t count, rowStep;
  int64_t offset[tilesTogether];
  const float *c[tilesTogether], *next[tilesTogether], *gate[tilesTogether];
  int64_t cStride, nextStride;

  /** A line of each of four rows. A store waits for its line to come from L3, some hundred cycles. */
  __attribute__((always_inline)) void fetch(int64_t row, int64_t beyond) const {
    if (row >= tilesTogether * tileSide) return;
    const int64_t tile = row / tileSide, within = row % tileSide, step = cStride;
    const float *to = c[tile] + within * step + beyond, *through = gate[tile], *from = next[tile];
    for (int64_t i = 0; i < 4; ++i) __asm__ volatile("prefetchw %0" : : "m"(to[i * step]));
    if (through != nullptr) {
      through += within * step + beyond;
      for (int64_t i = 0; i < 4; ++i) __builtin_prefetch(through + i * step);
    }
    if (nextStride > beyond) {
      const int64_t apart = nextStride;
      from += within * apart + beyond;
      for (int64_t i = 0; i < 4; ++i) __builtin_prefetch(from + i * apart, 0, 2);
    }
  }
};

/** out[tile] = 3 or 4 tiles of rows times the tiles of b that lie 2 KB apart. */
template <class Tiles, int tall>
static void multiplyColumn(const RowTiles& m, const float* b, float* out, int64_t beyond) {
  constexpr int64_t bytes = 4 * tileSide;
  const int64_t stride = 2 * m.rowStep;
  Tiles::template zero<0>();
  Tiles::template zero<1>();
  Tiles::template zero<2>();
  Tiles::template zero<3>();
  int64_t row = 0;
  const int64_t second = m.offset[1] - m.offset[0], third = m.offset[2] - m.offset[0],
                fourth = m.offset[3] - m.offset[0];
  for (int64_t piece = 0; piece < m.count; ++piece) {
    const uint16_t* a = m.pieces[piece].from + m.offset[0];
    for (int64_t left = m.pieces[piece].length; left > 0; left -= tileDepth, a += tileDepth, b += 2 * tileWords) {
      Tiles::template load<7>(b, bytes);
      Tiles::template load<4>(a, stride);
      Tiles::template load<5>(a + second, stride);
      Tiles::template load<6>(a + third, stride);
      m.fetch(row, beyond);
      row += 4;
      Tiles::template dot<0, 4, 7>();
      if (tall > 3) Tiles::template load<4>(a + fourth, stride);
      Tiles::template dot<1, 5, 7>();
      Tiles::template dot<2, 6, 7>();
      if (tall > 3) Tiles::template dot<3, 4, 7>();
    }
  }
  Tiles::template store<0>(out, bytes);
  Tiles::template store<1>(out + tileWords, bytes);
  Tiles::template store<2>(out + 2 * tileWords, bytes);
  if (tall > 3) Tiles::template store<3>(out + 3 * tileWords, bytes);
}

/** out[column tile][tile] = 1 or 2 tiles of rows times both. */
template <class Tiles, int tall>
static void multiplyColumns(const RowTiles& m, const float* b, float* out, int64_t beyond) {
  constexpr int64_t bytes = 4 * tileSide;
  const int64_t stride = 2 * m.rowStep;
  Tiles::template zero<0>();
  Tiles::template zero<1>();
  Tiles::template zero<2>();
  Tiles::template zero<3>();
  int64_t row = 0;
  for (int64_t piece = 0; piece < m.count; ++piece) {
    const uint16_t* a = m.pieces[piece].from;
    for (int64_t left = m.pieces[piece].length; left > 0; left -= tileDepth, a += tileDepth, b += 2 * tileWords) {
      Tiles::template load<4>(a + m.offset[0], stride);
      Tiles::template load<6>(b, bytes);
      Tiles::template load<7>(b + tileWords, bytes);
      if (tall > 1) Tiles::template load<5>(a + m.offset[1], stride);
      m.fetch(row, beyond);
      m.fetch(row, beyond + tileSide);
      row += 4;
      Tiles::template dot<0, 4, 6>();
      if (tall > 1) Tiles::template dot<1, 5, 6>();
      Tiles::template dot<2, 4, 7>();
      if (tall > 1) Tiles::template dot<3, 5, 7>();
    }
  }
  Tiles::template store<0>(out, bytes);
  if (tall > 1) Tiles::template store<1>(out + tileWords, bytes);
  Tiles::template store<2>(out + tall * tileWords, bytes);
  if (tall > 1) Tiles::template store<3>(out + (tall + 1) * tileWords, bytes);
}

/** Floats [depth, columns] of a panel to tiles of pairs; depth is a multiple of 32, `out` the panel or before it. */
static void packTiles(const float* panel, int64_t columns, int64_t depth, float* out) {
  for (int64_t p = 0; p < depth; p += tileDepth, panel += tileDepth * tileColumns, out += 2 * tileWords) {
    float pairs[2 * tileWords];
    pairPanel(panel, columns, tileDepth, pairs);
    for (int64_t i = 0; i < tileSide; ++i)
      for (int64_t half = 0; half < 2; ++half)
        copyFloats(out + half * tileWords + i * tileSide, pairs + (2 * i + half) * tileSide, tileSide);
  }
}

/** Rows [row, last) of some tiles that follow each other, 16 columns, to memory, `most` at a time. */
template <int most = 8>
static void writeRows(const float* tiles, int64_t row, int64_t last, float* c, int64_t cStride, int64_t columns,
                      const Ending& ending) {
  for (; row + most <= last; row += most) {
    Float sum[most][1];
#pragma GCC unroll 8
    for (int i = 0; i < most; ++i) sum[i][0] = load(tiles + (row + i) * tileSide);
    Ending e = ending;
    if (e.left != nullptr) e.left += row;
    if (e.slopes != nullptr) e.slopes += row * e.slopeStride;
    if (e.gate != nullptr) e.gate += row * cStride;
    writeTile<most, 1>(sum, c + row * cStride, cStride, columns, e);
  }
  if constexpr (most > 1) writeRows<most / 2>(tiles, row, last, c, cStride, columns, ending);
}

/** As multiplyEach, of blocks of at most two tiles of rows, four tiles together. */
template <class Tiles, class At>
static void multiplyRowTiles(const Blocks<uint16_t>& blocks, const float* matrix, int64_t depth, int64_t columns,
                             int64_t cStride, const At& at) {
  alignas(64) float sums[tilesTogether * tileWords];
  RowTiles m{blocks.pieces, matrix == nullptr ? 0 : blocks.pieceCount,     blocks.rowStep, {}, {}, {}, {},
             cStride,       blocks.next == nullptr ? 0 : blocks.nextStride};
  float* c[tilesTogether];
  Ending endings[tilesTogether];
  int64_t tall = 0;
  for (int64_t i = 0; i < blocks.count; ++i) {
    const Block& block = blocks.block[i];
    at(block, c[i], endings[i]);
    for (int64_t row = 0; row < block.rows; row += tileSide, ++tall) {
      m.offset[tall] = block.offset + row * blocks.rowStep;
      m.c[tall] = c[i] + row * cStride;
      m.gate[tall] = endings[i].gateIsFar ? endings[i].gate + row * cStride : nullptr;
      m.next[tall] = blocks.next == nullptr ? nullptr : blocks.next + (block.pixel + row) * blocks.nextStride;
    }
  }
  for (int64_t i = tall; i < tilesTogether; ++i) m.c[i] = m.c[0], m.next[i] = m.next[0], m.gate[i] = m.gate[0];
  const auto write = [&](const float* from, int64_t j) {
    for (int64_t i = 0; i < blocks.count; ++i) {
      const int64_t rows = blocks.block[i].rows;
      writeRows(from, 0, rows, c[i] + j, cStride, columns - j, endings[i]);
      endings[i].moveAlong(tileSide);
      from += roundUp(rows, tileSide) * tileSide;
    }
  };
  for (int64_t j = 0; j < columns; j += tall > 2 ? tileSide : tileColumns) {
    const float* b = matrix + j / tileColumns * tileColumns * depth + j % tileColumns / tileSide * tileWords;
    switch (tall) {
      case 1:
        multiplyColumns<Tiles, 1>(m, b, sums, j);
        break;
      case 2:
        multiplyColumns<Tiles, 2>(m, b, sums, j);
        break;
      case 3:
        multiplyColumn<Tiles, 3>(m, b, sums, j);
        break;
      default:
        multiplyColumn<Tiles, 4>(m, b, sums, j);
    }
    write(sums, j);
    if (tall <= 2 && j + tileSide < columns) write(sums + tall * tileWords, j + tileSide);
  }
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
#endif
