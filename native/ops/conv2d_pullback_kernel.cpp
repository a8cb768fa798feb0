// w̄ = Pᵀ δ, and b̄ = Σ δ beside it: P are the patches of x, [pixels, kernel·channels], δ is [pixels, filters]. Shapes stand in conv2d.h.
// The pixels are cut into pieces, whose sums are added in order at the end, and the rows of w̄, in blocks of a tile, into shares, so that there
// are some 16 tasks whatever the shape: no number of threads changes a bit. A task takes its pixels a step at a time, a group of conv2d_strip.h,
// and multiplies the patches by δ as both lie in memory: a column of patches is every stride-th pixel of a strip. Where patches are copied, a
// step is 256 pixels.
#include "cpu/parallel.h"
#include "ops/conv2d_pullback_tiles.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

constexpr int64_t pixelsTogether = 256;                    // in a step whose patches are copied
constexpr int64_t blocksTogether = lanes == 16 ? 16 : 32;  // of rows of w̄, then
constexpr int64_t copiedStride = tileRows * blocksTogether;
constexpr int64_t partialFloats = 1 << 20;  // 4 MB for the sums of all pieces
constexpr int64_t tasks = 16;
constexpr int64_t maxRuns = groupPixels;

struct Split {
  Patches patches;
  Grouping grouping;
  int64_t pixels, depth, filters;
  int64_t line, parts;     // rows of w̄ that lie together in a patch are cut into equal blocks
  int64_t blocks;          // of all lines
  int64_t shares, tall;    // of `tall` blocks
  int64_t pieces, length;  // of `length` steps
  int64_t steps;
};

int64_t limited(int64_t x, int64_t low, int64_t high) { return maximum(low, minimum(x, high)); }

Split splitOf(const Conv2dShape& c) {
  Split s{};
  s.patches = patchesOfInput(c);
  s.grouping = groupingOf<FloatElements>(s.patches, c.batch);
  s.pixels = c.batch * c.outHeight * c.outWidth;
  s.depth = s.patches.depth();
  s.filters = c.filters;
  s.line = maximum(1, s.grouping.inPlace ? tapsOfPiece(s.patches) * c.channels : s.depth);
  s.parts = blockCount(s.line);
  s.blocks = s.depth / s.line * s.parts;
  s.steps = s.grouping.inPlace ? s.grouping.count : ceilDivide(s.pixels, pixelsTogether);
  const int64_t room = partialFloats / maximum(1, s.depth * s.filters);
  const int64_t pieces = limited(minimum(tasks, s.pixels / 2048), 1, maximum(1, room));
  s.length = maximum(1, ceilDivide(s.steps, pieces));
  s.pieces = maximum(1, ceilDivide(s.steps, s.length));
  s.tall = maximum(1, ceilDivide(s.blocks, ceilDivide(tasks, s.pieces)));
  s.shares = maximum(1, ceilDivide(s.blocks, s.tall));  // b̄ is there without channels too
  return s;
}

/** Of w̄, and of b̄, which has a piece of its own even if there is one. */
int64_t partialsOf(const Split& s) { return s.pieces > 1 ? roundUp(s.pieces * s.depth * s.filters, 16) : 0; }
int64_t biasesOf(const Split& s) { return roundUp(s.pieces * s.filters, 16); }

int64_t patchFloats(const Split& s) { return s.grouping.inPlace ? s.grouping.elements : pixelsTogether * copiedStride; }
int64_t threadFloats(const Split& s) { return patchFloats(s) + pixelsTogether * tileColumns + biasFloats(s.filters); }

template <class Format>
size_t pullbackScratch(const void* parameters, int threads) {
  const Split s = splitOf(*static_cast<const Conv2dShape*>(parameters));
  return static_cast<size_t>(4 * (partialsOf(s) + biasesOf(s) + threads * threadFloats(s)));
}

/** A block of rows of w̄: block `part` of a line. */
struct Rows {
  int64_t line, part, first, count;
};
Rows rowsAt(const Split& s, int64_t line, int64_t part) {
  const int64_t begin = part * s.line / s.parts, end = (part + 1) * s.line / s.parts;
  return {line, part, line * s.line + begin, end - begin};
}
Rows rowsOf(const Split& s, int64_t block) { return rowsAt(s, block / s.parts, block % s.parts); }
Rows after(const Split& s, const Rows& rows) {
  return rows.part + 1 < s.parts ? rowsAt(s, rows.line, rows.part + 1) : rowsAt(s, rows.line + 1, 0);
}

