// w̄ = Pᵀ δ: P are the patches of x, [pixels, kernel·channels], δ is [pixels, filters]. Shapes stand in conv2d.h.
// The pixels are cut into pieces, whose sums are added in order at the end, and the rows of w̄, in blocks of a tile, into shares, so that there
// are some 16 tasks whatever the shape: no number of threads changes a bit. A task takes its pixels a step at a time, a group of conv2d_strip.h,
// and multiplies the patches by δ as both lie in memory: a column of patches is every stride-th pixel of a strip. Where patches are copied, a
// step is 256 pixels.
#include "cpu/parallel.h"
#include "ops/conv2d_strip.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

constexpr int64_t pixelsTogether = 256;                  // in a step whose patches are copied
constexpr int64_t blocksTogether = lanes == 16 ? 16 : 32;  // of rows of w̄, then
constexpr int64_t copiedStride = tileRows * blocksTogether;
constexpr int64_t partialFloats = 262144;  // 1 MB for the sums of all pieces
constexpr int64_t tasks = 16;
constexpr int64_t maxRuns = groupPixels;

struct Split {
  Patches patches;
  Grouping grouping;
  int64_t pixels, depth, filters;
  int64_t line;            // rows of w̄ that belong together are cut into equal blocks
  int64_t blocks;          // of all lines
  int64_t shares, tall;    // of `tall` blocks
  int64_t pieces, length;  // of `length` steps
  int64_t steps;
};

int64_t limited(int64_t x, int64_t low, int64_t high) { return maximum(low, minimum(x, high)); }

Split splitOf(const Conv2dShape& c) {
  Split s{};
  s.patches = patchesOfInput(c);
  s.grouping = groupingOf(s.patches, c.batch);
  s.pixels = c.batch * c.outHeight * c.outWidth;
  s.depth = s.patches.depth();
  s.filters = c.filters;
  s.line = maximum(1, s.grouping.inPlace ? tapsOfPiece(s.patches) * c.channels : s.depth);
  s.blocks = s.depth / s.line * blockCount(s.line);
  s.steps = s.grouping.inPlace ? s.grouping.count : ceilDivide(s.pixels, pixelsTogether);
  const int64_t room = partialFloats / maximum(1, s.depth * s.filters);
  const int64_t pieces = limited(minimum(tasks, s.pixels / 2048), 1, maximum(1, room));
  s.length = maximum(1, ceilDivide(s.steps, pieces));
  s.pieces = maximum(1, ceilDivide(s.steps, s.length));
  s.tall = maximum(1, ceilDivide(s.blocks, ceilDivide(tasks, s.pieces)));
  s.shares = ceilDivide(s.blocks, s.tall);
  return s;
}

int64_t partialsOf(const Split& s) { return s.pieces > 1 ? roundUp(s.pieces * s.depth * s.filters, 16) : 0; }

int64_t patchFloats(const Split& s) { return s.grouping.inPlace ? s.grouping.floats : pixelsTogether * copiedStride; }
int64_t threadFloats(const Split& s) { return patchFloats(s) + pixelsTogether * tileColumns; }

size_t pullbackScratch(const void* parameters, int threads) {
  const Split s = splitOf(*static_cast<const Conv2dShape*>(parameters));
  return static_cast<size_t>(4 * (partialsOf(s) + threads * threadFloats(s)));
}

/** The first row of w̄ of a block, and how many it has. */
int64_t rowOf(const Split& s, int64_t block) {
  const int64_t each = blockCount(s.line);
  return block / each * s.line + blockBegin(s.line, block % each);
}
int64_t rowsOf(const Split& s, int64_t block) {
  const int64_t each = blockCount(s.line);
  return blockBegin(s.line, block % each + 1) - blockBegin(s.line, block % each);
}

/** Pixels of a step: `count` runs of `pixels` neighbours, the first at `first`, `apart` pixels from one another. */
struct Pixels {
  int64_t first, count, pixels, apart;
};

