// random: y[k, row, j] = scale · element (row, j) of direction k, by the law of core/philox.h. Bit-identical on every
// instruction set.
#include "ops/random.h"

#include "cpu/parallel.h"
#include "cpu/philox.h"
#include "cpu/tangent_panel.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

/** Draws the words of `sideBySide` groups, whose blocks next() gives in turn, and hands them to put(k, words). */
template <class Law, class Next, class Put>
PUSHFORWARD_INLINE void drawSideBySide(const Source& source, const Next& next, const Put& put) {
  Wide blocks[sideBySide];
  Words drawn[sideBySide];
#pragma GCC unroll 8
  for (int k = 0; k < sideBySide; ++k) blocks[k] = next();
  drawWords(source, blocks, drawn);
#pragma GCC unroll 8
  for (int k = 0; k < sideBySide; ++k) put(k, Law::words(drawn[k]));
}

constexpr int64_t batch = 2 * sideBySide;  // groups
static_assert(batch % vectorsTogether == 0, "values of whole batches");

/** Draws `count` groups, whose blocks next() gives in turn, and hands their values to put(values) in that order. */
template <class Law, class Next, class Put>
PUSHFORWARD_INLINE void drawGroups(const Source& source, int64_t count, const Next& next, const Put& put) {
  alignas(64) uint32_t words[batch][2 * lanes] = {};  // values of what is not drawn are computed too
  for (int64_t g = 0; g < count; g += batch) {
    const int64_t now = count - g < batch ? count - g : batch;
    for (int64_t k = 0; k < now; k += sideBySide)
      drawSideBySide<Law>(source, next, [&](int i, GroupWords w) {
        store(words[k + i], w.first);
        store(words[k + i] + lanes, w.second);
      });
    for (int64_t k = 0; k < now; k += vectorsTogether) {
      const Several<Group> values =
          Law::values(forEach([&](int i) { return GroupWords{load(words[k + i]), load(words[k + i] + lanes)}; }));
      for (int i = 0; i < vectorsTogether && k + i < now; ++i) put(values.each[i]);
    }
  }
}

// Whole groups go row by row. What is left of a row is narrower than a group: as many rows as fit are drawn at once.
template <class Law>
static void fillPanel(const Draw& draw, int64_t n, int64_t row, int64_t rows, int64_t column, int64_t columns,
                      float* out, int64_t outStride) {
  const int64_t rowBlocks = (n + 3) / 4, whole = columns / groupValues, rest = columns - whole * groupValues;
  const uint64_t first = static_cast<uint64_t>(row * rowBlocks + column / 4);
  const Source source(draw);
  if (whole > 0) {
    const Wide pattern = laneBlocks() + first;
    int64_t drawnRow = 0, drawn = 0, putRow = 0, put = 0;  // and the group in it
    drawGroups<Law>(
        source, rows * whole,
        [&] {
          const Wide blocks = pattern + static_cast<uint64_t>(drawnRow * rowBlocks + drawn * groupBlocks);
          if (++drawn == whole) drawn = 0, ++drawnRow;
          return blocks;
        },
        [&](Group values) {
          float* to = out + putRow * outStride + put * groupValues;
          store(to, values.low);
          store(to + lanes, values.high);
          if (++put == whole) put = 0, ++putRow;
        });
  }
  if (rest > 0) {
    const int width = static_cast<int>((rest + 3) / 4);
    const int64_t together = groupBlocks / width;
    Wide blocks =
        laneBlocks(width, static_cast<uint64_t>(rowBlocks)) + (first + static_cast<uint64_t>(whole * groupBlocks));
    int64_t i = 0;
    drawGroups<Law>(
        source, (rows + together - 1) / together,
        [&] {
          const Wide now = blocks;
          blocks += static_cast<uint64_t>(together * rowBlocks);
          return now;
        },
        [&](Group values) {
          float* to = out + i * outStride + whole * groupValues;
          if (rest == lanes) {  // one register a row
            store(to, values.low);
            if (i + 1 < rows) store(to + outStride, values.high);
          } else {
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
          }
          i += together;
        });
  }
}

/**
 * Words of `width` ≤ groupBlocks blocks of each row, out[i][4·width], the first row's beginning with block `first`.
 * Writes up to `signSlack` words more.
 */
static void drawSigns(const Source& source, uint64_t first, int64_t rowBlocks, int64_t rows, int width, uint32_t* out) {
  const int64_t together = groupBlocks / width;
  Wide blocks = laneBlocks(width, static_cast<uint64_t>(rowBlocks)) + first;
  for (int64_t i = 0; i < rows; i += sideBySide * together, out += sideBySide * together * width * 4)
    drawSideBySide<UniformLaw>(
        source,
        [&] {
          const Wide now = blocks;
          blocks += static_cast<uint64_t>(together * rowBlocks);
          return now;
        },
        [&](int k, GroupWords w) {
          store(out + k * together * width * 4, w.first);
          store(out + k * together * width * 4 + lanes, w.second);
        });
}

static_assert(signSlack > 4 * groupBlocks * sideBySide, "room for the groups beyond the last, and a word");

void fillSignWords(const Draw& draw, int64_t n, int64_t row, int64_t rows, int64_t block, uint32_t* out) {
  const int64_t rowBlocks = (n + 127) / 128;
  drawSigns(Source(draw), static_cast<uint64_t>(row * rowBlocks + block), rowBlocks, rows, 1, out);
}

