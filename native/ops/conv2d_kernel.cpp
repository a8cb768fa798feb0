// z = x * w + b, y = act(z); ẏ_k = act'(z) ⊙ (ẋ_k * w + x * ẇ_k + ḃ_k), k < K; and x̄ = δ * wᵀ, which is a convolution too. Shapes stand
// in conv2d.h. A convolution is a product of patches [pixels, depth] and a filter [depth, filters]. Up to 1024 elements of depth and a block
// of columns of w and of as many ẇ_k as fit into 1 MB are packed (generated) once for all pixels, shared by all threads. Then the pixels are
// taken in groups (conv2d_strip.h), whose patches are multiplied by all of it, those of ẋ_k after those of x, and whose results are finished
// while they are in the cache. More directions than fit are a further pass that fetches x again. A low-rank ẇ_k costs no product: the patch
// times a_kq gives a number, which multiplies b_kq.
#include "ops/conv2d.h"

#include "cpu/micro.h"
#include "cpu/parallel.h"
#include "cpu/tangent_panel.h"
#include "ops/conv2d_cut.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

constexpr int64_t groupsTogether = 8;  // in a task

struct Convolution {
  const KernelCall& call;
  Patches patches;
  Cut cut;
  TangentOperand wDotKind, bDotKind;
  int64_t directions;
  const MicroProgram *activation, *slope;  // nullptr where there is none
  bool stacked, relu;
  const float *x = nullptr, *w = nullptr, *b = nullptr, *xDot = nullptr, *wDot = nullptr, *bDot = nullptr;
  float *y = nullptr, *yDot = nullptr;
  float *wPacked = nullptr, *tangents = nullptr, *biases = nullptr, *threadScratch = nullptr;
  int64_t imageSize = 0;               // of x, all examples
  const Conv2dShape* whole = nullptr;  // of x̄: then w is [taps in reverse, columns, channels]
  const float* gate = nullptr;         // as large as x̄, which is 0 unless it is positive
  Lattice lattice = {{0, 0}, {1, 1}, {0, 0}, {1, 1}};

  bool lowRank() const { return wDotKind.kind == TangentKind::lowRank; }
  bool denseTangent() const { return wDotKind.kind != TangentKind::zero && !lowRank(); }
  const float* leftFactors() const { return tangents; }
  bool scattered() const { return lattice.step[0] != 1 || lattice.step[1] != 1; }
  float* rightFactors() const { return tangents + cut.factors * cut.depthBlock; }
};

/** What a pass covers: columns, directions, depth. */
struct Pass {
  int64_t column, columns, direction, directions, begin, depth;
  bool first, last;  // of the depth
};

Draw drawOf(const Convolution& v, const TangentOperand& operand, uint32_t stream, int64_t direction) {
  return {{v.call.state->key[0], v.call.state->key[1]},
          operand.parameter,
          stream,
          static_cast<uint32_t>(direction),
          v.call.state->step};
}

/** Columns of a panel of wᵀ: the taps of the lattice, in reverse. */
void packTransposed(const Convolution& v, int64_t begin, int64_t depth, int64_t column, int64_t columns, float* out) {
  const int64_t channels = v.patches.channels, *kernel = v.whole->kernel;
  const auto reversed = [&](int axis, int64_t tap) {
    return kernel[axis] - 1 - (v.lattice.firstTap[axis] + tap * v.lattice.tapStep[axis]);
  };
  for (int64_t p = 0; p < depth;) {
    const int64_t tap = (begin + p) / channels, channel = (begin + p) % channels;
    const int64_t count = minimum(channels - channel, depth - p);
    const int64_t place = reversed(0, tap / v.patches.taps[1]) * kernel[1] + reversed(1, tap % v.patches.taps[1]);
    packColumns({v.w + (place * v.cut.columns + column) * channels + channel, 1, channels}, columns, count,
                out + p * tileColumns);
    p += count;
  }
}

