// The pixels of a convolution's result in groups, and the patches of a group as pieces of memory. A group is a part of some rows of an image:
// the rows that its taps meet are copied once, padded with zeros, and neighbouring pixels' patches overlap there, `stride` pixels apart. Where
// that does not do (narrow images, taps or strides far apart, gaps in the image) a group is a block of pixels whose patches are copied.
#pragma once
#include "ops/conv2d_patches.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr int64_t maxPieces = 64;        // of a patch
constexpr int64_t stripRoom = 40960;     // bytes, which stay in a first-level cache
constexpr int64_t largestStrip = 65536;  // elements, of a single block
constexpr int64_t groupPixels = 112;     // of a strip at most: their results stay in cache until they are finished
constexpr int64_t maxDepth = 1024;       // of a patch that is copied
constexpr int64_t patchStride = maxDepth + 32;  // neighbours begin in different cache sets

/** How all pixels are cut into groups: by the shape alone. */
struct Grouping {
  bool inPlace;
  int64_t rows, columns;        // of a group, at most
  int64_t down, across, count;  // groups of an image along y and x; of all images
  int64_t pitch, elements;      // of a row of a strip; of what a group needs
};

/** Pixels [y, y + rows) × [x, x + columns) of the result of an image; if not in place, `columns` pixels from there on. */
struct Group {
  int64_t image, y, x, rows, columns;
};

/** A row of taps is one piece if nothing lies between them. */
PUSHFORWARD_INLINE int64_t tapsOfPiece(const Patches& s) { return s.dilation[1] == 1 ? s.taps[1] : 1; }

/** Pixels of the image that the patches of `columns` neighbours span. */
PUSHFORWARD_INLINE int64_t spanOf(const Patches& s, int64_t columns) {
  return (columns - 1) * s.stride[1] + (s.taps[1] - 1) * s.dilation[1] + 1;
}

/** Whether strips are no larger than copied patches, and a row of the result fills more than half a tile. */
PUSHFORWARD_INLINE bool staysInPlace(const Patches& s) {
  const int64_t block = minimum(tileRows, s.resultWidth);
  return s.divide[0] == 1 && s.divide[1] == 1 && s.depth() > 0 && 2 * s.resultWidth > tileRows &&
         s.taps[0] * (s.taps[1] / tapsOfPiece(s)) <= maxPieces && spanOf(s, block) <= block * s.taps[1] &&
         s.taps[0] * spanOf(s, block) * s.channels <= largestStrip;
}

template <class Format>
PUSHFORWARD_INLINE Grouping groupingOf(const Patches& s, int64_t batch) {
  if (!staysInPlace(s)) {
    const int64_t blocks = ceilDivide(batch * s.resultHeight * s.resultWidth, Format::rows);
    return {false, 1, Format::rows, 1, 1, blocks, 0, Format::rows * patchStride};
  }
  const int64_t room = stripRoom / static_cast<int64_t>(sizeof(typename Format::Element)) / s.channels;  // in pixels
  const int64_t fit = (room / s.taps[0] - spanOf(s, 1)) / s.stride[1] + 1;
  const int64_t wide = maximum(minimum(groupPixels, fit) / Format::rows, 1) * Format::rows;
  Grouping g{};
  g.inPlace = true;
  g.across = ceilDivide(s.resultWidth, s.resultWidth <= minimum(groupPixels, fit) ? s.resultWidth : wide);
  g.columns = ceilDivide(s.resultWidth, g.across);
  const bool neighbours = g.across == 1 && s.stride[0] == 1 && s.dilation[0] == 1;
  const int64_t high = minimum(groupPixels / g.columns, room / spanOf(s, g.columns) - s.taps[0] + 1);
  g.down = ceilDivide(s.resultHeight, neighbours ? maximum(1, high) : 1);
  g.rows = ceilDivide(s.resultHeight, maximum(1, g.down));
  g.count = batch * g.down * g.across;
  g.pitch = spanOf(s, g.columns) * s.channels;
  g.elements = roundUp((g.rows + s.taps[0] - 1) * g.pitch, 16);
  return g;
}

PUSHFORWARD_INLINE Group groupAt(const Patches& s, const Grouping& g, int64_t pixels, int64_t index) {
  if (!g.inPlace) {
    const int64_t first = index * g.columns, row = first / s.resultWidth;
    return {row / s.resultHeight, row % s.resultHeight, first % s.resultWidth, 1, minimum(g.columns, pixels - first)};
  }
  const int64_t x = index % g.across * g.columns, rest = index / g.across, y = rest % g.down * g.rows;
  return {rest / g.down, y, x, minimum(g.rows, s.resultHeight - y), minimum(g.columns, s.resultWidth - x)};
}

PUSHFORWARD_INLINE int64_t firstPixel(const Patches& s, const Group& group) {
  return (group.image * s.resultHeight + group.y) * s.resultWidth + group.x;
}

/** Elements between the patches of neighbours. */
PUSHFORWARD_INLINE int64_t rowStepOf(const Patches& s, const Grouping& g) {
  return g.inPlace ? s.stride[1] * s.channels : patchStride;
}

