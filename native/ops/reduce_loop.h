// How the reduction kernels walk x: whole rows when the innermost axis is reduced, tiles of columns when it is
// kept. The order in which elements meet depends on the shape and the instruction set, never on the threads.
#pragma once
#include "cpu/parallel.h"
#include "cpu/vector.h"
#include "ops/reduce.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr int64_t reducedPerTask = 32768;
// A tile of columns takes 512 bytes of every row where an addition is all there is to do (256 leave half of the
// memory's speed when rows are 4 KiB apart), 4 registers where each element costs an exp.
constexpr int wideTile = 128 / lanes;
constexpr int narrowTile = 4;

/** The parameters, counted. Reduced elements come in `runs` runs of `run` elements, runStride apart. */
struct Reduction {
  const ReduceParameters& p;
  int64_t outputs, reduced, runs, run, runStride;
  bool rows;  // the innermost axis of x is reduced

  explicit Reduction(const ReduceParameters& parameters) : p(parameters) {
    outputs = product(p.outerShape, p.outerRank);
    runs = product(p.reduceShape, p.reduceRank - 1);
    run = p.reduceShape[p.reduceRank - 1];
    runStride = p.reduceStride[p.reduceRank - 1];
    reduced = runs * run;
    rows = p.outerStride[p.outerRank - 1] != 1;
  }
  static int64_t product(const int64_t* shape, int rank) {
    int64_t count = 1;
    for (int axis = 0; axis < rank; ++axis) count *= shape[axis];
    return count;
  }
  static int64_t offset(int64_t index, int rank, const int64_t* shape, const int64_t* stride) {
    int64_t offset = 0;
    for (int axis = rank - 1; axis > 0; --axis) {
      offset += index % shape[axis] * stride[axis];
      index /= shape[axis];
    }
    return rank > 0 ? offset + index * stride[0] : 0;
  }
  int64_t outputOffset(int64_t output) const { return offset(output, p.outerRank, p.outerShape, p.outerStride); }
  int64_t runOffset(int64_t index) const { return offset(index, p.reduceRank - 1, p.reduceShape, p.reduceStride); }
  int64_t columns() const { return p.outerShape[p.outerRank - 1]; }
};

/**
 * y[o] for every output o, by op.row(r, x, o, y) with x at the output's first element, or by
 * op.columns<T, whole>(r, x, o, y, n) for T vectors of adjacent outputs, T = Op::tile, narrowTile or 1; when not
 * `whole`, T = 1 and n < lanes of them count.
 */
template <class Op>
void reduceAll(const KernelCall& call, const Reduction& r, const float* x, float* y, const Op& op) {
  if (r.outputs == 0) return;
  if (r.rows) {
    const int64_t grain = 1 + (reducedPerTask - 1) / r.reduced;
    parallelRanges(call, r.outputs, grain, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t o = begin; o < end; ++o) op.row(r, x + r.outputOffset(o), o, y);
    });
    return;
  }
  constexpr int64_t width = Op::tile * lanes, narrow = narrowTile * lanes;
  const int64_t columns = r.columns(), tiles = (columns + width - 1) / width;
  const int64_t grain = 1 + (reducedPerTask - 1) / (r.reduced * (columns < width ? columns : width));
  parallelRanges(call, r.outputs / columns * tiles, grain, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t unit = begin; unit < end; ++unit) {
      int64_t column = unit % tiles * width, o = unit / tiles * columns + column;
      const float* from = x + r.outputOffset(unit / tiles * columns) + column;
      if (column + width <= columns) {
        op.template columns<Op::tile, true>(r, from, o, y, 0);
        continue;
      }
      if constexpr (Op::tile > narrowTile)
        for (; column + narrow <= columns; column += narrow, o += narrow, from += narrow)
          op.template columns<narrowTile, true>(r, from, o, y, 0);
      for (; column + lanes <= columns; column += lanes, o += lanes, from += lanes)
        op.template columns<1, true>(r, from, o, y, 0);
      if (column < columns) op.template columns<1, false>(r, from, o, y, static_cast<int>(columns - column));
    }
  });
}

/** Few outputs of many elements: one reduced axis is cut into `pieces` of `size` and a `rest`. */
struct Split {
  int axis;
  int64_t pieces, size, rest;
  int64_t parts() const { return pieces + (rest > 0); }
};

/** pieces is 0 when there is nothing to gain. Made from the shape alone: results must not depend on the threads. */
inline Split splitOf(const Reduction& r) {
  const int64_t units = r.rows ? r.outputs : 1 + (r.outputs - 1) / (wideTile * lanes);
  Split split{0, 0, 0, 0};
  if (units >= 16 || r.outputs * r.reduced < 4 * reducedPerTask) return split;
  for (int axis = 1; axis < r.p.reduceRank; ++axis)
    if (r.p.reduceShape[axis] > r.p.reduceShape[split.axis]) split.axis = axis;
  const int64_t extent = r.p.reduceShape[split.axis];
  int64_t pieces = r.outputs * r.reduced / reducedPerTask;
  if (pieces > 64 / units) pieces = 64 / units;
  if (pieces > extent) pieces = extent;
  split.size = (extent + pieces - 1) / pieces;
  split.pieces = extent / split.size;
  split.rest = extent % split.size;
  if (split.pieces < 2) split.pieces = 0;
  return split;
}

/** Floats for the partial results. */
inline int64_t splitScratch(const Reduction& r) {
  const Split split = splitOf(r);
  return split.pieces ? split.parts() * r.outputs : 0;
}

/** As reduceAll; with a split `first` makes the partial results (o counts them) and `second` reduces those. */
template <class First, class Second>
void reduceSplit(const KernelCall& call, const Reduction& r, const float* x, float* y, float* partial,
                 const First& first, const Second& second) {
  const Split split = splitOf(r);
  ReduceParameters whole = r.p;
  whole.reduceShape[split.axis] = split.size;
  for (int axis = whole.outerRank++; axis > 0; --axis) {
    whole.outerShape[axis] = whole.outerShape[axis - 1];
    whole.outerStride[axis] = whole.outerStride[axis - 1];
  }
  const int64_t stride = r.p.reduceStride[split.axis];
  whole.outerShape[0] = split.pieces;
  whole.outerStride[0] = split.size * stride;
  reduceAll(call, Reduction(whole), x, partial, first);
  if (split.rest > 0) {
    ReduceParameters rest = r.p;
    rest.reduceShape[split.axis] = split.rest;
    const float* from = x + split.pieces * split.size * stride;
    reduceAll(call, Reduction(rest), from, partial + split.pieces * r.outputs, first);
  }
  ReduceParameters parts{};
  parts.outerRank = parts.reduceRank = 1;
  parts.outerShape[0] = r.outputs;
  parts.outerStride[0] = 1;
  parts.reduceShape[0] = split.parts();
  parts.reduceStride[0] = r.outputs;
  reduceAll(call, Reduction(parts), partial, y, second);
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