/** Panel `column` of matrix m of a pass: w, then its ẇ_k. */
template <class Format>
void makePanel(const Convolution& v, const Pass& pass, int64_t m, int64_t column, int64_t width) {
  const int64_t columns = v.cut.columns, at = pass.column + column;
  float* out = (m == 0 ? v.wPacked : v.tangents + (m - 1) * v.cut.matrix) + column * pass.depth;
  const int64_t k = pass.direction + m - 1;
  if (v.whole != nullptr) {
    packTransposed(v, pass.begin, pass.depth, at, width, out);
  } else if (m == 0 || v.wDotKind.kind == TangentKind::given) {
    const float* from = m == 0 ? v.w : v.wDot + k * v.cut.depth * columns;
    packColumns({from + pass.begin * columns + at, columns, 1}, width, pass.depth, out);
  } else {
    fillTangentPanel(v.wDotKind.kind, drawOf(v, v.wDotKind, v.wDotKind.stream, k), columns, pass.begin, pass.depth, at,
                     width, out, tileColumns);
    padPanel(out, width, pass.depth);
  }
  int64_t rows = 0;
  forPieces(v.patches, v.cut.grouping, pass.begin, pass.depth, [&](int64_t begin, int64_t length) {
    rows += Format::finishRows(out + (begin - pass.begin) * tileColumns, width, length, out + rows * tileColumns);
  });
}

/** Factors of a direction and its ḃ_k, for the columns and the depth of a pass. */
void makeVectors(const Convolution& v, const Pass& pass, int64_t direction) {
  const Cut& cut = v.cut;
  const int64_t k = pass.direction + direction, rank = v.wDotKind.rank;
  for (int64_t q = 0; v.lowRank() && q < rank; ++q) {
    const int64_t f = direction * rank + q;
    float* left = v.tangents + f * cut.depthBlock;
    fillTangentPanel(TangentKind::rademacher, drawOf(v, v.wDotKind, leftStream, k * rank + q), cut.depth, 0, 1,
                     pass.begin, pass.depth, left, cut.depthBlock);
    fillTangentPanel(TangentKind::rademacher, drawOf(v, v.wDotKind, rightStream, k * rank + q), cut.columns, 0, 1,
                     pass.column, pass.columns, v.rightFactors() + f * cut.columnBlock, cut.columnBlock);
  }
  float* bias = v.biases + direction * cut.columnBlock;
  if (v.bDotKind.kind == TangentKind::given)
    copyFloats(bias, v.bDot + k * cut.columns + pass.column, pass.columns);
  else if (v.bDotKind.kind != TangentKind::zero)
    fillTangentPanel(v.bDotKind.kind, drawOf(v, v.bDotKind, v.bDotKind.stream, k), cut.columns, 0, 1, pass.column,
                     pass.columns, bias, cut.columnBlock);
}

template <class Format>
void prepare(const Convolution& v, const Pass& pass) {
  const int64_t panels = ceilDivide(pass.columns, tileColumns);
  const int64_t matrices = 1 + (v.denseTangent() ? pass.directions : 0), units = matrices * panels;
  const bool vectors = v.lowRank() || v.bDotKind.kind != TangentKind::zero;
  parallelFor(v.call, units + (vectors ? pass.directions : 0), [&](int64_t unit, int) {
    if (unit >= units) return makeVectors(v, pass, unit - units);
    const int64_t column = unit % panels * tileColumns;
    makePanel<Format>(v, pass, unit / panels, column, minimum(tileColumns, pass.columns - column));
  });
}

Ending accumulating(bool accumulate) {
  Ending ending{};
  ending.accumulate = accumulate;
  return ending;
}

constexpr int rowsProjected = 7;  // at once, so that so many sums are under way

/** out[i] = scale·Σ_p patch[i][p] a[p] for `rows` neighbours, the first at `offset` of the pieces. */
template <int rows>
void projectRows(const Blocks<float>& blocks, int64_t offset, const float* a, float scale, float* out) {
  Float sum[rows];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) sum[i] = Float{};
  for (int64_t piece = 0; piece < blocks.pieceCount; a += blocks.pieces[piece++].length) {
    const float* from = blocks.pieces[piece].from + offset;
    const int64_t length = blocks.pieces[piece].length, whole = length / lanes * lanes;
    const int rest = static_cast<int>(length - whole);
    for (int64_t p = 0; p < whole; p += lanes) {
      const Float left = load(a + p);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) sum[i] = multiplyAdd(left, load(from + i * blocks.rowStep + p), sum[i]);
    }
    if (rest == 0) continue;
    const Float left = loadPartial(a + whole, rest);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i)
      sum[i] = multiplyAdd(left, loadPartial(from + i * blocks.rowStep + whole, rest), sum[i]);
  }
  for (int i = 0; i < rows; ++i) out[i] = scale * horizontalSum(sum[i]);
}

