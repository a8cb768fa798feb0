// The update of planes by xᵀ δ on tiles, with an emulation of the instructions: rows and columns that do not fill a block, any depth, several
// panels and threads' tasks. Whole numbers, so that every order of summing gives the same bits. Prints the cases that are wrong;
// test/amx_update.test.ts compiles and runs it.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <vector>

#include "emulated_tiles.h"
#include "ops/update_tiles.h"

using namespace pushforward;
using namespace pushforward::cpu::PUSHFORWARD_ISA;

namespace {

/** Words of both planes. */
struct Planes {
  std::vector<uint32_t> words;
  size_t low;

  explicit Planes(int64_t count) : words(static_cast<size_t>(count)), low(words.size() / 2) {}
  /** Where the halves of row i's pair lie. */
  static size_t word(int64_t rows, int64_t n, int64_t i, int64_t j) {
    const int64_t panel = j / tileColumns * tileColumns, wide = minimum(tileColumns, n - panel);
    return static_cast<size_t>((panel * rows + i / 2 * 2 * wide) / 2 + j - panel);
  }
  void put(size_t at, int64_t i, float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof x);
    const int shift = 16 * static_cast<int>(i % 2);
    const auto set = [&](uint32_t& word, uint32_t half) { word = (word & ~(0xFFFFu << shift)) | half << shift; };
    set(words[at], (bits + 0x8000u) >> 16);
    set(words[low + at], bits & 0xFFFFu);
  }
};

template <bool momentum>
bool check(int64_t rows, int64_t inner, int64_t n) {
  const size_t count = static_cast<size_t>(rows * n);
  std::vector<float> x(static_cast<size_t>(inner * rows)), delta(static_cast<size_t>(inner * n)), m(count),
      expectedM(m);
  for (float& value : x) value = whole();
  for (float& value : delta) value = whole();
  Planes w(rows * n), expected(rows * n);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < n; ++j) {
      const size_t at = Planes::word(rows, n, i, j);
      const float before = whole() + 0.1f * static_cast<float>(j % 7);
      w.put(at, i, before);
      float g = 0.0f;
      for (int64_t p = 0; p < inner; ++p) g += roundBf16(x[p * rows + i]) * roundBf16(delta[p * n + j]);
      g = std::fma(0.5f, before, g);
      const int64_t panel = j / tileColumns * tileColumns, wide = minimum(tileColumns, n - panel);
      if (momentum) g = expectedM[panel * rows + i * wide + j - panel] = g;
      expected.put(at, i, std::fma(-0.25f, g, before));
    }
  UpdateParameters p{};
  p.rows = rows, p.n = n, p.inner = inner;
  p.gradient = GradientKind::product;
  p.layout = WeightLayout::planes;
  const TileProduct product(p);
  // What is read beyond the packed rows must not count: 0 · NaN is NaN.
  std::vector<float> scratch(product.packedFloats() + product.threadFloats() + 16, __builtin_nanf(""));
  void* aligned = reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64);
  void* operands[] = {w.words.data(), momentum ? m.data() : nullptr, nullptr, nullptr, nullptr, x.data(), delta.data()};
  Coefficients c{};
  c.rate = 0.25f, c.weightDecay = 0.5f, c.momentum = 0.9f;
  const KernelCall call{&p, operands, aligned, nullptr, nullptr};
  applyTiles<EmulatedTiles, Rule::sgd, momentum>(call, c);
  return w.words == expected.words && std::memcmp(m.data(), expectedM.data(), 4 * count) == 0;
}

}  // namespace

int main() {
  int cases = 0, wrong = 0;
  for (int64_t rows : {2, 14, 16, 18, 32, 34, 50, 64, 98})
    for (int64_t n : {16, 32, 48, 64, 96, 160, 176})
      for (int64_t inner : {1, 2, 31, 32, 33, 64, 65, 96, 130, 300})
        for (bool momentum : {false, true}) {
          ++cases;
          if (momentum ? check<true>(rows, inner, n) : check<false>(rows, inner, n)) continue;
          if (++wrong < 10) std::printf("wrong: [%ld, %ld]ᵀ [·, %ld]\n", long(inner), long(rows), long(n));
        }
  // More rows than are packed together.
  ++cases;
  if (!check<false>(160, 4096, 32)) ++wrong, std::printf("wrong: several chunks\n");
  std::printf("%d cases, %d wrong\n", cases, wrong);
  return wrong == 0 ? 0 : 1;
}