/** Blocks of the largest group. */
template <class Format>
PUSHFORWARD_INLINE int64_t blocksOf(const Grouping& g) {
  return g.rows * ceilDivide(g.columns, Format::rows);
}

/** Row `tap` + r of a strip is what result row r of the group meets at that tap; fills rows [firstTap, lastTap + rows of the group). */
template <class Format>
static void fillStrip(const Patches& s, const Grouping& g, const Group& group, const float* image, int64_t firstTap,
                      int64_t lastTap, typename Format::Element* strip) {
  const int64_t line = s.width * s.channels, count = spanOf(s, group.columns) * s.channels;
  const int64_t start = (group.x * s.stride[1] - s.padding[1]) * s.channels;
  const int64_t low = maximum(0, minimum(-start, count)), high = maximum(minimum(line - start, count), low);
  for (int64_t i = firstTap; i < lastTap + group.rows; ++i) {
    const int64_t y = group.y * s.stride[0] + i * s.dilation[0] - s.padding[0];
    typename Format::Element* to = strip + i * g.pitch;
    if (y < 0 || y >= s.height) {
      Format::zero(to, count);
      continue;
    }
    Format::zero(to, low);
    Format::copy(to + low, image + (group.image * s.height + y) * line + start + low, high - low);
    Format::zero(to + high, count - high);
  }
}

/** Makes elements [begin, begin + depth) of the patches of a group available in `room`. */
template <class Format>
PUSHFORWARD_INLINE void fetchPatches(const Patches& s, const Grouping& g, const Group& group, const float* image,
                                     int64_t begin, int64_t depth, typename Format::Element* room) {
  const int64_t line = s.taps[1] * s.channels;
  if (g.inPlace)
    fillStrip<Format>(s, g, group, image, begin / line, (begin + depth - 1) / line, room);
  else
    gatherPatches<Format>(s, image, firstPixel(s, group), group.columns, begin, depth, room, patchStride);
}

/** f(begin, length) for every piece of elements [begin, begin + depth) of a patch. */
template <class F>
PUSHFORWARD_INLINE void forPieces(const Patches& s, const Grouping& g, int64_t begin, int64_t depth, const F& f) {
  const int64_t size = g.inPlace ? tapsOfPiece(s) * s.channels : begin + depth;
  for (int64_t p = begin, length; p < begin + depth; p += length) {
    length = minimum(size - p % size, begin + depth - p);
    f(p, length);
  }
}

/** Elements [begin, begin + depth) of the patch of the first pixel of a strip. */
template <class Element>
PUSHFORWARD_INLINE int64_t piecesOf(const Patches& s, const Grouping& g, const Element* strip, int64_t begin,
                                    int64_t depth, Stretch<Element>* pieces) {
  const int64_t taps = tapsOfPiece(s), size = taps * s.channels, perRow = s.taps[1] / taps;
  int64_t count = 0;
  forPieces(s, g, begin, depth, [&](int64_t p, int64_t length) {
    const int64_t piece = p / size, within = p % size;
    pieces[count++] = {strip + piece / perRow * g.pitch + piece % perRow * s.dilation[1] * s.channels + within, length};
  });
  return count;
}

/** f(blocks) for the blocks of a group, whose patches of an image lie in `room`; as many at once as have `together` tiles. */
template <class Format, int64_t together = Format::together, class Element, class F>
PUSHFORWARD_INLINE void forBlocks(const Patches& s, const Grouping& g, const Group& group, const float* image,
                                  int64_t begin, int64_t depth, const Element* room, const F& f) {
  Stretch<Element> pieces[maxPieces];
  pieces[0] = {room, depth};
  Blocks<Element> blocks;
  blocks.pieces = pieces;
  blocks.rowStep = rowStepOf(s, g);
  blocks.pieceCount = g.inPlace ? piecesOf(s, g, room, begin, depth, pieces) : 1;
  blocks.count = 0;
  // What the next group will copy: rows of the image behind this group's, as many as it has.
  const bool follows = g.inPlace && g.across == 1 && s.stride[0] * s.stride[1] == 1 && s.width == s.resultWidth;
  const int64_t ahead = g.rows + (s.taps[0] - 1) * s.dilation[0] - s.padding[0];
  blocks.next = follows ? image + ahead * s.width * s.channels : nullptr;
  blocks.nextStride = s.channels;
  const int64_t across = ceilDivide(group.columns, Format::rows), pixel = firstPixel(s, group);
  int64_t index = 0, tiles = 0;
  for (int64_t row = 0; row < group.rows; ++row)
    for (int64_t i = 0, column = 0; i < across; ++i, ++index) {
      const int64_t rows = (i + 1) * group.columns / across - column;  // blockBegin without its division
      const int64_t high = Format::tilesOf(rows);
      if (blocks.count > 0 && tiles + high > together) {
        f(static_cast<const Blocks<Element>&>(blocks));
        blocks.count = tiles = 0;
      }
      blocks.block[blocks.count++] = {index, pixel + row * s.resultWidth + column, rows,
                                      row * g.pitch + column * blocks.rowStep};
      tiles += high;
      column += rows;
    }
  if (blocks.count > 0) f(static_cast<const Blocks<Element>&>(blocks));
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