template <int most = rowsProjected>
void projectAtMost(int64_t rows, const Blocks<float>& blocks, int64_t offset, const float* a, float scale, float* out) {
  if constexpr (most > 1)
    if (rows < most) return projectAtMost<most - 1>(rows, blocks, offset, a, scale, out);
  projectRows<most>(blocks, offset, a, scale, out);
}

/** projection[f][row] of a block on all factors of a pass. */
template <class Format>
void project(const Convolution& v, const Pass& pass, const Blocks<float>& blocks, float* projection) {
  const Block& block = blocks.block[0];
  const float scale = static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(v.wDotKind.rank)));
  for (int64_t f = 0; f < pass.directions * v.wDotKind.rank; ++f)
    for (int64_t row = 0; row < block.rows; row += rowsProjected)
      projectAtMost(minimum(rowsProjected, block.rows - row), blocks, block.offset + row * blocks.rowStep,
                    v.leftFactors() + f * v.cut.depthBlock, scale, projection + f * Format::rows + row);
}

/**
 * y holds z = x * w + b: slopes = act'(z) if it is wanted, then y = act(z) if `write`. Rows of slopes are the pass's columns apart. Rows of y
 * that are all columns of it follow each other: they are one line.
 */
void runActivation(const Convolution& v, const Pass& pass, const Block& block, bool write, float* slopes,
                   float* scratch) {
  const bool slope = v.slope != nullptr && pass.directions > 0, activation = write && v.activation != nullptr;
  if (!slope && !activation) return;
  const bool whole = pass.columns == v.cut.columns;
  const int64_t lines = whole ? 1 : block.rows, line = whole ? block.rows * pass.columns : pass.columns;
  for (int64_t i = 0; i < lines; ++i)
    for (int64_t j = 0; j < line; j += microBlock) {
      float* y = v.y + (block.pixel + i) * v.cut.columns + pass.column + j;
      const float* input[1] = {y};
      float* output[1] = {slopes + i * pass.columns + j};
      if (slope) runMicroProgram(*v.slope, minimum(microBlock, line - j), input, output, scratch);
      output[0] = y;
      if (activation) runMicroProgram(*v.activation, minimum(microBlock, line - j), input, output, scratch);
    }
}

/** ẏ_k + Σ_q projection_kq b_kqᵀ, and with the last of the depth slope ⊙ (ẏ_k + ḃ_k). */
template <class Format>
void endTangent(const Convolution& v, const Pass& pass, int64_t direction, const Block& block, const float* projections,
                const float* slopes, Ending& ending) {
  const Cut& cut = v.cut;
  if (v.lowRank()) {
    const int64_t rank = v.wDotKind.rank;
    ending.rank = rank;
    ending.left = projections + (block.index * cut.factors + direction * rank) * Format::rows;
    ending.leftStride = Format::rows;
    ending.right = v.rightFactors() + direction * rank * cut.columnBlock;
    ending.rightStride = cut.columnBlock;
  }
  if (!pass.last) return;
  if (v.bDotKind.kind != TangentKind::zero) ending.bias = v.biases + direction * cut.columnBlock;
  if (v.relu) ending.gate = v.y + block.pixel * cut.columns + pass.column;
  if (v.slope != nullptr) ending.slopes = slopes;
  ending.slopeStride = pass.columns;
}

