// random: y[k, row, j] = scale · element (row, j) of direction k, by the law of core/philox.h. Bit-identical on every
// instruction set.
#include "ops/random.h"

#include "cpu/parallel.h"
#include "cpu/philox.h"
#include "cpu/tangent_panel.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

constexpr int64_t batch = 8;  // groups

/** Draws `count` groups, the blocks of group g being blocks(g), and hands their values to put(g, values). */
template <class Law, class Blocks, class Put>
PUSHFORWARD_INLINE void drawGroups(const Source& source, int64_t count, const Blocks& blocks, const Put& put) {
  uint32_t words[batch][2 * lanes];
  for (int64_t g = 0; g < count; g += batch) {
    const int64_t now = count - g < batch ? count - g : batch;
    for (int64_t k = 0; k < now; ++k) {
      const GroupWords w = Law::words(source, blocks(g + k));
      store(words[k], w.first);
      store(words[k] + lanes, w.second);
    }
    for (int64_t k = 0; k < now; ++k) put(g + k, Law::values({load(words[k]), load(words[k] + lanes)}));
  }
}

// Whole groups go row by row. What is left of a row is narrower than a group: as many rows as fit are drawn at once.
template <class Law>
static void fillPanel(const Draw& draw, int64_t n, int64_t row, int64_t rows, int64_t column, int64_t columns,
                      float* out, int64_t outStride) {
  const int64_t rowBlocks = (n + 3) / 4, whole = columns / groupValues, rest = columns - whole * groupValues;
  const uint64_t first = static_cast<uint64_t>(row * rowBlocks + column / 4);
  const Source source(draw);
  if (whole == 1) {
    const Wide pattern = laneBlocks() + first;
    drawGroups<Law>(
        source, rows, [&](int64_t i) { return pattern + static_cast<uint64_t>(i * rowBlocks); },
        [&](int64_t i, Group values) {
          store(out + i * outStride, values.low);
          store(out + i * outStride + lanes, values.high);
        });
  } else if (whole > 1) {
    for (int64_t i = 0; i < rows; ++i) {
      float* to = out + i * outStride;
      const Wide pattern = laneBlocks() + (first + static_cast<uint64_t>(i * rowBlocks));
      drawGroups<Law>(
          source, whole, [&](int64_t g) { return pattern + static_cast<uint64_t>(g * groupBlocks); },
          [&](int64_t g, Group values) {
            store(to + g * groupValues, values.low);
            store(to + g * groupValues + lanes, values.high);
          });
    }
  }
  if (rest > 0) {
    const int width = static_cast<int>((rest + 3) / 4);
    const int64_t together = groupBlocks / width;
    const Wide pattern =
        laneBlocks(width, static_cast<uint64_t>(rowBlocks)) + (first + static_cast<uint64_t>(whole * groupBlocks));
    drawGroups<Law>(
        source, (rows + together - 1) / together,
        [&](int64_t g) { return pattern + static_cast<uint64_t>(g * together * rowBlocks); },
        [&](int64_t g, Group values) {
          const int64_t i = g * together;
          float* to = out + i * outStride + whole * groupValues;
          if (rest == lanes) {  // one register a row
            store(to, values.low);
            if (i + 1 < rows) store(to + outStride, values.high);
            return;
          }
          float buffer[groupValues];
          store(buffer, values.low);
          store(buffer + lanes, values.high);
          for (int64_t t = 0; t < together && i + t < rows; ++t, to += outStride) {
            const float* from = buffer + t * 4 * width;
            for (int64_t j = 0; j < rest; j += lanes) {
              const int some = static_cast<int>(rest - j < lanes ? rest - j : lanes);
              storePartial(to + j, loadPartial(from + j, some), some);
            }
          }
        });
  }
}

PUSHFORWARD_INLINE void expandSigns(const uint32_t* words, int64_t bit, int64_t count, float* out) {
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) store(out + j, signsAt(words, bit + j));
  if (j < count) storePartial(out + j, signsAt(words, bit + j), static_cast<int>(count - j));
}

static void fillSigns(const Draw& draw, int64_t n, int64_t row, int64_t rows, int64_t column, int64_t columns,
                      float* out, int64_t outStride) {
  const int64_t rowBlocks = (n + 127) / 128, bit = column % 128;
  const int64_t blocks = (bit + columns + 127) / 128, whole = blocks / groupBlocks, rest = blocks % groupBlocks;
  const uint64_t first = static_cast<uint64_t>(row * rowBlocks + column / 128);
  const Source source(draw);
  uint32_t words[4 * groupBlocks + 1];  // one more for signsAt
  words[4 * groupBlocks] = 0;
  if (whole > 0) {
    const Wide pattern = laneBlocks();
    for (int64_t i = 0; i < rows; ++i) {
      const uint64_t block = first + static_cast<uint64_t>(i * rowBlocks);
      for (int64_t g = 0; g < whole; ++g) {
        drawSignWords(source, pattern + (block + static_cast<uint64_t>(g * groupBlocks)), words);
        const int64_t begin = g == 0 ? 0 : g * groupSigns - bit;  // columns of this group
        int64_t end = (g + 1) * groupSigns - bit;
        if (end > columns) end = columns;
        expandSigns(words, g == 0 ? bit : 0, end - begin, out + i * outStride + begin);
      }
    }
  }
  if (rest > 0) {
    const int64_t together = groupBlocks / rest, begin = whole == 0 ? 0 : whole * groupSigns - bit;
    const Wide pattern = laneBlocks(static_cast<int>(rest), static_cast<uint64_t>(rowBlocks)) +
                         (first + static_cast<uint64_t>(whole * groupBlocks));
    for (int64_t i = 0; i < rows; i += together) {
      drawSignWords(source, pattern + static_cast<uint64_t>(i * rowBlocks), words);
      for (int64_t t = 0; t < together && i + t < rows; ++t)
        expandSigns(words + t * 4 * rest, whole == 0 ? bit : 0, columns - begin, out + (i + t) * outStride + begin);
    }
  }
}