/** Blocks [begin, end) of w̄ (+)= patches of a step times δ; column 0 of patches of run r and block i is at place(r, i). */
template <class Place>
void multiplyStep(const Split& s, const Pixels& step, int64_t begin, int64_t end, int64_t aStep, const Place& place,
                  const float* delta, float* panel, float* out, bool accumulate) {
  Run runs[maxRuns];
  for (int64_t j = 0; j < s.filters; j += tileColumns) {
    const int64_t width = minimum(tileColumns, s.filters - j);
    const bool packed = width % lanes != 0;  // a tile reads whole vectors
    for (int64_t r = 0; r < step.count; ++r) {
      const float* from = delta + (step.first + r * step.apart) * s.filters + j;
      runs[r].b = packed ? panel + r * step.pixels * tileColumns : from;
      if (packed) packColumns({from, s.filters, 1}, width, step.pixels, panel + r * step.pixels * tileColumns);
    }
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t r = 0; r < step.count; ++r) runs[r].a = place(r, i);
      multiplyRuns(rowsOf(s, i), {runs, step.count, step.pixels, aStep, packed ? tileColumns : s.filters,
                                  out + rowOf(s, i) * s.filters + j, s.filters, width, accumulate});
    }
  }
}

/** Blocks [begin, end) of a group, in place. */
void multiplyStrip(const Split& s, const float* x, int64_t index, int64_t begin, int64_t end, const float* delta,
                   float* scratch, float* out, bool accumulate) {
  const Patches& patches = s.patches;
  const Grouping& g = s.grouping;
  const Group group = groupAt(patches, g, s.pixels, index);
  const int64_t first = rowOf(s, begin), last = rowOf(s, end - 1);
  fetchPatches(patches, g, group, x, first, last + 1 - first, scratch);
  const auto place = [&](int64_t r, int64_t i) {
    Piece piece;
    piecesAt(patches, g, scratch, r, 0, rowOf(s, i), 1, &piece);
    return piece.from;
  };
  const Pixels step = {firstPixel(patches, group), group.rows, group.columns, patches.resultWidth};
  multiplyStep(s, step, begin, end, patches.stride[1] * patches.channels, place, delta, scratch + g.floats, out,
               accumulate);
}

/** The same of 256 pixels, whose patches are copied, some blocks at a time. */
void multiplyCopied(const Split& s, const float* x, int64_t index, int64_t begin, int64_t end, const float* delta,
                    float* scratch, float* out, bool accumulate) {
  const int64_t first = index * pixelsTogether, count = minimum(pixelsTogether, s.pixels - first);
  for (int64_t i = begin; i < end; i += blocksTogether) {
    const int64_t next = minimum(end, i + blocksTogether), row = rowOf(s, i);
    gatherPatches(s.patches, x, first, count, row, rowOf(s, next - 1) + rowsOf(s, next - 1) - row, scratch,
                  copiedStride);
    multiplyStep(s, {first, 1, count, 0}, i, next, copiedStride,
                 [&](int64_t, int64_t block) { return scratch + rowOf(s, block) - row; }, delta,
                 scratch + patchFloats(s), out, accumulate);
  }
}

void filterPullback(const KernelCall& call) {
  const Conv2dShape& c = *static_cast<const Conv2dShape*>(call.parameters);
  const float *x = static_cast<const float*>(call.operands[0]), *delta = static_cast<const float*>(call.operands[1]);
  float* wBar = static_cast<float*>(call.operands[2]);
  const Split s = splitOf(c);
  if (s.depth <= 0 || s.filters <= 0) return;
  if (s.pixels <= 0) return zeroFloats(wBar, s.depth * s.filters);
  float* partials = static_cast<float*>(call.scratch);
  float* scratch = partials + partialsOf(s);
  parallelFor(call, s.shares * s.pieces, [&](int64_t task, int thread) {
    const int64_t piece = task / s.shares, begin = task % s.shares * s.tall, end = minimum(s.blocks, begin + s.tall);
    const int64_t start = piece * s.length, stop = minimum(s.steps, start + s.length);
    float* out = s.pieces > 1 ? partials + piece * s.depth * s.filters : wBar;
    for (int64_t step = start; step < stop; ++step)
      (s.grouping.inPlace ? multiplyStrip : multiplyCopied)(s, x, step, begin, end, delta,
                                                            scratch + thread * threadFloats(s), out, step > start);
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

PUSHFORWARD_CPU_KERNEL(conv2d_filter_pullback, filterPullback, pullbackScratch)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