/** A block of x̄ to the pixels of the lattice. */
void scatterRows(const Convolution& v, const Pass& pass, const float* tile, int64_t row, int64_t rows) {
  const Patches& s = v.patches;
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t pixel = row + i, x = pixel % s.resultWidth, y = pixel / s.resultWidth % s.resultHeight,
                  n = pixel / s.resultWidth / s.resultHeight;
    const int64_t iy = v.lattice.first[0] + y * v.lattice.step[0], ix = v.lattice.first[1] + x * v.lattice.step[1];
    const float* from = tile + i * v.cut.columnBlock;
    const int64_t at = ((n * v.whole->height + iy) * v.whole->width + ix) * v.cut.columns + pass.column;
    float* to = v.y + at;
    if (pass.first)
      copyFloats(to, from, pass.columns);
    else
      for (int64_t j = 0; j < pass.columns; j += lanes)
        storeFirst(to + j, loadFirst(to + j, pass.columns - j) + load(from + j), pass.columns - j);
    if (!pass.last || v.gate == nullptr) continue;
    for (int64_t j = 0; j < pass.columns; j += lanes) {
      const Float gate = loadFirst(v.gate + at + j, pass.columns - j);
      storeFirst(to + j, select(gate > 0.0f, loadFirst(to + j, pass.columns - j), Float{}), pass.columns - j);
    }
  }
}

/** A group of pixels, all of a pass. */
template <class Format>
void multiplyGroup(const Convolution& v, const Pass& pass, const Group& group, float* scratch) {
  using Element = typename Format::Element;
  const Cut& cut = v.cut;
  Element* patches = reinterpret_cast<Element*>(scratch);
  float *projections = scratch + patchesOf<Format>(cut), *slopes = projections + projectionsOf<Format>(cut),
        *micro = slopes + slopesOf<Format>(cut);
  const bool primal = pass.direction == 0, dense = v.denseTangent();
  const bool write = pass.direction + pass.directions >= v.directions;
  const auto fetch = [&](const float* image) {
    fetchPatches<Format>(v.patches, cut.grouping, group, image, pass.begin, pass.depth, patches);
  };
  const auto forAll = [&](const float* image, const auto& f) {
    forBlocks<Format>(v.patches, cut.grouping, group, image, pass.begin, pass.depth,
                      static_cast<const Element*>(patches), f);
  };
  const auto slopesAt = [&](const Block& block) { return slopes + block.index * Format::rows * pass.columns; };
  const auto tangent = [&](const Blocks<Element>& blocks, int64_t k, const float* matrix, bool accumulate, bool end) {
    Format::multiply(blocks, matrix, pass.depth, pass.columns, cut.columns,
                     [&](const Block& block, float*& c, Ending& ending) {
                       c = v.yDot + ((pass.direction + k) * cut.pixels + block.pixel) * cut.columns + pass.column;
                       ending = accumulating(accumulate);
                       if (end) endTangent<Format>(v, pass, k, block, projections, slopesAt(block), ending);
                     });
  };
  const auto scatter = [&](const Blocks<Element>& blocks) {
    const auto place = [&](const Block& block) { return slopes + block.index * Format::rows * cut.columnBlock; };
    Format::multiply(blocks, v.wPacked, pass.depth, pass.columns, cut.columnBlock,
                     [&](const Block& block, float*& c, Ending& ending) {
                       c = place(block);
                       ending = accumulating(false);
                     });
    for (int64_t i = 0; i < blocks.count; ++i)
      scatterRows(v, pass, place(blocks.block[i]), blocks.block[i].pixel, blocks.block[i].rows);
  };
  if (v.lowRank()) {
    fetchPatches<FloatElements>(v.patches, cut.grouping, group, v.x, pass.begin, pass.depth, scratch);
    forBlocks<Format, 1>(v.patches, cut.grouping, group, v.x, pass.begin, pass.depth,
                         static_cast<const float*>(scratch), [&](const Blocks<float>& blocks) {
                           project<Format>(v, pass, blocks,
                                           projections + blocks.block[0].index * cut.factors * Format::rows);
                         });
  }
  if ((primal || dense) && (Format::rounded || !v.lowRank())) fetch(v.x);
  forAll(v.x, [&](const Blocks<Element>& blocks) {
    if (v.scattered()) return scatter(blocks);
    if (primal)
      Format::multiply(blocks, v.wPacked, pass.depth, pass.columns, cut.columns,
                       [&](const Block& block, float*& c, Ending& ending) {
                         c = v.y + block.pixel * cut.columns + pass.column;
                         ending = accumulating(!pass.first);
                         ending.bias = pass.last && v.b != nullptr ? v.b + pass.column : nullptr;
                         ending.clamp = pass.last && v.relu;
                         ending.gateIsFar = pass.last && v.gate != nullptr;
                         if (ending.gateIsFar) ending.gate = v.gate + block.pixel * cut.columns + pass.column;
                       });
    for (int64_t i = 0; pass.last && i < blocks.count; ++i)
      runActivation(v, pass, blocks.block[i], write, slopesAt(blocks.block[i]), micro);
    if (v.stacked && !dense) return;
    for (int64_t k = 0; k < pass.directions; ++k)
      tangent(blocks, k, dense ? v.tangents + k * cut.matrix : nullptr, !pass.first, !v.stacked);
  });
  for (int64_t k = 0; v.stacked && k < pass.directions; ++k) {
    const float* image = v.xDot + (pass.direction + k) * v.imageSize;
    fetch(image);
    forAll(image, [&](const Blocks<Element>& blocks) { tangent(blocks, k, v.wPacked, dense || !pass.first, true); });
  }
}