/** Pixels of a step: `count` runs of `length` neighbours, the first at `first`, `apart` pixels from one another. */
struct Pixels {
  int64_t first, count, length, apart;
};

/**
 * Patches of a step: element `row` of the first pixel's at place(row), aStep floats between neighbours, runApart between runs. What lies there
 * is the Format's: rows of a tile of steps of pixels.
 */
template <class Format, class Place>
void multiplyStep(const Split& s, const Pixels& step, int64_t begin, int64_t end, int64_t aStep, int64_t runApart,
                  const Place& place, const float* delta, float* panel, float* out, bool accumulate) {
  using Element = typename Format::Terms::Element;
  constexpr int64_t together = Format::Terms::together, inFloat = sizeof(float) / sizeof(Element);
  const int64_t runRows = ceilDivide(step.length, together);
  Run<Element> runs[maxRuns];
  const auto pack = [&](int64_t j, int64_t width) {
    for (int64_t r = 0; r < step.count; ++r)
      Format::packRows({delta + (step.first + r * step.apart) * s.filters + j, s.filters, 1}, width, step.length,
                       panel + r * runRows * tileColumns);
  };
  const auto multiply = [&](const Rows& rows, int64_t j, bool packed) {
    const float* a = place(rows);
    for (int64_t r = 0; r < step.count; ++r)
      runs[r] = {reinterpret_cast<const Element*>(a + r * runApart),
                 packed ? panel + r * runRows * tileColumns : delta + (step.first + r * step.apart) * s.filters + j};
    multiplyRuns<typename Format::Terms>(
        rows.count, {runs, step.count, step.length, together * aStep * inFloat, packed ? tileColumns : s.filters,
                     out + rows.first * s.filters + j, s.filters, minimum(tileColumns, s.filters - j), accumulate});
  };
  if (Format::rounded) {
    for (int64_t j = 0; j < s.filters; j += tileColumns) {
      pack(j, minimum(tileColumns, s.filters - j));
      Rows rows = rowsOf(s, begin);
      for (int64_t i = begin; i < end; ++i, rows = after(s, rows)) multiply(rows, j, true);
    }
    return;
  }
  // A tile reads whole vectors of δ.
  const int64_t rest = s.filters % lanes == 0 ? 0 : s.filters % tileColumns;
  if (rest != 0) pack(s.filters - rest, rest);
  Rows rows = rowsOf(s, begin);
  for (int64_t i = begin; i < end; ++i, rows = after(s, rows))
    for (int64_t j = 0; j < s.filters; j += tileColumns) multiply(rows, j, rest != 0 && s.filters - j == rest);
}

/** Blocks [begin, end) of w̄ (+)= patches of a group, in place, times δ. */
template <class Format>
void multiplyStrip(const Split& s, const float* x, int64_t index, int64_t begin, int64_t end, const float* delta,
                   float* scratch, float* out, bool accumulate) {
  const Patches& patches = s.patches;
  const Grouping& g = s.grouping;
  const Group group = groupAt(patches, g, s.pixels, index);
  const int64_t first = rowsOf(s, begin).first, last = rowsOf(s, end - 1).first;
  fetchPatches<FloatElements>(patches, g, group, x, first, last + 1 - first, scratch);
  const auto place = [&](const Rows& rows) {
    Stretch<float> piece;
    piecesOf<float>(patches, g, scratch, rows.first, 1, &piece);
    return piece.from;
  };
  const Pixels step = {firstPixel(patches, group), group.rows, group.columns, patches.resultWidth};
  const int64_t neighbour = rowStepOf(patches, g);
  Format::finishStrip(scratch, g.elements, neighbour);
  multiplyStep<Format>(s, step, begin, end, neighbour, g.pitch, place, delta, scratch + g.elements, out, accumulate);
}

