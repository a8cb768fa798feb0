// The innermost product of pairs of bf16 on AMX: 32 × 32 results in four tiles, two tiles of each operand. Written for a
// class with the four things that tiles do, so that the same loops can be checked with an emulation of them
// (test/amx.test.ts): few machines have AMX.
#pragma once
#include <cstdint>

namespace pushforward {

/** The instructions. A tile is 16 rows of 64 bytes, `stride` bytes apart in memory. */
struct AmxTiles {
  /** Before the first of the others, on every thread. */
  static void configure() {
    struct alignas(64) Configuration {
      uint8_t palette = 1, startRow = 0, reserved[14] = {};
      uint16_t rowBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } configuration;
    __asm__ volatile("ldtilecfg %0" : : "m"(configuration));
  }
  /** After the last: a thread with live tiles is slow to switch. */
  static void release() { __asm__ volatile("tilerelease"); }

  template <int tile>
  static void zero() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(tile));
  }
  template <int tile>
  static void load(const void* from, int64_t stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(tile) : "memory");
  }
  /** As load, of what is not read again soon: it leaves the first-level cache to what is. */
  template <int tile>
  static void stream(const void* from, int64_t stride) {
    __asm__ volatile("tileloaddt1 (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(tile) : "memory");
  }
  /** sum[i, j] += Σ_p a[i, p]·b[p, j], pairs p < 16. */
  template <int sum, int a, int b>
  static void dot() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(a), "i"(b));
  }
  template <int tile>
  static void store(void* to, int64_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(tile) : "memory");
  }
};

/** Rows of 32 pairs, 16 for each step; those of the last step may lie apart, where the panel's own are not padded. */
struct TilePanel {
  const uint32_t* data;
  const uint32_t* last = nullptr;

  const uint32_t* at(int64_t step, int64_t steps) const {
    return last != nullptr && step + 1 == steps ? last : data + step * 512;
  }
};

/**
 * c [rows, columns] (+)= a b, rows and columns ≤ 32. a: `steps` times `rows` rows of 16 pairs. Tiles of a that are not full
 * read up to 15 rows that follow (their results are dropped), so 1 KB beyond a's last must be readable. Each step brings
 * `nextLines` more lines of `next`, 16 words each, into L2.
 */
template <class Tiles>
static void multiplyTiles(int64_t rows, int64_t steps, const uint32_t* a, TilePanel panel, int64_t columns, float* c,
                          int64_t cStride, bool accumulate, const uint32_t* next = nullptr, int64_t nextLines = 0) {
  constexpr int64_t side = 16, wide = 2 * side, rowBytes = 64, panelBytes = 4 * wide;
  const bool tall = rows > side, broad = columns > side;
  // Tiles that are not full go through a buffer.
  const bool direct = rows % side == 0 && columns % side == 0;
  alignas(64) float room[wide * wide];
  float* to = direct ? c : room;
  const int64_t stride = direct ? 4 * cStride : panelBytes, below = side * stride / 4;
  if (direct && accumulate) {
    Tiles::template load<0>(to, stride);
    if (broad) Tiles::template load<1>(to + side, stride);
    if (tall) Tiles::template load<2>(to + below, stride);
    if (tall && broad) Tiles::template load<3>(to + below + side, stride);
  } else {
    Tiles::template zero<0>();
    Tiles::template zero<1>();
    Tiles::template zero<2>();
    Tiles::template zero<3>();
  }
  for (int64_t s = 0; s < steps; ++s, a += rows * side) {
    const uint32_t* b = panel.at(s, steps);
    // All loads before the first product: on a Xeon (Emerald Rapids) 2,600 instead of 2,200 GFLOP/s.
    Tiles::template stream<4>(a, rowBytes);
    Tiles::template load<6>(b, panelBytes);
    if (broad) Tiles::template load<7>(b + side, panelBytes);
    if (tall) Tiles::template stream<5>(a + side * side, rowBytes);
    for (int64_t i = 0; i < nextLines; ++i, next += side) __builtin_prefetch(next, 0, 2);
    Tiles::template dot<0, 4, 6>();
    if (broad) Tiles::template dot<1, 4, 7>();
    if (tall) Tiles::template dot<2, 5, 6>();
    if (tall && broad) Tiles::template dot<3, 5, 7>();
  }
  Tiles::template store<0>(to, stride);
  if (broad) Tiles::template store<1>(to + side, stride);
  if (tall) Tiles::template store<2>(to + below, stride);
  if (tall && broad) Tiles::template store<3>(to + below + side, stride);
  if (direct) return;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      c[i * cStride + j] = accumulate ? c[i * cStride + j] + room[i * wide + j] : room[i * wide + j];
}

