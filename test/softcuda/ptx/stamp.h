#pragma once
#include <cstdint>

namespace softcuda {

// Who accessed a word last, and when: (block number << 32) | time << 12 | warp << 6 | lane. Shared memory keeps the low half
// alone. A block's time counts its barriers and warp barriers. An earlier access A is ordered before an access B of
// warp w, lane l when
//   A is of an earlier launch, or
//   A is of the same block, and a barrier of the block came between, or
//   A is of the same warp, and the same lane, or a bar.warp.sync of that warp came between.
// Anything else is a race when one of the two writes, unless both are atomic, or (blocks of one launch) A's block has
// executed a fence since A and B's block an atomic operation: the last-block-reduces idiom.
constexpr uint32_t kLaneBits = 6, kWarpBits = 6, kTimeShift = kLaneBits + kWarpBits;
constexpr uint32_t kLaneMask = (1u << kLaneBits) - 1, kWarpMask = ((1u << kWarpBits) - 1) << kLaneBits;
constexpr uint32_t kManyLanes = 32;  // of this warp have read
constexpr uint32_t kAtomic = 33;     // lane field: written by an atomic operation
constexpr uint32_t kManyWarps = 32u << kLaneBits | kManyLanes;
constexpr uint32_t kManyBlocks = 0xFFFFFFFFu;  // low half
constexpr uint32_t kMaxTime = (1u << (32 - kTimeShift)) - 2;

// Special stamps of global memory, below those of every block.
constexpr uint64_t kUnallocated = 0, kUnwritten = 1, kHostWrote = 2;
// Write stamps of a word whose bytes have stamps of their own, and of a word that cp.async is about to write.
template <class Stamp>
constexpr Stamp kSplit = static_cast<Stamp>(~Stamp{0});
template <class Stamp>
constexpr Stamp kInFlight = static_cast<Stamp>(~Stamp{0} - 1);

inline uint64_t blockOf(uint64_t stamp) { return stamp >> 32; }
inline uint64_t blockOf(uint32_t) { return 0; }

// A memory with its stamps as one warp sees it.
template <class Stamp_>
struct View {
  using Stamp = Stamp_;
  std::byte* data = nullptr;
  Stamp *writes = nullptr, *reads = nullptr;          // by word
  Stamp *byteWrites = nullptr, *byteReads = nullptr;  // by byte, where the word's write stamp is kSplit
  uint64_t base = 0, extent = 0;                      // addresses [base, base + extent)
  Stamp quiet = 0;                                    // stamps below are ordered before this block's every access
  Stamp barrier = 0;                                  // stamps of this block below are ordered by a barrier
  Stamp warpSync = 0;                                 // stamps of this warp below are ordered by a warp barrier
  Stamp own = 0;                                      // of this warp now, lane 0

  bool ordered(Stamp s, uint32_t lane) const {
    if (s < quiet) return true;
    if (blockOf(s) != blockOf(own)) return false;
    if (s < barrier) return true;
    if ((s ^ own) & kWarpMask) return false;
    return (s & kLaneMask) == lane || s < warpSync;
  }
  // The read stamp after a read by `lane`.
  Stamp merged(Stamp old, uint32_t lane) const {
    if (old < quiet) return own | lane;
    if (blockOf(old) != blockOf(own)) return own | static_cast<Stamp>(kManyBlocks);
    if (old < barrier) return own | lane;
    if (static_cast<uint32_t>(old) == kManyBlocks) return old;
    if ((old ^ own) & kWarpMask) return (own & ~static_cast<Stamp>(kWarpMask)) | kManyWarps;
    return old >= warpSync && (old & kLaneMask) != lane ? own | kManyLanes : own | lane;
  }
};

}  // namespace softcuda
