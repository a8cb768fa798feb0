// w̄ = Pᵀ δ: P are the patches of x, [pixels, kernel·channels], δ is [pixels, filters]. Shapes stand in conv2d.h.
// The pixels are cut into pieces, whose sums are added in order at the end, and the rows of w̄ into groups of blocks, so that there are some
// 16 tasks whatever the shape: no number of threads changes a bit. A task takes 256 pixels at a time and, block after block, gathers up to
// 224 elements of their patches and multiplies them by all filters; x and δ come from memory once per group.
#include "cpu/gemm/bf16.h"
#include "cpu/parallel.h"
#include "ops/conv2d_patches.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

constexpr int64_t pixelsTogether = 256;
constexpr int64_t rowsTogether = tileRows * (lanes == 16 ? 16 : 32);  // of w̄, in a block
constexpr int64_t partialFloats = 262144;                             // 1 MB for the sums of all pieces
constexpr int64_t threadFloats = pixelsTogether * (rowsTogether + tileColumns);

constexpr int64_t tasks = 16;

struct Split {
  int64_t pixels, depth, filters;
  int64_t rows;            // of w̄, in a block
  int64_t groups, tall;    // of w̄: groups of `tall` rows, whole blocks
  int64_t pieces, length;  // of the pixels
};

int64_t limited(int64_t x, int64_t low, int64_t high) { return maximum(low, minimum(x, high)); }

Split splitOf(const Conv2dShape& c) {
  Split s;
  s.pixels = c.batch * c.outHeight * c.outWidth;
  s.depth = c.kernel[0] * c.kernel[1] * c.channels;
  s.filters = c.filters;
  const int64_t blocks = maximum(1, ceilDivide(s.depth, rowsTogether));
  s.rows = roundUp(maximum(1, ceilDivide(s.depth, blocks)), tileRows);
  const int64_t room = partialFloats / maximum(1, s.depth * s.filters);
  s.pieces = limited(minimum(tasks, s.pixels / 2048), 1, maximum(1, room));
  s.length = roundUp(maximum(1, ceilDivide(s.pixels, s.pieces)), pixelsTogether);
  s.pieces = maximum(1, ceilDivide(s.pixels, s.length));
  s.tall = s.rows * ceilDivide(blocks, ceilDivide(tasks, s.pieces));
  s.groups = ceilDivide(s.depth, s.tall);
  return s;
}

int64_t partialsOf(const Split& s) { return s.pieces > 1 ? roundUp(s.pieces * s.depth * s.filters, 16) : 0; }

size_t pullbackScratch(const void* parameters, int threads) {
  const Split s = splitOf(*static_cast<const Conv2dShape*>(parameters));
  return static_cast<size_t>(4 * (partialsOf(s) + threads * threadFloats));
}

template <bool bf16>
void filterPullback(const KernelCall& call) {
  const Conv2dShape& c = *static_cast<const Conv2dShape*>(call.parameters);
  const float *x = static_cast<const float*>(call.operands[0]), *delta = static_cast<const float*>(call.operands[1]);
  float* wBar = static_cast<float*>(call.operands[2]);
  const Split s = splitOf(c);
  if (s.depth <= 0 || s.filters <= 0) return;
  if (s.pixels <= 0) return zeroFloats(wBar, s.depth * s.filters);
  const Patches patches = patchesOfInput(c);
  float* partials = static_cast<float*>(call.scratch);
  float* scratch = partials + partialsOf(s);
  parallelFor(call, s.groups * s.pieces, [&](int64_t index, int thread) {
    float *gathered = scratch + thread * threadFloats, *panel = gathered + pixelsTogether * rowsTogether;
    const int64_t piece = index / s.groups, top = index % s.groups * s.tall, bottom = minimum(s.depth, top + s.tall);
    const int64_t start = piece * s.length, end = minimum(s.pixels, start + s.length);
    float* out = s.pieces > 1 ? partials + piece * s.depth * s.filters : wBar;
    for (int64_t pixel = start; pixel < end; pixel += pixelsTogether)
      for (int64_t row = top; row < bottom; row += s.rows) {
        const int64_t count = minimum(pixelsTogether, end - pixel), rows = minimum(s.rows, bottom - row);
        gatherPatches(patches, x, pixel, count, row, rows, gathered, rowsTogether);
        for (int64_t i = 0; bf16 && i < count; ++i) roundFloats(gathered + i * rowsTogether, rows);
        // The tile multiplies whole blocks of rows, and what it reads beyond the last must be numbers.
        for (int64_t i = 0; rows % tileRows != 0 && i < count; ++i)
          zeroFloats(gathered + i * rowsTogether + rows, tileRows - rows % tileRows);
        for (int64_t j = 0; j < s.filters; j += tileColumns) {
          const int64_t width = minimum(tileColumns, s.filters - j);
          packColumns({delta + pixel * s.filters + j, s.filters, 1}, width, count, panel);
          if (bf16) roundFloats(panel, count * tileColumns);
          for (int64_t i = 0; i < rows; i += tileRows)
            multiplyTileOf<1, rowsTogether>(count, gathered + i, panel, out + (row + i) * s.filters + j, s.filters,
                                            minimum(tileRows, rows - i), width, pixel > start);
        }
      }
  });
  if (s.pieces <= 1) return;
  const int64_t count = s.depth * s.filters;
  parallelRanges(call, count, 16384, lanes, [&](int64_t from, int64_t to, int) {
    for (int64_t i = from; i < to; i += lanes) {
      const int n = static_cast<int>(minimum(lanes, to - i));
      Float sum{};
      for (int64_t piece = 0; piece < s.pieces; ++piece) sum = sum + loadPartial(partials + piece * count + i, n);
      storePartial(wBar + i, sum, n);
    }
  });
}

PUSHFORWARD_CPU_KERNEL(conv2d_filter_pullback, filterPullback<false>, pullbackScratch)
PUSHFORWARD_CPU_KERNEL(conv2d_filter_pullback_bf16, filterPullback<true>, pullbackScratch)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
