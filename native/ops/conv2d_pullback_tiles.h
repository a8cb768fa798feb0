// w̄ = Pᵀ δ on AMX (conv2d_pullback_kernel.cpp says what P and δ are): tiles of δᵀ times tiles of pairs of pixels (cpu/gemm/conv_sums.h). A row
// of w̄ is a tap along y and a column, which is a tap along x and a channel: taps along y read the same tiles some rows further on, and each
// column has its own, so that a pixel of δ meets nothing that is not multiplied by it: beyond the edge 0 · ∞ would be NaN. A task makes the
// tiles of a group of pixels, in the second-level cache, and takes as many of δ's as the first level holds by all columns. The sums of pieces of
// the groups are tiles too, added in order at the end.
#pragma once
#include "cpu/gemm/conv_sums.h"
#include "cpu/parallel.h"
#include "ops/conv2d_bias_sums.h"
#include "ops/conv2d_strip.h"

#if PUSHFORWARD_LANES == 16
namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr int64_t stepsTogether = 7;    // of δ, 28 KB
constexpr int64_t mostSums = 1 << 20;   // words of all pieces
constexpr int64_t pixelRoom = 3 << 15;  // words of pairs of pixels, 384 KB
constexpr int64_t mostColumns = 256;    // pixels of a row of a group
constexpr int64_t leastPixels = 2048;   // of a piece
constexpr int64_t mostTasks = 16;

struct TileSums {
  Patches patches;
  Grouping grouping;
  int64_t filters, filterTiles;
  int64_t line, blocks;    // columns; blocks of 32 of them
  int64_t shares, wide;    // of `wide` blocks
  int64_t pieces, length;  // of `length` groups
  int64_t pairsOfRow, stripRows;

  int64_t sums() const { return patches.taps[0] * filterTiles * 2 * blocks * tileWords; }
  int64_t pairs() const { return grouping.rows * pairsOfRow; }
  int64_t deltaWords() const { return ceilDivide(pairs(), tileSide) * filterTiles * tileWords; }
  int64_t pixelWords() const { return 2 * wide * stripRows * pairsOfRow * tileSide; }
  int64_t lineWords() const { return roundUp(ceilDivide(grouping.pitch + pairColumns, 2), tileSide); }
  int64_t biases() const { return roundUp(pieces * filters, tileSide); }
  int64_t threadWords() const {
    return deltaWords() + pixelWords() + lineWords() + 2 * tileWords + biasFloats(filters);
  }
};

/** A block of columns is one piece of memory, and nothing divides. */
static bool sumsOnTiles(const Conv2dShape& c) {
  return c.channels > 0 && (c.dilation[1] == 1 || c.channels % pairColumns == 0);
}

static TileSums tileSumsOf(const Conv2dShape& c) {
  TileSums s{};
  s.patches = patchesOfInput(c);
  s.filters = c.filters;
  s.filterTiles = ceilDivide(c.filters, tileSide);
  s.line = c.kernel[1] * c.channels;
  s.blocks = ceilDivide(s.line, pairColumns);
  const int64_t pixels = c.batch * c.outHeight * c.outWidth;
  const int64_t room = minimum(mostSums / maximum(1, s.sums()), pixels / leastPixels);
  s.pieces = maximum(1, minimum(mostTasks, room));
  s.wide = maximum(1, ceilDivide(s.blocks, ceilDivide(mostTasks, s.pieces)));
  s.shares = ceilDivide(s.blocks, s.wide);

  Grouping& g = s.grouping;
  g.inPlace = true;
  g.across = maximum(1, ceilDivide(c.outWidth, mostColumns));
  g.columns = ceilDivide(c.outWidth, g.across);
  s.pairsOfRow = ceilDivide(g.columns, 2);
  const bool neighbours = c.stride[0] == 1 && c.dilation[0] == 1;
  const int64_t rows = pixelRoom / maximum(1, 2 * s.wide * s.pairsOfRow * tileSide) - c.kernel[0] + 1;
  g.down = neighbours ? ceilDivide(c.outHeight, maximum(1, minimum(rows, c.outHeight))) : c.outHeight;
  g.rows = ceilDivide(c.outHeight, maximum(1, g.down));
  g.count = c.batch * g.down * g.across;
  g.pitch = spanOf(s.patches, g.columns) * c.channels;
  s.stripRows = g.rows + c.kernel[0] - 1;
  s.length = maximum(1, ceilDivide(g.count, s.pieces));
  s.pieces = maximum(1, ceilDivide(g.count, s.length));
  return s;
}

