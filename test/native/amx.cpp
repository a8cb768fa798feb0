// The loops around AMX's instructions, with an emulation of the instructions: packing, tiles that are not full, blocks of rows. Whole
// numbers, so that every order of summing gives the same bits. Prints the cases that are wrong; test/amx.test.ts compiles and runs it.
#include <cstdio>
#include <cstring>
#include <vector>

#include "cpu/gemm/amx.h"
#include "cpu/gemm/bf16_format.h"
#include "cpu/gemm/conv_format.h"

using namespace pushforward;
using namespace pushforward::cpu::PUSHFORWARD_ISA;

namespace {

/** What the manual says of TILEZERO, TILELOADD, TDPBF16PS and TILESTORED, 16 rows of 64 bytes a tile. */
struct EmulatedTiles {
  static inline uint32_t tile_[8][16][16];
  static inline bool configured_ = false;

  static float number(uint32_t word, bool upper) {
    const uint32_t bits = upper ? word & 0xFFFF0000u : word << 16;
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
  }
  static void configure() { configured_ = true; }
  static void release() { configured_ = false; }
  template <int tile>
  static void zero() {
    std::memset(tile_[tile], configured_ ? 0 : 0xFF, sizeof tile_[tile]);
  }
  template <int tile>
  static void load(const void* from, int64_t stride) {
    for (int i = 0; i < 16; ++i) std::memcpy(tile_[tile][i], static_cast<const char*>(from) + i * stride, 64);
  }
  template <int sum, int a, int b>
  static void dot() {
    for (int i = 0; i < 16; ++i)
      for (int p = 0; p < 16; ++p)
        for (int j = 0; j < 16; ++j) {
          float c;
          std::memcpy(&c, &tile_[sum][i][j], sizeof c);
          for (bool upper : {false, true}) c += number(tile_[a][i][p], upper) * number(tile_[b][p][j], upper);
          std::memcpy(&tile_[sum][i][j], &c, sizeof c);
        }
  }
  template <int tile>
  static void store(void* to, int64_t stride) {
    for (int i = 0; i < 16; ++i) std::memcpy(static_cast<char*>(to) + i * stride, tile_[tile][i], 64);
  }
};

uint32_t state = 1;
float whole() {
  state = state * 1664525u + 1013904223u;
  return static_cast<float>(static_cast<int>(state >> 8) % ((state & 7) == 0 ? 511 : 7));
}

/** c (+)= A B of one panel; a lies row by row or, `across`, column by column, b may be transposed or drawn (made in place). */
bool check(int64_t rows, int64_t depth, int64_t columns, bool across, int how, bool accumulate) {
  std::vector<float> a(rows * depth), b(depth * columns), c(rows * 40, 3.0f), expected(c);
  for (float& x : a) x = whole();
  for (float& x : b) x = whole();
  const Matrix left = {a.data(), across ? 1 : depth, across ? rows : 1};
  const Matrix right = {b.data(), how == 1 ? 1 : columns, how == 1 ? depth : 1};
  // Beyond the packed rows memory is read, but must not count; what is padded must be zero in both, for 0 · NaN is NaN.
  const float nothing = __builtin_nanf("");
  std::vector<float> packed(TileFormat::floats(rows, depth) + 256, nothing), panel(panelFloats, nothing);
  TileFormat::packRows(left, rows, 0, TileFormat::blocks(rows), depth, packed.data());
  if (how == 2) {
    for (int64_t p = 0; p < depth; ++p)
      for (int64_t j = 0; j < columns; ++j) panel[p * tileColumns + j] = *right.at(p, j).data;
    TileFormat::finishPanel(panel.data(), columns, depth);
  } else {
    TileFormat::packColumns(right, columns, depth, panel.data());
  }
  for (int64_t i = 0; i < TileFormat::blocks(rows); ++i)
    multiplyTileBlocks<EmulatedTiles>(reinterpret_cast<uint32_t*>(packed.data()), rows, i, i + 1, depth,
                                      reinterpret_cast<uint32_t*>(panel.data()), columns, c.data(), 40, accumulate);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      float sum = accumulate ? 3.0f : 0.0f;
      for (int64_t p = 0; p < depth; ++p) sum += roundBf16(*left.at(i, p).data) * roundBf16(*right.at(p, j).data);
      expected[i * 40 + j] = sum;
    }
  return std::memcmp(c.data(), expected.data(), 4 * c.size()) == 0;
}

/** The product of a convolution: rows that overlap, `step` elements apart, of two pieces of memory. */
bool checkPieces(int64_t rows, int64_t columns, int64_t step) {
  constexpr int64_t first = 32, second = 64, depth = first + second;
  const int64_t place = 32 * step + second;  // of the second
  std::vector<float> image(2 * place), b(depth * columns), tile(32 * tileColumns);
  for (float& x : image) x = whole();
  for (float& x : b) x = whole();
  std::vector<uint16_t> strip(image.size());
  TileElements::copy(strip.data(), image.data(), static_cast<int64_t>(image.size()));
  std::vector<float> panel(depth * tileColumns, __builtin_nanf(""));
  packColumns({b.data(), columns, 1}, columns, depth, panel.data());
  int64_t done = TileElements::finishRows(panel.data(), columns, first, panel.data());
  TileElements::finishRows(panel.data() + first * tileColumns, columns, second, panel.data() + done * tileColumns);
  const Stretch<uint16_t> pieces[] = {{strip.data(), first}, {strip.data() + place, second}};
  EmulatedTiles::configure();
  multiplyTilePieces<EmulatedTiles>(rows, pieces, 2, step, panel.data(), columns, tile.data());
  EmulatedTiles::release();
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      float sum = 0.0f;
      for (int64_t p = 0; p < depth; ++p)
        sum += roundBf16(image[(p < first ? p : place + p - first) + i * step]) * roundBf16(b[p * columns + j]);
      if (tile[i * tileColumns + j] != sum) return false;
    }
  return true;
}

}  // namespace

int main() {
  int cases = 0, wrong = 0;
  for (int64_t rows : {1, 2, 15, 16, 17, 31, 32, 33, 48, 64, 65, 97})
    for (int64_t columns : {1, 15, 16, 17, 31, 32})
      for (int64_t depth : {1, 2, 3, 31, 32, 33, 63, 64, 65, 255, 256})
        for (int way = 0; way < 12; ++way) {
          const bool across = way % 2 == 1, accumulate = way / 2 % 2 == 1;
          ++cases;
          if (check(rows, depth, columns, across, way / 4, accumulate)) continue;
          if (++wrong < 10)
            std::printf("wrong: %ld × %ld × %ld, way %d\n", long(rows), long(depth), long(columns), way);
        }
  for (int64_t rows : {1, 14, 16, 17, 28, 32})
    for (int64_t columns : {1, 16, 17, 32})
      for (int64_t step : {32, 64, 96}) {
        ++cases;
        if (checkPieces(rows, columns, step)) continue;
        if (++wrong < 10) std::printf("wrong: pieces, %ld × %ld, %ld apart\n", long(rows), long(columns), long(step));
      }
  std::printf("%d cases, %d wrong\n", cases, wrong);
  return wrong == 0 ? 0 : 1;
}
