// The shape of a tile of a product on CUDA, for both sides, and into how many pieces the sums of one are cut.
#pragma once
#include <cstdint>

#include "core/inline.h"

namespace pushforward::cuda {

constexpr int tileRows = 64, tileColumns = 64, tileDepth = 16, productThreads = 256;

/** Blocks of a product that shall fit a multiprocessor: at most 128 registers a thread, and no fewer for a third block. */
constexpr int productBlocks = 2;

PUSHFORWARD_INLINE int64_t tilesOf(int64_t count, int64_t perTile) { return (count + perTile - 1) / perTile; }

/** Sums over `depth` elements as `count` sums over at most `piece` of them, which are added afterwards, in order. */
struct DepthSplit {
  int32_t count;
  int64_t piece;
};

/** Of a product of so many tiles: few tiles of deep sums would leave most of a device idle. Depends on shapes alone. */
PUSHFORWARD_INLINE DepthSplit splitDepth(int64_t tiles, int64_t depth) {
  constexpr int64_t wantedTiles = 256, leastPiece = 128;
  const int64_t wanted = wantedTiles / (tiles > 0 ? tiles : 1), most = tilesOf(depth, leastPiece);
  const int64_t pieces = wanted < most ? wanted : most;
  if (pieces <= 1) return {1, depth};
  const int64_t piece = tilesOf(tilesOf(depth, pieces), tileDepth) * tileDepth;
  return {static_cast<int32_t>(tilesOf(depth, piece)), piece};
}

}  // namespace pushforward::cuda