/** Blocks of 32 × 32 results, which need no buffer: as multiplyTiles, `count` of them one below the other. */
template <class Tiles>
struct WholeBlocks {
  static constexpr int64_t side = 16, wide = 2 * side, stepWords = side * wide;
  int64_t steps, stride;  // stride: of c, floats
  bool accumulate;
  const uint32_t* next;
  int64_t nextLines;

  void load(const uint32_t* a, const uint32_t* b) {
    Tiles::template stream<4>(a, 4 * side);
    Tiles::template load<6>(b, 4 * wide);
    Tiles::template load<7>(b + side, 4 * wide);
    Tiles::template stream<5>(a + side * side, 4 * side);
    for (int64_t i = 0; i < nextLines; ++i, next += side) __builtin_prefetch(next, 0, 2);
  }
  template <int tile>
  void dot() {
    Tiles::template dot<tile, 4 + tile / 2, 6 + tile % 2>();
  }
  template <int tile>
  void store(float* c) {
    Tiles::template store<tile>(c + tile / 2 * side * stride + tile % 2 * side, 4 * stride);
  }
  /** Stores what a tile has summed to `done`, if anything, and takes its first step for c. */
  template <int tile>
  void begin(float* done, const float* c) {
    if (done != nullptr) store<tile>(done);
    if (accumulate)
      Tiles::template load<tile>(c + tile / 2 * side * stride + tile % 2 * side, 4 * stride);
    else
      Tiles::template zero<tile>();
    dot<tile>();
  }
  void multiply(int64_t count, const uint32_t* a, TilePanel b, float* c) {
    float* done = nullptr;
    for (; count > 0; --count, done = c, c += wide * stride) {
      // While the sums of one block are stored, the next is multiplied.
      load(a, b.at(0, steps));
      begin<0>(done, c);
      begin<1>(done, c);
      begin<2>(done, c);
      begin<3>(done, c);
      a += stepWords;
      for (int64_t s = 1; s < steps; ++s, a += stepWords) {
        load(a, b.at(s, steps));
        dot<0>();
        dot<1>();
        dot<2>();
        dot<3>();
      }
    }
    if (done == nullptr) return;
    store<0>(done);
    store<1>(done);
    store<2>(done);
    store<3>(done);
  }
};

/**
 * Blocks [first, last) of 32 rows each: c (+)= a b for `depth` of depth. Block i of a begins at row 32·i; b is one panel of
 * pairs, padded to whole steps. `next`, which may be nothing, is a panel of the same size that will be read after it; all
 * blocks that multiply b, `blocks` if more than these, fetch it together, `before` of them in other calls.
 */
template <class Tiles>
static void multiplyTileBlocks(const uint32_t* a, int64_t rows, int64_t first, int64_t last, int64_t depth, TilePanel b,
                               int64_t columns, float* c, int64_t cStride, bool accumulate,
                               const uint32_t* next = nullptr, int64_t before = 0, int64_t blocks = 0) {
  constexpr int64_t together = 32, words = 16;
  const int64_t steps = (depth + together - 1) / together;
  // A step's 32 lines of it, shared out among the blocks.
  const int64_t sharers = blocks > last - first ? blocks : last - first;
  const int64_t lines = next == nullptr ? 0 : (together + sharers - 1) / sharers;
  next += before * steps * lines * words;
  const int64_t complete = rows / together < last ? rows / together : last;
  const int64_t whole = columns == together && complete > first ? complete - first : 0;
  if (whole > 0) {
    WholeBlocks<Tiles>{steps, cStride, accumulate, next, lines}.multiply(whole, a + first * together * steps * words, b,
                                                                         c + first * together * cStride);
    first += whole;
    next += whole * steps * lines * words;
  }
  for (; first < last; ++first, next += steps * lines * words) {
    const int64_t row = first * together, count = rows - row < together ? rows - row : together;
    multiplyTiles<Tiles>(count, steps, a + row * steps * words, b, columns, c + row * cStride, cStride, accumulate,
                         next, lines);
  }
}

}  // namespace pushforward