/** The same of 256 pixels, whose patches are copied, some blocks at a time. */
template <class Format>
void multiplyCopied(const Split& s, const float* x, int64_t index, int64_t begin, int64_t end, const float* delta,
                    float* scratch, float* out, bool accumulate) {
  const int64_t first = index * pixelsTogether, count = minimum(pixelsTogether, s.pixels - first);
  for (int64_t i = begin; i < end; i += blocksTogether) {
    const int64_t next = minimum(end, i + blocksTogether), row = rowsOf(s, i).first;
    const Rows last = rowsOf(s, next - 1);
    gatherPatches<FloatElements>(s.patches, x, first, count, row, last.first + last.count - row, scratch, copiedStride);
    Format::finishStrip(scratch, count * copiedStride, copiedStride);
    multiplyStep<Format>(
        s, {first, 1, count, 0}, i, next, copiedStride, 0, [&](const Rows& rows) { return scratch + rows.first - row; },
        delta, scratch + patchFloats(s), out, accumulate);
  }
}

/** The neighbours among the pixels of a step. */
void addPixels(const Split& s, int64_t index, const float* delta, BiasSums& sums) {
  if (!s.grouping.inPlace) {
    const int64_t first = index * pixelsTogether;
    return sums.add(delta + first * s.filters, minimum(pixelsTogether, s.pixels - first));
  }
  const Group group = groupAt(s.patches, s.grouping, s.pixels, index);
  const bool whole = group.columns == s.patches.resultWidth;
  for (int64_t row = 0; row < (whole ? 1 : group.rows); ++row)
    sums.add(delta + (firstPixel(s.patches, group) + row * s.patches.resultWidth) * s.filters,
             whole ? group.rows * group.columns : group.columns);
}

template <class Format>
void filterPullbackOf(const KernelCall& call, float* bBar) {
  const Conv2dShape& c = *static_cast<const Conv2dShape*>(call.parameters);
  const float *x = static_cast<const float*>(call.operands[0]), *delta = static_cast<const float*>(call.operands[1]);
  float* wBar = static_cast<float*>(call.operands[2]);
  const Split s = splitOf(c);
  if (s.filters <= 0) return;
  if (s.pixels <= 0 && bBar != nullptr) zeroFloats(bBar, s.filters);
  if (s.pixels <= 0) return zeroFloats(wBar, s.depth * s.filters);
  float* partials = static_cast<float*>(call.scratch);
  float *biases = partials + partialsOf(s), *scratch = biases + biasesOf(s);
  parallelFor(call, s.shares * s.pieces, [&](int64_t task, int thread) {
    const int64_t piece = task / s.shares, begin = task % s.shares * s.tall, end = minimum(s.blocks, begin + s.tall);
    const int64_t start = piece * s.length, stop = minimum(s.steps, start + s.length);
    float* out = s.pieces > 1 ? partials + piece * s.depth * s.filters : wBar;
    float *room = scratch + thread * threadFloats(s), *levels = room + threadFloats(s) - biasFloats(s.filters);
    BiasSums sums = {bBar == nullptr || task % s.shares > 0 ? nullptr : levels, s.filters, 0};
    for (int64_t step = start; step < stop; ++step) {
      addPixels(s, step, delta, sums);
      if (begin < end)
        (s.grouping.inPlace ? multiplyStrip<Format> : multiplyCopied<Format>)(s, x, step, begin, end, delta, room, out,
                                                                              step > start);
    }
    sums.total(biases + piece * s.filters);
  });
  if (bBar != nullptr) addBiases(biases, s.pieces, s.filters, bBar);
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

#if PUSHFORWARD_LANES == 16
template <>
size_t pullbackScratch<TileElements>(const void* parameters, int threads) {
  const Conv2dShape& c = *static_cast<const Conv2dShape*>(parameters);
  return sumsOnTiles(c) ? tileSumsScratch(c, threads) : pullbackScratch<RoundedElements>(parameters, threads);
}
template <>
void filterPullbackOf<TileElements>(const KernelCall& call, float* bBar) {
  const bool tiles = sumsOnTiles(*static_cast<const Conv2dShape*>(call.parameters));
  tiles ? filterPullbackOnTiles<AmxTiles>(call, bBar) : filterPullbackOf<RoundedElements>(call, bBar);
}
#endif

template <class Format>
void filterPullback(const KernelCall& call) {
  filterPullbackOf<Format>(call, nullptr);
}
template <class Format>
void filterBiasPullback(const KernelCall& call) {
  filterPullbackOf<Format>(call, static_cast<float*>(call.operands[3]));
}

PUSHFORWARD_CONVOLUTION_KERNEL(conv2d_filter_pullback, filterPullback, pullbackScratch)
PUSHFORWARD_CONVOLUTION_KERNEL(conv2d_filter_bias_pullback, filterBiasPullback, pullbackScratch)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
