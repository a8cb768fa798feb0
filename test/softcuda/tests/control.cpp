// Whole kernels as nvcc compiles them: divergence, calls, jump tables, shuffles, atomic operations.
#include "harness.h"

using namespace softcuda;
using namespace softcuda::test;

namespace {

std::vector<int> run(const char* kernel, unsigned threads, int extra = -1) {
  Device d = Device::fromKernels("control");
  uint64_t y = d.empty(threads * 4, "y");
  if (extra < 0)
    d.launch(kernel, {1}, {threads}, y);
  else
    d.launch(kernel, {1}, {threads}, y, extra);
  return d.get<int>(y, threads);
}

int collatz(int n) {
  int steps = 0;
  while (n != 1) n = n % 2 ? 3 * n + 1 : n / 2, ++steps;
  return steps;
}

TEST(divergent_loops_meet_again) {
  std::vector<int> y = run("diverge", 64), r(64);
  for (int t = 0; t < 64; ++t) {
    for (int i = 0; i < t % 7; ++i) {
      if (i == 4) break;
      if ((t + i) % 3 != 0) r[t] += t * i;
    }
    r[t] += t % 2 ? collatz(t + 1) : -1;
  }
  for (int t = 0; t < 64; ++t) {
    int ballot = 0;
    for (int l = 0; l < 4; ++l) ballot |= (r[t / 32 * 32 + l] > 10) << l;
    EXPECT(y[t] == r[t] + ballot);
  }
}
TEST(functions_with_structures) {
  std::vector<int> y = run("calls", 32);
  for (int t = 0; t < 32; ++t) {
    int a = t, b = 2 * t;
    if (t % 3) std::swap(a, b), a -= t;
    std::swap(a, b);
    a += 1;
    EXPECT(y[t] == a * 1000 + b);
  }
}
TEST(jump_tables_and_variables) {
  const int table[8] = {3, 1, 4, 1, 5, 9, 2, 6};
  const float scales[4] = {0.5f, 1, 2, 4};
  std::vector<int> y = run("jumps", 64, 8);
  for (int t = 0; t < 64; ++t) {
    int expected[8] = {t * t, table[t % 8],          static_cast<int>(scales[t % 4] * 8), 4,
                       1,     __builtin_popcount(t), t ? __builtin_clz(t) : 32,           -t};
    EXPECT(y[t] == expected[t % 8]);
  }
}
TEST(local_arrays) {
  std::vector<int> y = run("local_array", 32, 11);
  for (int t = 0; t < 32; ++t) {
    int a[16], s = 0;
    for (int i = 0; i < 16; ++i) a[i] = i * t;
    for (int i = 0; i < 11; ++i) a[(i * 5 + t) % 16] += a[(i + 3) % 16];
    for (int i = 0; i < 16; ++i) s = static_cast<int>(static_cast<unsigned>(s) * 3 + static_cast<unsigned>(a[i]));
    EXPECT(y[t] == s);
  }
}
TEST(warp_operations) {
  Device d = Device::fromKernels("control");
  uint64_t out = d.empty(1024, "y");
  d.launch("shuffles", {1}, {32}, out);
  std::vector<int> y = d.get<int>(out, 256);
  int sum = 0, most = 0;
  for (int t = 0; t < 32; ++t) sum += t * t, most = std::max(most, t * t % 50);
  auto square = [](int t) { return t * t; };
  for (int t = 0; t < 32; ++t) {
    EXPECT(y[t] == square(t / 8 * 8 + (t + 5) % 8));
    EXPECT(y[t + 32] == square(t % 16 >= 3 ? t - 3 : t));
    EXPECT(y[t + 64] == square(t % 16 < 13 ? t + 3 : t));
    EXPECT(y[t + 96] == square(t ^ 9));
    unsigned same = 0;
    for (int k = 0; k < 32; ++k) same |= static_cast<unsigned>(k * k % 5 == t * t % 5) << k;
    EXPECT(static_cast<unsigned>(y[t + 128]) == same);
    EXPECT(y[t + 160] == sum && y[t + 192] == most);
    EXPECT(y[t + 224] == (t < 9 ? 0x1FF : 1));
  }
}
TEST(counting_barriers_and_dynamic_shared_memory) {
  Device d = Device::fromKernels("control");
  std::vector<int> x(80);
  for (int t = 0; t < 80; ++t) x[t] = t % 11 - 4;
  uint64_t dx = d.put(x, "x"), y = d.empty(320, "y"), z = d.empty(320, "z");
  d.dynamicSharedBytes = 320;
  d.launch("counts", {1}, {16, 5}, dx, y, z);
  int positive = 0;
  for (int v : x) positive += v > 0;
  for (int t = 0; t < 80; ++t) {
    EXPECT(d.get<int>(y, 80)[t] == positive + 3000);
    EXPECT(d.get<float>(z, 80)[t] == x[79 - t]);
  }
}
TEST(atomic_operations) {
  for (unsigned threads : {1u, 2u}) {
    Device d = Device::fromKernels("control");
    d.options.threads = threads;
    d.options.seed = 9;
    uint64_t i = d.put(std::vector<int>(8), "i"), u = d.put(std::vector<unsigned>{~0u, 0, 0, 0, 0, 0}, "u"),
             l = d.put(std::vector<uint64_t>(1), "l"), f = d.put(std::vector<float>(1), "f"),
             g = d.put(std::vector<double>(1), "d");
    d.launch("atomics", {4}, {64}, i, u, l, f, g);
    std::vector<int> ri = d.get<int>(i, 7);
    EXPECT(ri[0] == 255 * 128 && ri[1] == -255 && ri[2] == 255 && ri[3] == 7 && ri[4] == 7);
    EXPECT(ri[5] == 127 * 128 && ri[6] == 128 * 128);
    std::vector<unsigned> ru = d.get<unsigned>(u, 6);
    EXPECT(ru[0] == 0 && ru[1] == ~0u && ru[2] == 0 && ru[3] == 256 % 6 && ru[5] == 256);
    EXPECT(d.get<uint64_t>(l, 1)[0] == uint64_t{256} << 33);
    EXPECT(d.get<float>(f, 1)[0] == 128 && d.get<double>(g, 1)[0] == 64);
  }
}
TEST(block_order_does_not_matter_to_right_kernels) {
  for (uint64_t seed : {0, 1, 2}) {
    Device d = Device::fromKernels("faults");
    d.options.seed = seed;
    d.options.threads = 1 + seed % 2;
    std::vector<float> x(1000, 1.5f);
    uint64_t dx = d.put(x, "x"), y = d.empty(4000, "y");
    d.launch("scale_right", {16}, {64}, dx, y, 1000);
    EXPECT(d.get<float>(y, 1000) == std::vector<float>(1000, 3));
  }
}

}  // namespace