void expandSigns(const uint32_t* words, int64_t stride, int64_t column, int64_t rows, int64_t columns, float* out,
                 int64_t outStride) {
  const int shift = static_cast<int>(column % 32);
  for (int64_t j = 0; j < columns; j += 32) {
    const uint32_t* from = words + (column + j) / 32;
    float* to = out + j;
    for (int64_t i = 0; i < rows; ++i, from += stride, to += outStride) {
      const uint32_t bits = static_cast<uint32_t>((uint64_t{from[1]} << 32 | from[0]) >> shift);
      if (j + 32 <= columns) {
#pragma GCC unroll 8
        for (int k = 0; k < 32; k += lanes) store(to + k, signs(bits, k));
      } else {
        for (int64_t k = 0; j + k < columns; k += lanes) {
          const Float x = signs(bits >> k, 0);
          const int64_t some = columns - j - k;
          storePartial(to + k, x, static_cast<int>(some < lanes ? some : lanes));
        }
      }
    }
  }
}

#if PUSHFORWARD_LANES == 16
void expandSignPairs(const uint32_t* words, int64_t stride, int64_t rows, int64_t columns, uint32_t* out,
                     int64_t outStride) {
  constexpr uint32_t one = 0x3F80, lower = 0x8000, upper = lower << 16;
  for (int64_t i = 0; i < rows; i += 2, words += 2 * stride, out += outStride) {
    const bool both = i + 1 < rows;
    const uint32_t above = words[0], below = both ? words[stride] : 0;
    const __m512i ones = _mm512_set1_epi32(static_cast<int>(both ? one << 16 | one : one));
    for (int64_t j = 0; j < columns; j += lanes) {
      const auto first = static_cast<__mmask16>(above >> j), second = static_cast<__mmask16>(below >> j);
      const __m512i signed1 = _mm512_mask_or_epi32(ones, first, ones, _mm512_set1_epi32(lower));
      store(out + j,
            (Unsigned)_mm512_mask_or_epi32(signed1, second, signed1, _mm512_set1_epi32(static_cast<int>(upper))));
    }
  }
}

void fillSignPairs(const Draw& draw, int64_t n, int64_t row, int64_t rows, int64_t column, int64_t columns,
                   uint32_t* out, int64_t outStride) {
  constexpr int64_t together = 256;
  alignas(64) uint32_t words[4 * together + signSlack];
  for (int64_t i = 0; i < rows; i += together, out += together / 2 * outStride) {
    const int64_t now = rows - i < together ? rows - i : together;
    fillSignWords(draw, n, row + i, now, column / signColumns, words);
    expandSignPairs(words + column % signColumns / 32, 4, now, columns, out, outStride);
  }
}

void fillGaussianPairs(const Draw& draw, int64_t n, int64_t row, int64_t rows, int64_t column, uint32_t* out,
                       int64_t outStride) {
  const int64_t rowBlocks = (n + 3) / 4;
  Wide blocks = laneBlocks() + static_cast<uint64_t>(row * rowBlocks + column / 4);
  Group above;
  int64_t i = 0;
  const auto pair = [](Float first, Float second) {
    return ((asUnsigned(second) + 0x8000u) & 0xFFFF0000u) | (asUnsigned(first) + 0x8000u) >> 16;
  };
  drawGroups<GaussianLaw>(
      Source(draw), rows,
      [&] {
        const Wide now = blocks;
        blocks += static_cast<uint64_t>(rowBlocks);
        return now;
      },
      [&](Group values) {
        uint32_t* to = out + i / 2 * outStride;
        const bool second = i % 2 != 0;
        if (second || i + 1 == rows) {
          store(to, second ? pair(above.low, values.low) : pair(values.low, Float{}));
          store(to + lanes, second ? pair(above.high, values.high) : pair(values.high, Float{}));
        }
        above = values;
        ++i;
      });
}
#endif

static void fillSigns(const Draw& draw, int64_t n, int64_t row, int64_t rows, int64_t column, int64_t columns,
                      float* out, int64_t outStride) {
  alignas(64) uint32_t words[1024 + signSlack];
  const int64_t rowBlocks = (n + 127) / 128, end = column + columns;
  const Source source(draw);
  for (int64_t begin = column; begin < end;) {
    const int64_t block = begin / 128, last = (end + 127) / 128;
    const int64_t width = last - block < groupBlocks ? last - block : groupBlocks;
    const int64_t count = ((block + width) * 128 < end ? (block + width) * 128 : end) - begin;
    // So many rows that words and signs stay in L1.
    const int64_t together = 256 / width;
    for (int64_t i = 0; i < rows; i += together) {
      const int64_t now = rows - i < together ? rows - i : together;
      drawSigns(source, static_cast<uint64_t>((row + i) * rowBlocks + block), rowBlocks, now, static_cast<int>(width),
                words);
      expandSigns(words, 4 * width, begin % 128, now, count, out + i * outStride + (begin - column), outStride);
    }
    begin += count;
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
  const int64_t most = p.panelColumns > 0 ? p.panelColumns : pieceValues, pieceColumns = p.n < most ? p.n : most;
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
    const int64_t stride = p.panelColumns > 0 ? columns : p.n;
    float* out = p.panelColumns > 0 ? y + column * p.rows + row * columns : y + (k * p.rows + row) * p.n + column;
    if (p.rank > 0)
      fillLowRankPanel(draw, p.rank, p.rows, p.n, row, rows, column, columns, out, stride);
    else if (p.distribution == Distribution::uniform)
      fillPanel<UniformLaw>(draw, p.n, row, rows, column, columns, out, stride);
    else if (p.distribution == Distribution::gaussian)
      fillPanel<GaussianLaw>(draw, p.n, row, rows, column, columns, out, stride);
    else
      fillSigns(draw, p.n, row, rows, column, columns, out, stride);
    const float scale = static_cast<float>(p.scale);
    if (scale != 1.0f)
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) out[i * stride + j] *= scale;
  });
}

PUSHFORWARD_CPU_KERNEL(random, random, nullptr)

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
