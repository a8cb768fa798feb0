// The loops of convolutions around AMX's instructions, with an emulation of the instructions: rows of patches in one tile or several, columns
// that fill no tile, and the gradient of a filter. Prints the cases that are wrong; test/amx_conv.test.ts compiles and runs it.
#include <cstdio>
#include <vector>

#include "emulated_tiles.h"
#include "ops/conv2d_pullback_tiles.h"

using namespace pushforward;
using namespace pushforward::cpu::PUSHFORWARD_ISA;

namespace {

/** With `few`, fewer that need rounding, so that long sums stay exact. */
std::vector<float> wholes(int64_t count, bool few = false) {
  std::vector<float> x(count);
  for (int64_t i = 0; i < count; ++i) {
    x[i] = whole();
    if (few && i % 8 != 0 && x[i] > 6.0f) x[i] = 2.0f;
  }
  return x;
}

/** Blocks of `rows`, each from a place of its own, times a panel; patches are two pieces whose rows are `step` elements apart. */
bool checkProduct(const std::vector<int64_t>& rows, int64_t columns, int64_t step) {
  constexpr int64_t first = 32, second = 64, depth = first + second;
  const int64_t apart = 48 * step + second, cStride = columns + 3;
  const std::vector<float> image = wholes(2 * apart * int64_t(rows.size())), b = wholes(depth * columns),
                           bias = wholes(columns);
  std::vector<uint16_t> strip(image.size());
  TileElements::copy(strip.data(), image.data(), int64_t(image.size()));
  std::vector<float> panels(roundUp(columns, tileColumns) * depth, __builtin_nanf(""));
  for (int64_t j = 0; j < columns; j += tileColumns) {
    float* panel = panels.data() + j * depth;
    const int64_t width = minimum(tileColumns, columns - j);
    packColumns({b.data() + j, columns, 1}, width, depth, panel);
    const int64_t done = TileElements::finishRows(panel, width, first, panel);
    TileElements::finishRows(panel + first * tileColumns, width, second, panel + done * tileColumns);
  }
  const Stretch<uint16_t> pieces[] = {{strip.data(), first}, {strip.data() + apart, second}};
  Blocks<uint16_t> blocks{pieces, 2, step, nullptr, 0, int64_t(rows.size()), {}};
  int64_t total = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    blocks.block[i] = {int64_t(i), total, rows[i], int64_t(i) * 2 * apart};
    total += rows[i];
  }
  const std::vector<float> left = wholes(total);
  std::vector<float> slopes = wholes(total * columns), gate = wholes(total * cStride);
  for (float& slope : slopes) slope = slope > 2.0f ? -1.0f : slope;
  std::vector<float> c(total * cStride, 3.0f), expected(c);
  EmulatedTiles::configure();
  multiplyRowTiles<EmulatedTiles>(blocks, panels.data(), depth, columns, cStride,
                                  [&](const Block& block, float*& to, Ending& ending) {
                                    to = c.data() + block.pixel * cStride;
                                    ending = {};
                                    ending.accumulate = block.index % 2 == 1;
                                    ending.slopes = slopes.data() + block.pixel * columns;
                                    ending.slopeStride = columns;
                                    ending.gate = gate.data() + block.pixel * cStride;
                                    ending.rank = 1;
                                    ending.left = left.data() + block.pixel;
                                    ending.right = ending.bias = bias.data();
                                  });
  EmulatedTiles::release();
  for (const Block* block = blocks.block; block < blocks.block + blocks.count; ++block)
    for (int64_t i = 0; i < block->rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        float sum = block->index % 2 == 1 ? 3.0f : 0.0f;
        for (int64_t p = 0; p < depth; ++p)
          sum += roundBf16(image[block->offset + (p < first ? p : apart + p - first) + i * step]) *
                 roundBf16(b[p * columns + j]);
        expected[(block->pixel + i) * cStride + j] =
            gate[(block->pixel + i) * cStride + j] > 0.0f
                ? (sum + (left[block->pixel + i] + 1) * bias[j]) * slopes[(block->pixel + i) * columns + j]
                : 0.0f;
      }
  return c == expected;
}

