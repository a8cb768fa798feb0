// How the product of a convolution is cut into passes over blocks of columns, depth and directions, and what each part needs in scratch.
#pragma once
#include "cpu/micro.h"
#include "ops/conv2d_strip.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr int64_t matrixRoom = 65536;            // floats of a block of w, 256 KB
constexpr int64_t tangentRoom = 3 * matrixRoom;  // and of all tangents together
constexpr int64_t maxColumns = microBlock;       // of a block
constexpr int64_t maxGroup = 64;                 // directions or factors of a pass

/** How the work is cut: by the shape alone. */
struct Cut {
  int64_t pixels, depth, columns;     // of the whole product
  int64_t depthBlock, columnBlock;    // of a pass
  int64_t group;                      // directions of a pass
  int64_t matrix, tangents, factors;  // floats of w, of what is made of ẇ, factors of a pass
  Grouping grouping;                  // of the pixels
  int64_t rowStep;                    // elements between the patches of neighbours
};

template <class Format>
static Cut cutOf(const Patches& patches, int64_t batch, int64_t columns, int64_t directions,
                 const TangentOperand& wDot) {
  Cut cut{};
  const int64_t depth = patches.depth();
  cut.grouping = groupingOf<Format>(patches, batch);
  cut.rowStep = rowStepOf(patches, cut.grouping);
  cut.pixels = batch * patches.resultHeight * patches.resultWidth;
  cut.depth = depth;
  cut.columns = columns;
  const int64_t deep = ceilDivide(depth, maximum(1, ceilDivide(depth, maxDepth)));
  cut.depthBlock = maximum(1, ceilDivide(deep, Format::depthStep)) * Format::depthStep;
  const int64_t room = minimum(matrixRoom / cut.depthBlock, maxColumns) / tileColumns * tileColumns;
  const int64_t wide = maximum(tileColumns, minimum(roundUp(columns, tileColumns), room));
  // As equal as can be: 3 blocks of 64, not 128 and 64.
  cut.columnBlock = roundUp(maximum(1, ceilDivide(columns, maximum(1, ceilDivide(columns, wide)))), tileColumns);
  cut.matrix = cut.depthBlock * cut.columnBlock;
  cut.group = minimum(directions, maxGroup);
  if (wDot.kind == TangentKind::lowRank) {
    cut.group = minimum(cut.group, maximum(1, maxGroup / wDot.rank));
    cut.factors = cut.group * wDot.rank;
    cut.tangents = cut.factors * (cut.depthBlock + cut.columnBlock);
  } else if (wDot.kind != TangentKind::zero) {
    cut.group = minimum(cut.group, maximum(1, tangentRoom / cut.matrix));
    cut.tangents = cut.group * cut.matrix;
  }
  return cut;
}

/** Of a group: its patches, which factors of rank one meet as floats. */
template <class Format>
static int64_t patchesOf(const Cut& cut) {
  const int64_t elements = cut.grouping.elements + Format::slack * cut.rowStep;
  return cut.factors > 0 ? elements
                         : roundUp(elements * static_cast<int64_t>(sizeof(typename Format::Element)) / 4, 16);
}

/** Of a group: the projections of its blocks on all factors. */
template <class Format>
static int64_t projectionsOf(const Cut& cut) {
  return roundUp(blocksOf<Format>(cut.grouping) * cut.factors * Format::rows, 16);
}

/** Of a group: act' at all results of a pass; or a block of x̄ on its way to a lattice. */
template <class Format>
static int64_t slopesOf(const Cut& cut) {
  return roundUp(blocksOf<Format>(cut.grouping) * Format::rows * cut.columnBlock + lanes, 16);
}

template <class Format>
static int64_t threadFloats(const Cut& cut) {
  return patchesOf<Format>(cut) + projectionsOf<Format>(cut) + slopesOf<Format>(cut) + microScratch;
}

template <class Format>
static size_t scratchOf(const Cut& cut, int threads) {
  return static_cast<size_t>(
      4 * (cut.matrix + cut.tangents + cut.group * cut.columnBlock + threads * threadFloats<Format>(cut)));
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
