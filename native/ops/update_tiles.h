// The update of planes by g = xᵀ δ on tiles of bf16. Tiles wait for each other and an update waits for memory, so 32 rows of g are applied a
// pair of rows at a time between the products of the next 32.
#pragma once
#include "cpu/gemm/bf16_format.h"
#include "cpu/parallel.h"
#include "ops/update_rule.h"

#if PUSHFORWARD_LANES == 16
namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr int64_t blockFloats = tilesRows * tileColumns;
// Words of a plane, half a block: products take more time than what is applied meanwhile.
constexpr int64_t blockAhead = blockFloats / 4;

/**
 * xᵀ is packed for as many rows as may be, δ for the panels of a task. Two panels of up to 64 rows of x share the tiles of xᵀ while those are
 * in the first-level cache.
 */
struct TileProduct {
  int64_t steps, chunk, columns;

  explicit TileProduct(const UpdateParameters& p)
      : steps(stepCount(p.inner)), columns(maximum(4 / maximum(steps, 1), 1) * tileColumns) {
    const int64_t blocks = TileFormat::packedFloats / maximum(TileFormat::floats(tilesRows, p.inner), 1);
    chunk = minimum(maximum(blocks, 1) * tilesRows, p.rows);
  }
  /** 1 KB beyond the last row is read. */
  int64_t packedFloats() const { return roundUp(chunk * steps * stepWords + 256, 16); }
  int64_t panelFloats() const { return steps * stepWords * tileColumns; }
  int64_t threadFloats() const { return columns / tileColumns * panelFloats() + blockFloats; }
};

/** Rows [row, row + rows) of g, of panel `panel`. */
struct Block {
  int64_t panel, row, rows;
};

/** A block of g that waits to be applied. What is applied, and how, is the target's: begin(block, g), then pair(i) for rows i, i + 1. */
template <class Target>
struct Pending {
  Target target;
  int64_t rows = 0, next = 0, due = 0;

  __attribute__((always_inline)) void begin(const Block& block, const float* g) {
    target.begin(block, g);
    rows = block.rows, next = due = 0;
  }
  /** One of `shares` parts of it. */
  __attribute__((always_inline)) void applyShare(int64_t shares) {
    for (due += rows; due >= 2 * shares; due -= 2 * shares, next += 2) target.pair(next);
  }
};

/**
 * g [rows, columns] = a b, rows even, a packed by packTileRows, b panels of pairs, both padded to whole `steps`, of which there is one at
 * least. `block` holds one of g.
 */
template <class Tiles, class Target>
static void multiplyAndApply(int64_t rows, int64_t steps, const uint32_t* a, const uint32_t* b, int64_t columns,
                             float* block, const Target& target) {
  constexpr int64_t side = 16, rowBytes = 64, panelBytes = 4 * tileColumns;
  const int64_t panels = ceilDivide(columns, tileColumns), blocks = ceilDivide(rows, tilesRows) * panels;
  const int64_t shares = 4 * steps;
  Pending<Target> pending{target};
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t panel = i % panels, row = i / panels * tilesRows, count = minimum(tilesRows, rows - row);
    const bool tall = count > side, broad = columns - panel * tileColumns > side;
    const uint32_t *left = a + row * steps * stepWords, *right = b + panel * steps * stepWords * tileColumns;
    Tiles::template zero<0>();
    Tiles::template zero<1>();
    Tiles::template zero<2>();
    Tiles::template zero<3>();
    for (int64_t s = 0; s < steps; ++s, left += count * stepWords, right += stepWords * tileColumns) {
      Tiles::template load<4>(left, rowBytes);
      Tiles::template load<6>(right, panelBytes);
      if (broad) Tiles::template load<7>(right + side, panelBytes);
      if (tall) Tiles::template load<5>(left + side * stepWords, rowBytes);
      Tiles::template dot<0, 4, 6>();
      pending.applyShare(shares);
      if (broad) Tiles::template dot<1, 4, 7>();
      pending.applyShare(shares);
      if (tall) Tiles::template dot<2, 5, 6>();
      pending.applyShare(shares);
      if (tall && broad) Tiles::template dot<3, 5, 7>();
      pending.applyShare(shares);
    }
    Tiles::template store<0>(block, panelBytes);
    Tiles::template store<1>(block + side, panelBytes);
    Tiles::template store<2>(block + side * tileColumns, panelBytes);
    Tiles::template store<3>(block + side * tileColumns + side, panelBytes);
    pending.begin({panel, row, count}, block);
  }
  pending.applyShare(1);
}

/** Planes [rows, n] of a parameter and its state, of which g begins at (row, column). */
template <Rule rule, bool state>
struct PlanesTarget {
  Coefficients c;
  float *parameter, *first, *second;
  int64_t rows, n, row, column;
  Span at = {};
  BlockGradient gradient = {};
  int64_t wide = 0;

  __attribute__((always_inline)) void begin(const Block& block, const float* g) {
    const int64_t start = column + block.panel * tileColumns;
    wide = minimum(tileColumns, n - start);
    const int64_t offset = start * rows + (row + block.row) * wide;
    at = {parameter + offset / 2, within(first, offset), within(second, offset), nullptr, blockAhead};
    gradient = {g};
  }
  __attribute__((always_inline)) void pair(int64_t i) const {
    updatePair<rule, state>(c, gradient, at, rows * n / 2, i, wide);
  }
};

template <class Tiles, Rule rule, bool state>
static void applyTiles(const KernelCall& call, const Coefficients& c) {
  const UpdateParameters& p = *static_cast<const UpdateParameters*>(call.parameters);
  const auto at = [&](int i) { return static_cast<float*>(call.operands[i]); };
  const float *x = at(5), *delta = at(6);
  const TileProduct product(p);
  float *packed = static_cast<float*>(call.scratch), *scratch = packed + product.packedFloats();
  for (int64_t first = 0; first < p.rows; first += product.chunk) {
    const int64_t rows = minimum(product.chunk, p.rows - first);
    parallelRanges(call, TileFormat::blocks(rows), 4, 1, [&](int64_t begin, int64_t end, int) {
      TileFormat::packRows({x + first, 1, p.rows}, rows, begin, end, p.inner, packed);
    });
    parallelFor(call, ceilDivide(p.n, product.columns), [&](int64_t index, int thread) {
      const int64_t column = index * product.columns, columns = minimum(product.columns, p.n - column);
      float *panels = scratch + thread * product.threadFloats(), *end = panels;
      for (int64_t j = 0; j < columns; j += tileColumns, end += product.panelFloats())
        TileFormat::packColumns({delta + column + j, p.n, 1}, minimum(tileColumns, columns - j), p.inner, end);
      Tiles::configure();
      multiplyAndApply<Tiles>(rows, product.steps, reinterpret_cast<const uint32_t*>(packed),
                              reinterpret_cast<const uint32_t*>(panels), columns, end,
                              PlanesTarget<rule, state>{c, at(0), at(1), at(2), p.rows, p.n, first, column});
      Tiles::release();
    });
  }
}

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
#endif