bool checkPullback(const Conv2dShape& c) {
  if (!sumsOnTiles(c)) return false;
  const std::vector<float> x = wholes(c.batch * c.height * c.width * c.channels),
                           delta = wholes(c.batch * c.outHeight * c.outWidth * c.filters, true);
  std::vector<float> wBar(c.kernel[0] * c.kernel[1] * c.channels * c.filters, 3.0f), expected(wBar.size());
  std::vector<float> bBar(c.filters, 3.0f), sums(c.filters);
  std::vector<float> scratch(tileSumsScratch(c, 1) / 4 + 16, __builtin_nanf(""));
  float* aligned = scratch.data();
  while (reinterpret_cast<uintptr_t>(aligned) % 64 != 0) ++aligned;
  void* operands[] = {const_cast<float*>(x.data()), const_cast<float*>(delta.data()), wBar.data()};
  filterPullbackOnTiles<EmulatedTiles>({&c, operands, aligned, nullptr, nullptr}, bBar.data());
  for (size_t i = 0; i < delta.size(); ++i) sums[i % sums.size()] += delta[i];
  for (int64_t n = 0; n < c.batch; ++n)
    for (int64_t oy = 0; oy < c.outHeight; ++oy)
      for (int64_t ox = 0; ox < c.outWidth; ++ox)
        for (int64_t tap = 0; tap < c.kernel[0] * c.kernel[1]; ++tap) {
          const int64_t iy = oy * c.stride[0] + tap / c.kernel[1] * c.dilation[0] - c.padding[0],
                        ix = ox * c.stride[1] + tap % c.kernel[1] * c.dilation[1] - c.padding[1];
          if (iy < 0 || iy >= c.height || ix < 0 || ix >= c.width) continue;
          for (int64_t channel = 0; channel < c.channels; ++channel)
            for (int64_t filter = 0; filter < c.filters; ++filter)
              expected[(tap * c.channels + channel) * c.filters + filter] +=
                  roundBf16(x[((n * c.height + iy) * c.width + ix) * c.channels + channel]) *
                  roundBf16(delta[((n * c.outHeight + oy) * c.outWidth + ox) * c.filters + filter]);
        }
  return wBar == expected && bBar == sums;
}

/** A convolution without padding behind the last pixel. */
Conv2dShape shapeOf(int64_t batch, int64_t height, int64_t width, int64_t channels, int64_t filters, int64_t taps,
                    int64_t stride, int64_t padding, int64_t dilation) {
  const auto out = [&](int64_t size) { return (size + 2 * padding - (taps - 1) * dilation - 1) / stride + 1; };
  return {batch,
          height,
          width,
          channels,
          out(height),
          out(width),
          filters,
          {taps, taps},
          {stride, stride},
          {padding, padding},
          {dilation, dilation}};
}

int cases = 0, wrong = 0;
void judge(bool right, const char* what, long a, long b, long c) {
  ++cases;
  if (!right && ++wrong < 10) std::printf("wrong: %s, %ld, %ld, %ld\n", what, a, b, c);
}

}  // namespace

int main() {
  const std::vector<std::vector<int64_t>> sets = {
      {1},      {16},     {17},         {28},         {32},         {14, 14},        {3, 29},
      {28, 28}, {32, 32}, {14, 14, 14}, {14, 16, 17}, {9, 9, 9, 9}, {16, 16, 16, 16}};
  for (size_t i = 0; i < sets.size(); ++i)
    for (int64_t columns : {1, 16, 17, 32, 33, 64, 90})
      for (int64_t step : {32, 64, 96})
        judge(checkProduct(sets[i], columns, step), "blocks, columns, step", long(i), columns, step);
  for (int64_t filters : {1, 16, 17, 33, 64, 65, 130})
    for (int64_t channels : {1, 3, 32, 48})
      for (int64_t width : {1, 7, 14, 28, 31, 270})
        judge(checkPullback(shapeOf(width > 99 ? 1 : 3, width > 99 ? 2 : 9, width, channels, filters, 3, 1, 1, 1)),
              "filters, channels, width", filters, channels, width);
  for (int64_t stride : {1, 2, 3})
    for (int64_t dilation : {1, 2})
      for (int64_t padding : {0, 3})
        judge(checkPullback(shapeOf(2, 11, 12, 32, 20, 3, stride, padding, dilation)), "stride, dilation, padding",
              stride, dilation, padding);
  judge(checkPullback(shapeOf(12, 28, 28, 8, 64, 3, 1, 1, 1)), "several pieces of several groups", 0, 0, 0);
  std::printf("%d cases, %d wrong\n", cases, wrong);
  return wrong == 0 ? 0 : 1;
}