template <class Format>
void runPass(const Convolution& v, const Pass& pass) {
  prepare<Format>(v, pass);
  const int64_t threads = v.call.parallel == nullptr ? 1 : v.call.parallel->threads;
  const int64_t groups = v.cut.grouping.count;
  const int64_t together = maximum(1, minimum(groupsTogether, groups / (4 * threads)));
  parallelFor(v.call, ceilDivide(groups, together), [&](int64_t task, int thread) {
    float* scratch = v.threadScratch + thread * threadFloats<Format>(v.cut);
    Format::begin();
    for (int64_t i = task * together; i < minimum(groups, (task + 1) * together); ++i)
      multiplyGroup<Format>(v, pass, groupAt(v.patches, v.cut.grouping, v.cut.pixels, i), scratch);
    Format::end();
  });
}

template <class Format>
void run(Convolution& v) {
  const Cut& cut = v.cut;
  if (cut.pixels <= 0 || cut.columns <= 0) return;
  v.wPacked = static_cast<float*>(v.call.scratch);
  v.tangents = v.wPacked + cut.matrix;
  v.biases = v.tangents + cut.tangents;
  v.threadScratch = v.biases + cut.group * cut.columnBlock;
  for (int64_t column = 0; column < cut.columns; column += cut.columnBlock)
    for (int64_t k = 0; k == 0 || k < v.directions; k += maximum(1, cut.group))
      for (int64_t begin = 0; begin == 0 || begin < cut.depth; begin += cut.depthBlock)
        runPass<Format>(
            v, {column, minimum(cut.columnBlock, cut.columns - column), k, minimum(cut.group, v.directions - k), begin,
                minimum(cut.depthBlock, cut.depth - begin), begin == 0, begin + cut.depthBlock >= cut.depth});
}

const MicroProgram* ifAny(const MicroProgram& program) {
  return program.ops + program.immediates > 0 ? &program : nullptr;
}

template <class Format>
Cut cutOf(const Conv2dParameters& p) {
  const Conv2dShape& c = p.shape;
  return cutOf<Format>(patchesOfInput(c), c.batch, c.filters, p.directions, p.wDot);
}

// A stride leaves out all but one of stride² taps at each pixel of x̄. Up to 16 of them, the pixels that have the same taps are a
// convolution of their own; beyond, all taps are multiplied, most of them by zero.
constexpr int64_t maxLattices = 16;

bool onLattices(const Conv2dShape& c) { return c.stride[0] <= maxLattices && c.stride[0] * c.stride[1] <= maxLattices; }

/** f(patches, lattice, cut) for every convolution that x̄ consists of. */
template <class Format, class F>
void forLattices(const Conv2dShape& c, const F& f) {
  const Patches all = patchesOfCotangent(c);
  const int64_t high = onLattices(c) ? minimum(c.stride[0], c.height) : 1,
                wide = onLattices(c) ? minimum(c.stride[1], c.width) : 1;
  for (int64_t y = 0; y < high; ++y)
    for (int64_t x = 0; x < wide; ++x) {
      Lattice lattice = {{y, x}, {1, 1}, {0, 0}, {1, 1}};
      const Patches patches = onLattices(c) ? onLattice(all, lattice) : all;
      f(patches, lattice, cutOf<Format>(patches, c.batch, c.channels, 0, {}));
    }
}