static size_t tileSumsScratch(const Conv2dShape& c, int threads) {
  const TileSums s = tileSumsOf(c);
  return static_cast<size_t>(4 * (s.pieces * s.sums() + s.biases() + threads * s.threadWords()));
}

/** Words of a thread. */
struct TileRoom {
  uint32_t *delta, *pixels, *last;
  uint16_t* line;
  float* biases;
};
static TileRoom roomOf(const TileSums& s, uint32_t* scratch) {
  uint32_t *pixels = scratch + s.deltaWords(), *last = pixels + s.pixelWords(), *line = last + 2 * tileWords;
  return {scratch, pixels, last, reinterpret_cast<uint16_t*>(line), reinterpret_cast<float*>(line + s.lineWords())};
}

/** Tiles of the columns [32·begin, 32·end) of a group: [column tile][row][pair]. */
static void packPixels(const TileSums& s, const Group& group, const float* x, int64_t begin, int64_t end,
                       const TileRoom& room) {
  const int64_t channels = s.patches.channels, row = ceilDivide(group.columns, 2) * tileSide;
  const int64_t tiles = s.stripRows * s.pairsOfRow * tileSide;
  Grouping single = s.grouping;
  single.pitch = 0;
  Group one = group;
  one.rows = 1;
  for (int64_t i = 0; i < group.rows + s.patches.taps[0] - 1; ++i) {
    fillStrip<TileElements>(s.patches, single, one, x, i, i, room.line);
    for (int64_t block = begin; block < end; ++block) {
      const int64_t column = block * pairColumns;
      const int64_t place = column / channels * s.patches.dilation[1] * channels + column % channels;
      pairPixels(room.line + place, group.columns, s.patches.stride[1] * channels,
                 room.pixels + 2 * (block - begin) * tiles + i * row, tiles);
    }
  }
}

/** The last step of a column tile, if it is not full. */
static void copyLast(const uint32_t* from, int64_t pairs, uint32_t* out) {
  for (int64_t i = 0; i < tileSide; ++i)
    _mm512_store_si512(out + i * tileSide, i < pairs ? _mm512_load_si512(from + i * tileSide) : __m512i{});
}

/** x or δ of the group that follows, `floats` a pixel, in so many steps. */
static Ahead aheadOf(const TileSums& s, const Group& group, int64_t height, int64_t width, const float* image,
                     int64_t floats, int64_t steps) {
  const bool follows = s.grouping.across == 1 && s.patches.stride[0] * s.patches.stride[1] == 1;
  const int64_t pixel = (group.image * height + group.y + group.rows) * width;
  return {image + pixel * floats, follows ? ceilDivide(group.rows * width * floats, 16 * steps) : 0};
}

/** Columns [32·begin, 32·end) of w̄ (+)= those of a group; `biases` take its δ. */
template <class Tiles>
static void sumGroup(const TileSums& s, const Group& group, const float* x, const float* delta, int64_t begin,
                     int64_t end, const TileRoom& room, float* sums, BiasSums& biases, bool accumulate) {
  const PixelRows pixels = {delta + firstPixel(s.patches, group) * s.filters, group.rows, group.columns,
                            s.patches.resultWidth, s.filters};
  const int64_t pairs = pixels.pairs(), steps = ceilDivide(pairs, tileSide), rest = pairs % tileSide;
  for (int64_t tile = 0; tile < s.filterTiles; tile += filterTiles)
    packCotangent(pixels, tile * tileSide, minimum(filterTiles, s.filterTiles - tile),
                  room.delta + tile * steps * tileWords);
  const bool whole = group.columns == s.patches.resultWidth;
  for (int64_t i = 0; i < (whole ? 1 : group.rows); ++i)
    biases.add(pixels.first + i * pixels.pitch * s.filters, whole ? group.rows * group.columns : group.columns);
  packPixels(s, group, x, begin, end, room);
  const int64_t row = pixels.pairsOfRow() * tileSide, tiles = s.stripRows * s.pairsOfRow * tileSide;
  const int64_t parts = ceilDivide(steps, stepsTogether);
  const int64_t all =
      steps * ceilDivide(s.filterTiles, filterTiles) * (s.filterTiles > 2 ? 2 : 1) * (end - begin) * s.patches.taps[0];
  Ahead ofX = aheadOf(s, group, s.patches.height, s.patches.width, x, s.patches.channels, all);
  Ahead ofDelta = aheadOf(s, group, s.patches.resultHeight, s.patches.resultWidth, delta, s.filters, all);
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t first = part * steps / parts, next = (part + 1) * steps / parts;
    const bool partial = next == steps && rest != 0;
    for (int64_t tile = 0; tile < s.filterTiles; tile += filterTiles) {
      const int64_t tall = minimum(filterTiles, s.filterTiles - tile), together = tall > 2 ? 1 : 2;
      for (int64_t column = 2 * begin; column < 2 * end; column += together)
        for (int64_t tap = 0; tap < s.patches.taps[0]; ++tap) {
          const uint32_t* from = room.pixels + (column - 2 * begin) * tiles + tap * row + first * tileWords;
          const uint32_t* last = from + (next - first - 1) * tileWords;
          for (int64_t i = 0; partial && i < together; ++i) copyLast(last + i * tiles, rest, room.last + i * tileWords);
          float* c = sums + ((tap * s.filterTiles + tile) * 2 * s.blocks + column * tall) * tileWords;
          sumSteps<Tiles>(tall, {room.delta + (tile * steps + first * tall) * tileWords, from,
                                 partial ? room.last : last, next - first, tall * tileWords, tiles,
                                 partial ? tileWords : tiles, c, accumulate || part > 0, ofX, ofDelta});
          ofX.next += (next - first) * ofX.lines * 16, ofDelta.next += (next - first) * ofDelta.lines * 16;
        }
    }
  }
}