void fillTangentPanel(TangentKind kind, const Draw& draw, int64_t n, int64_t row, int64_t rows, int64_t column,
                      int64_t columns, float* out, int64_t outStride) {
  if (kind == TangentKind::gaussian)
    fillPanel<GaussianLaw>(draw, n, row, rows, column, columns, out, outStride);
  else
    fillSigns(draw, n, row, rows, column, columns, out, outStride);
}

void fillUniformPanel(const Draw& draw, int64_t n, int64_t row, int64_t rows, int64_t column, int64_t columns,
                      float* out, int64_t outStride) {
  fillPanel<UniformLaw>(draw, n, row, rows, column, columns, out, outStride);
}

// A task is a piece of one direction that stays in L1: some rows, or a part of one.
constexpr int64_t pieceValues = 4096;

/** V = (1/√rank) Σ_q a_q b_qᵀ; `row` is a multiple of 4, rows and columns are at most `pieceValues`. */
static void fillLowRankPanel(const Draw& draw, int rank, int64_t allRows, int64_t n, int64_t row, int64_t rows,
                             int64_t column, int64_t columns, float* out, int64_t outStride) {
  float left[pieceValues], right[pieceValues];
  for (int q = 0; q < rank; ++q) {
    Draw factor = draw;
    factor.direction = draw.direction * static_cast<uint32_t>(rank) + static_cast<uint32_t>(q);
    factor.stream = leftStream;
    fillSigns(factor, allRows, 0, 1, row, rows, left, 0);
    factor.stream = rightStream;
    fillSigns(factor, n, 0, 1, column, columns, right, 0);
    for (int64_t i = 0; i < rows; ++i) {
      float* to = out + i * outStride;
      const float a = left[i];
      if (q == 0)
        for (int64_t j = 0; j < columns; ++j) to[j] = a * right[j];
      else
        for (int64_t j = 0; j < columns; ++j) to[j] += a * right[j];
    }
  }
  const float scale = static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(rank)));
  if (rank > 1)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) out[i * outStride + j] *= scale;
}

static void random(const KernelCall& call) {
  const RandomParameters& p = *static_cast<const RandomParameters*>(call.parameters);
  float* y = static_cast<float*>(call.operands[0]);
  if (p.rows <= 0 || p.n <= 0 || p.directions <= 0) return;
  const int64_t pieceColumns = p.n < pieceValues ? p.n : pieceValues;
  int64_t pieceRows = pieceValues / pieceColumns / 4 * 4;
  if (pieceRows < 4) pieceRows = 4;
  const int64_t across = (p.n + pieceColumns - 1) / pieceColumns, down = (p.rows + pieceRows - 1) / pieceRows;
  parallelFor(call, p.directions * down * across, [&](int64_t index, int) {
    const int64_t k = index / (down * across), row = index / across % down * pieceRows,
                  column = index % across * pieceColumns;
    const int64_t rows = row + pieceRows < p.rows ? pieceRows : p.rows - row;
    const int64_t columns = column + pieceColumns < p.n ? pieceColumns : p.n - column;
    const uint32_t step = p.fixedStep >= 0 ? static_cast<uint32_t>(p.fixedStep) : call.state->step;
    const Draw draw = {{call.state->key[0], call.state->key[1]},
                       p.parameter,
                       p.stream,
                       static_cast<uint32_t>(p.firstDirection) + static_cast<uint32_t>(k),
                       step};
    float* out = y + (k * p.rows + row) * p.n + column;
    if (p.rank > 0)
      fillLowRankPanel(draw, p.rank, p.rows, p.n, row, rows, column, columns, out, p.n);
    else if (p.distribution == Distribution::uniform)
      fillPanel<UniformLaw>(draw, p.n, row, rows, column, columns, out, p.n);
    else if (p.distribution == Distribution::gaussian)
      fillPanel<GaussianLaw>(draw, p.n, row, rows, column, columns, out, p.n);
    else
      fillSigns(draw, p.n, row, rows, column, columns, out, p.n);
    const float scale = static_cast<float>(p.scale);
    if (scale != 1.0f)
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) out[i * p.n + j] *= scale;
  });
}

PUSHFORWARD_CPU_KERNEL(random, random, nullptr)

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
