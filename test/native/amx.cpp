// The loops around AMX's instructions, with an emulation of the instructions: packing, tiles that are not full, blocks of rows. Whole
// numbers, so that every order of summing gives the same bits. Prints the cases that are wrong; test/amx.test.ts compiles and runs it.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "cpu/gemm/bf16_format.h"
#include "emulated_tiles.h"

using namespace pushforward;
using namespace pushforward::cpu::PUSHFORWARD_ISA;

namespace {

/** c (+)= A B of one panel; a lies row by row or, `across`, column by column, b may be transposed or drawn (made in place). */
bool check(int64_t rows, int64_t depth, int64_t columns, bool across, int how, bool accumulate) {
  std::vector<float> a(rows * depth), values(depth * columns), c(rows * 40, 3.0f), expected(c);
  for (float& x : a) x = whole();
  for (float& x : values) x = whole();
  const Matrix left = {a.data(), across ? 1 : depth, across ? rows : 1};
  const Matrix right = {values.data(), how == 1 ? 1 : columns, how == 1 ? depth : 1};
  // Beyond the packed rows memory is read, but must not count; what is padded must be zero in both, for 0 · NaN is NaN.
  const float nothing = __builtin_nanf("");
  std::vector<float> packed(TileFormat::floats(rows, depth) + 256, nothing), panel(2 * panelFloats, nothing);
  TileFormat::packRows(left, rows, 0, TileFormat::blocks(rows), depth, packed.data());
  if (how == 2) {
    for (int64_t p = 0; p < depth; ++p)
      for (int64_t j = 0; j < columns; ++j) panel[p * tileColumns + j] = *right.at(p, j).data;
    TileFormat::finishPanel(panel.data(), columns, depth);
  } else {
    TileFormat::packColumns(right, columns, depth, panel.data());
  }
  TilePanel b{reinterpret_cast<uint32_t*>(panel.data())};
  std::vector<float> last(512);
  if (across) {  // the last step apart
    float* from = panel.data() + (stepCount(depth) - 1) * 512;
    std::copy(from, from + 512, last.data());
    std::fill(from, from + 512, nothing);
    b.last = reinterpret_cast<uint32_t*>(last.data());
  }
  EmulatedTiles::configure();
  // Of one block, of several, and of none.
  const int64_t blocks = TileFormat::blocks(rows), cuts[] = {0, minimum(1, blocks), blocks, blocks};
  for (int64_t i = 0; i < 3; ++i)
    multiplyTileBlocks<EmulatedTiles>(reinterpret_cast<uint32_t*>(packed.data()), rows, cuts[i], cuts[i + 1], depth, b,
                                      columns, c.data(), 40, accumulate);
  EmulatedTiles::release();
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      float sum = accumulate ? 3.0f : 0.0f;
      for (int64_t p = 0; p < depth; ++p) sum += roundBf16(*left.at(i, p).data) * roundBf16(*right.at(p, j).data);
      expected[i * 40 + j] = sum;
    }
  return std::memcmp(c.data(), expected.data(), 4 * c.size()) == 0;
}

}  // namespace

int main() {
  int cases = 0, wrong = 0;
  for (int64_t rows : {1, 2, 15, 16, 17, 31, 32, 33, 48, 64, 65, 97, 128})
    for (int64_t columns : {1, 15, 16, 17, 31, 32})
      for (int64_t depth : {1, 2, 3, 31, 32, 33, 63, 64, 65, 255, 256, 512})
        for (int way = 0; way < 12; ++way) {
          const bool across = way % 2 == 1, accumulate = way / 2 % 2 == 1;
          ++cases;
          if (check(rows, depth, columns, across, way / 4, accumulate)) continue;
          if (++wrong < 10)
            std::printf("wrong: %ld × %ld × %ld, way %d\n", long(rows), long(depth), long(columns), way);
        }
  std::printf("%d cases, %d wrong\n", cases, wrong);
  return wrong == 0 ? 0 : 1;
}