template <class Format>
size_t convolutionScratch(const void* parameters, int threads) {
  if (!Format::fits(static_cast<const Conv2dParameters*>(parameters)->shape.channels))
    return convolutionScratch<typename Format::Else>(parameters, threads);
  return scratchOf<Format>(cutOf<Format>(*static_cast<const Conv2dParameters*>(parameters)), threads);
}
template <class Format>
size_t inputPullbackScratch(const void* parameters, int threads) {
  if (!Format::fits(static_cast<const Conv2dShape*>(parameters)->filters))
    return inputPullbackScratch<typename Format::Else>(parameters, threads);
  size_t most = 0;
  forLattices<Format>(*static_cast<const Conv2dShape*>(parameters),
                      [&](const Patches&, const Lattice&, const Cut& cut) {
                        const size_t bytes = scratchOf<Format>(cut, threads);
                        most = bytes > most ? bytes : most;
                      });
  return most;
}

template <class Format>
Convolution convolutionOf(const KernelCall& call) {
  const Conv2dParameters& p = *static_cast<const Conv2dParameters*>(call.parameters);
  const bool stacked = p.xDot.kind == TangentKind::given;
  Convolution v{call,
                patchesOfInput(p.shape),
                cutOf<Format>(p),
                p.wDot,
                p.bDot,
                p.directions,
                p.relu ? nullptr : ifAny(p.activation),
                p.relu ? nullptr : ifAny(p.slope),
                stacked,
                p.relu != 0};
  v.imageSize = p.shape.batch * p.shape.height * p.shape.width * p.shape.channels;
  v.x = static_cast<const float*>(call.operands[0]);
  v.w = static_cast<const float*>(call.operands[1]);
  v.b = static_cast<const float*>(call.operands[2]);
  return v;
}

int64_t channelsOf(const KernelCall& call) {
  return static_cast<const Conv2dParameters*>(call.parameters)->shape.channels;
}

template <class Format>
void primal(const KernelCall& call) {
  if (!Format::fits(channelsOf(call))) return primal<typename Format::Else>(call);
  Convolution v = convolutionOf<Format>(call);
  v.y = static_cast<float*>(call.operands[3]);
  run<Format>(v);
}

template <class Format>
void pushforwardOf(const KernelCall& call) {
  if (!Format::fits(channelsOf(call))) return pushforwardOf<typename Format::Else>(call);
  Convolution v = convolutionOf<Format>(call);
  v.xDot = static_cast<const float*>(call.operands[3]);
  v.wDot = static_cast<const float*>(call.operands[4]);
  v.bDot = static_cast<const float*>(call.operands[5]);
  v.y = static_cast<float*>(call.operands[6]);
  v.yDot = static_cast<float*>(call.operands[7]);
  run<Format>(v);
}

template <class Format>
void inputPullbackOf(const KernelCall& call, const float* gate, float* xBar) {
  const Conv2dShape& c = *static_cast<const Conv2dShape*>(call.parameters);
  if (!Format::fits(c.filters)) return inputPullbackOf<typename Format::Else>(call, gate, xBar);
  forLattices<Format>(c, [&](const Patches& patches, const Lattice& lattice, const Cut& cut) {
    Convolution v{call, patches, cut, {}, {}, 0, nullptr, nullptr, false, false};
    v.x = static_cast<const float*>(call.operands[0]);
    v.w = static_cast<const float*>(call.operands[1]);
    v.gate = gate;
    v.y = xBar;
    v.whole = &c;
    v.lattice = lattice;
    run<Format>(v);
  });
}

template <class Format>
void inputPullback(const KernelCall& call) {
  inputPullbackOf<Format>(call, nullptr, static_cast<float*>(call.operands[2]));
}
template <class Format>
void gatedInputPullback(const KernelCall& call) {
  inputPullbackOf<Format>(call, static_cast<const float*>(call.operands[2]), static_cast<float*>(call.operands[3]));
}

PUSHFORWARD_CONVOLUTION_KERNEL(conv2d_primal, primal, convolutionScratch)
PUSHFORWARD_CONVOLUTION_KERNEL(conv2d_pushforward, pushforwardOf, convolutionScratch)
PUSHFORWARD_CONVOLUTION_KERNEL(conv2d_input_pullback, inputPullback, inputPullbackScratch)
PUSHFORWARD_CONVOLUTION_KERNEL(conv2d_gated_input_pullback, gatedInputPullback, inputPullbackScratch)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