/** 32 columns of 16 filters, of tap `tap` along y: rows of w̄. */
static void finishSums(const TileSums& s, const float* sums, int64_t tap, int64_t tile, int64_t block, float* wBar) {
  const int64_t group = tile / filterTiles * filterTiles, tall = minimum(filterTiles, s.filterTiles - group);
  const int64_t filters = minimum(tileSide, s.filters - tile * tileSide);
  for (int64_t odd = 0; odd < 2; ++odd) {
    const float* from =
        sums + ((tap * s.filterTiles + group) * 2 * s.blocks + (2 * block + odd) * tall + tile - group) * tileWords;
    __m512i rows[tileSide];
    for (int64_t i = 0; i < tileSide; ++i) {
      Float sum = load(from + i * tileSide);
      for (int64_t piece = 1; piece < s.pieces; ++piece) sum = sum + load(from + piece * s.sums() + i * tileSide);
      rows[i] = (__m512i)sum;
    }
    transposeWords(rows);
    for (int64_t i = 0; i < tileSide; ++i) {
      const int64_t column = block * pairColumns + 2 * i + odd;
      if (column >= s.line) break;
      storePartial(wBar + (tap * s.line + column) * s.filters + tile * tileSide, (Float)rows[i],
                   static_cast<int>(filters));
    }
  }
}

template <class Tiles>
static void filterPullbackOnTiles(const KernelCall& call, float* bBar) {
  const Conv2dShape& c = *static_cast<const Conv2dShape*>(call.parameters);
  const float *x = static_cast<const float*>(call.operands[0]), *delta = static_cast<const float*>(call.operands[1]);
  float* wBar = static_cast<float*>(call.operands[2]);
  const TileSums s = tileSumsOf(c);
  if (s.filters <= 0) return;
  if (s.grouping.count <= 0 && bBar != nullptr) zeroFloats(bBar, s.filters);
  if (s.grouping.count <= 0) return zeroFloats(wBar, c.kernel[0] * s.line * s.filters);
  float *sums = static_cast<float*>(call.scratch), *biases = sums + s.pieces * s.sums();
  uint32_t* scratch = reinterpret_cast<uint32_t*>(biases + s.biases());
  const int64_t pixels = c.batch * c.outHeight * c.outWidth;
  parallelFor(call, s.shares * s.pieces, [&](int64_t task, int thread) {
    const int64_t piece = task / s.shares, begin = task % s.shares * s.wide;
    const int64_t start = piece * s.length, stop = minimum(s.grouping.count, start + s.length);
    const TileRoom room = roomOf(s, scratch + thread * s.threadWords());
    BiasSums ofDelta = {bBar == nullptr || begin > 0 ? nullptr : room.biases, s.filters, 0};
    Tiles::configure();
    for (int64_t i = start; i < stop; ++i)
      sumGroup<Tiles>(s, groupAt(s.patches, s.grouping, pixels, i), x, delta, begin, minimum(s.blocks, begin + s.wide),
                      room, sums + piece * s.sums(), ofDelta, i > start);
    Tiles::release();
    ofDelta.total(biases + piece * s.filters);
  });
  if (bBar != nullptr) addBiases(biases, s.pieces, s.filters, bBar);
  parallelFor(call, c.kernel[0] * s.filterTiles, [&](int64_t task, int) {
    for (int64_t block = 0; block < s.blocks; ++block)
      finishSums(s, sums, task / s.filterTiles, task % s.filterTiles, block, wBar);
  });
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
#endif
