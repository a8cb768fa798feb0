// Every check fires on its mutant and on no right kernel.
#include "harness.h"

using namespace softcuda;
using namespace softcuda::test;

namespace {

std::vector<float> ramp(size_t n) {
  std::vector<float> v(n);
  for (size_t i = 0; i < n; ++i) v[i] = static_cast<float>(i % 13) - 5;
  return v;
}

void sum(const char* kernel) {
  Device d = Device::fromKernels("reduction");
  std::vector<float> x = ramp(1024);
  uint64_t dx = d.put(x, "x"), dy = d.empty(16, "y");
  d.launch(kernel, {4}, {256}, dx, dy);
  std::vector<float> y = d.get<float>(dy, 4);
  for (int b = 0; b < 4; ++b) {
    float s = 0;
    for (int i = 0; i < 256; ++i) s += x[b * 256 + i];
    EXPECT(y[b] == s);
  }
}

void warpSum(const char* kernel, size_t n) {
  Device d = Device::fromKernels("reduction");
  std::vector<float> x = ramp(n);
  uint64_t dx = d.put(x, "x"), dy = d.empty(128, "y");
  d.launch(kernel, {1}, {32}, dx, dy);
  float s = 0;
  for (float v : x) s += v;
  EXPECT(d.get<float>(dy, 1)[0] == s);
}

void product(const char* kernel) {
  Device d = Device::fromKernels("product");
  constexpr int m = 37, n = 29, k = 43;
  std::vector<float> a = ramp(m * k), b = ramp(k * n);
  uint64_t da = d.put(a, "a"), db = d.put(b, "b"), dc = d.empty(m * n * 4, "c");
  d.options.threads = 2;
  d.options.seed = 5;
  d.launch(kernel, {2, 3}, {16, 16}, da, db, dc, m, n, k);
  std::vector<float> c = d.get<float>(dc, m * n);
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      float s = 0;
      for (int q = 0; q < k; ++q) s += a[i * k + q] * b[q * n + j];
      EXPECT(c[i * n + j] == s);
    }
}

void pipeline(const char* kernel) {
  Device d = Device::fromKernels("copies");
  std::vector<float> x = ramp(4 * 128 - 6);
  uint64_t dx = d.put(x, "x"), dy = d.empty(512, "y");
  d.launch(kernel, {1}, {32}, dx, dy, 4, static_cast<int>(x.size()));
  std::vector<float> y = d.get<float>(dy, 128);
  for (size_t t = 0; t < 128; ++t) {
    float s = 0;
    for (size_t step = 0; step < 4; ++step) {
      size_t at = step * 128 + (t + 5) % 128;
      s += at < x.size() ? x[at] : 0;
    }
    EXPECT(y[t] == s);
  }
}

template <class... A>
void fault(const char* kernel, Dim3 grid, Dim3 block, size_t bytes, A... arguments) {
  Device d = Device::fromKernels("faults");
  d.options.instructionLimit = 100000;
  uint64_t y = d.empty(bytes, "output");
  d.launch(kernel, grid, block, y, arguments...);
}

void scale(const char* kernel, bool written = true) {
  Device d = Device::fromKernels("faults");
  uint64_t x = written ? d.put(ramp(100), "input") : d.empty(400, "input"), y = d.empty(400, "output");
  d.launch(kernel, {2}, {64}, x, y, 100);
  EXPECT(d.get<float>(y, 100)[99] == 2 * ramp(100)[99]);
}

void inPlace(const char* kernel, unsigned grid, unsigned block) {
  Device d = Device::fromKernels("faults");
  uint64_t x = d.put(ramp(256), "x");
  d.launch(kernel, {grid}, {block}, x, 256);
}

void histogram(const char* kernel) {
  Device d = Device::fromKernels("faults");
  std::vector<unsigned char> x(1000);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<unsigned char>(i * i % 7);
  uint64_t dx = d.put(x, "x"), bins = d.put(std::vector<unsigned>(7), "bins");
  d.options.threads = 2;
  d.launch(kernel, {8}, {128}, dx, bins, 1000);
  std::vector<unsigned> expected(7);
  for (unsigned char v : x) ++expected[v];
  EXPECT(d.get<unsigned>(bins, 7) == expected);
}

void lastBlock(const char* kernel) {
  Device d = Device::fromKernels("reduction");
  std::vector<float> x = ramp(9);
  uint64_t dx = d.put(x, "x"), parts = d.empty(36, "parts"), done = d.put(std::vector<unsigned>(1), "done"),
           y = d.empty(4, "y");
  d.options.seed = 3;
  d.options.threads = 2;
  d.launch(kernel, {9}, {32}, dx, parts, done, y);
  float s = 0;
  for (float v : x) s += v;
  EXPECT(d.get<float>(y, 1)[0] == s);
}

void tf32(const char* kernel) {
  Device d = Device::fromKernels("matrix");
  std::vector<float> x(32, 1.0f / 3);
  uint64_t dx = d.put(x, "x"), c = d.empty(512, "c");
  d.launch(kernel, {1}, {32}, dx, c);
  float third;
  uint32_t bits = 0x3EAAAAAB;
  bits = (bits + 0x1000) & ~0x1FFFu;
  std::memcpy(&third, &bits, 4);
  EXPECT(d.get<float>(c, 128)[77] == static_cast<float>(8.0 * third * third));
}

TEST(right_kernels_raise_nothing) {
  sum("sum_right");
  warpSum("warp_sum_right", 64);
  warpSum("shuffle_sum_right", 32);
  product("product_right");
  pipeline("pipeline_right");
  scale("scale_right");
  histogram("histogram");
  lastBlock("last_block_right");
  tf32("tf32_right");
  fault("barrier_right", {1}, {96}, 192);
  fault("same_value", {1}, {32}, 4);
}

TEST(bytes_next_to_each_other_do_not_race) {
  Device d = Device::fromKernels("faults");
  std::vector<unsigned short> z(250, 3);
  uint64_t y = d.empty(250, "y"), dz = d.put(z, "z");
  d.options.threads = 2;
  d.launch("bytes_right", {4}, {64}, y, dz, 250);
  EXPECT(d.get<unsigned short>(dz, 250)[249] == 252);
  EXPECT(d.get<unsigned char>(y, 250)[3] == 3);
}

TEST(out_of_bounds) {
  EXPECT_FAULT(OutOfBounds, "0 bytes past the end of 'input' (400 bytes)", scale("scale_no_guard"));
  EXPECT_FAULT(OutOfBounds, "at faults.cu:", scale("scale_no_guard"));
  EXPECT_FAULT(OutOfBounds, "4 bytes before the start of 'output' (128 bytes)", fault("before_start", {1}, {32}, 128));
  EXPECT_FAULT(OutOfBounds, "'a'", product("product_no_load_guard"));
  EXPECT_FAULT(OutOfBounds, "'c'", product("product_no_store_guard"));
  EXPECT_FAULT(OutOfBounds, "4 bytes past the end of the block's shared memory (128 bytes)",
               fault("shared_past_end", {1}, {32}, 128, 33));
}
TEST(misaligned) {
  EXPECT_FAULT(Misaligned, "2 bytes into 'output'", fault("misaligned", {1}, {32}, 256));
  EXPECT_FAULT(Misaligned, "no multiple of 16", fault("misaligned_vector", {1}, {2}, 256));
}
TEST(unwritten) {
  EXPECT_FAULT(Unwritten, "thread (31,0,0)", fault("shared_unwritten", {1}, {32}, 256));
  EXPECT_FAULT(Unwritten, "bytes into 'input'", scale("scale_right", false));
}
TEST(races_in_shared_memory) {
  EXPECT_FAULT(Race, "part", sum("sum_no_loop_barrier"));
  EXPECT_FAULT(Race, "as", product("product_no_barrier_after"));
  EXPECT_FAULT(Race, "races with", warpSum("warp_sum_no_barrier", 64));
}
// Without the barrier a later warp's value has not been written at all when an earlier warp reads it.
TEST(missing_barrier_before_reading) {
  EXPECT_FAULT(Unwritten, "part", sum("sum_no_first_barrier"));
  EXPECT_FAULT(Unwritten, "bs", product("product_no_barrier_before"));
}
TEST(races_in_global_memory) {
  EXPECT_FAULT(Race, "of block", inPlace("shift_blocks", 4, 64));
  EXPECT_FAULT(Race, "'x'", inPlace("shift_in_place", 1, 256));
  EXPECT_FAULT(Race, "'output'", fault("different_values", {1}, {32}, 4));
  EXPECT_FAULT(Race, "bins", histogram("histogram_not_atomic"));
  EXPECT_FAULT(Race, "parts", lastBlock("last_block_no_fence"));
}
TEST(divergent_barrier) {
  EXPECT_FAULT(DivergentBarrier, "bar.sync", fault("barrier_some_lanes", {1}, {64}, 512));
  EXPECT_FAULT(DivergentBarrier, "ended", fault("barrier_some_warps", {1}, {64}, 512));
  EXPECT_FAULT(DivergentBarrier, "ended", fault("barrier_after_return", {1}, {64}, 512, 40));
}
TEST(inactive_lanes) {
  EXPECT_FAULT(InactiveLanes, "only the lanes 0x000000ff", warpSum("shuffle_sum_few_lanes", 32));
  EXPECT_FAULT(InactiveLanes, "vote.sync.ballot", warpSum("vote_few_lanes", 32));
}
TEST(copies_in_flight) {
  EXPECT_FAULT(InFlight, "cp.async", pipeline("pipeline_wait_one_too_few"));
  EXPECT_FAULT(CopiesAtExit, "cp.async", pipeline("pipeline_no_wait_at_end"));
  EXPECT_FAULT(Race, "buffer", pipeline("pipeline_no_barrier"));
  EXPECT_FAULT(Race, "buffer", pipeline("pipeline_no_barrier_after"));
}
TEST(not_rounded_to_tf32) { EXPECT_FAULT(NotTf32, "tf32", tf32("tf32_not_rounded")); }
TEST(instruction_limit) {
  EXPECT_FAULT(InstructionLimit, "100000", [] {
    Device d = Device::fromKernels("faults");
    d.options.instructionLimit = 100000;
    d.launch("endless", {1}, {32}, d.put(std::vector<int>(1), "flag"));
  }());
}
TEST(trap) {
  EXPECT_FAULT(Trap, "thread (5,0,0)", [] {
    Device d = Device::fromKernels("faults");
    std::vector<int> x(32);
    x[5] = 1;
    d.launch("assertion", {1}, {32}, d.put(x, "x"));
  }());
}
TEST(launch_limits) {
  EXPECT_FAULT(InvalidLaunch, "1025 threads", fault("same_value", {1}, {1025}, 4));
  EXPECT_FAULT(InvalidLaunch, "empty", fault("same_value", {0}, {32}, 4));
}
TEST(swapped_fragments_give_a_wrong_result) {
  for (bool swapped : {false, true}) {
    Device d = Device::fromKernels("matrix");
    std::vector<uint16_t> a(256), b(128);  // small integers as bfloat16
    std::vector<float> fa(256), fb(128);
    auto bf16 = [](float x) {
      uint32_t u;
      std::memcpy(&u, &x, 4);
      return static_cast<uint16_t>(u >> 16);
    };
    for (int i = 0; i < 256; ++i) a[i] = bf16(fa[i] = static_cast<float>(i * 7 % 11) - 5);
    for (int i = 0; i < 128; ++i) b[i] = bf16(fb[i] = static_cast<float>(i * 5 % 9) - 4);
    uint64_t da = d.put(a, "a"), db = d.put(b, "b"), dc = d.empty(512, "c");
    d.launch(swapped ? "matrix_swapped" : "matrix_right", {1}, {32}, da, db, dc);
    std::vector<float> c = d.get<float>(dc, 128);
    bool equal = true;
    for (int i = 0; i < 16; ++i)
      for (int j = 0; j < 8; ++j) {
        float s = 0;
        for (int k = 0; k < 16; ++k) s += fa[i * 16 + k] * fb[k * 8 + j];
        equal &= s == c[i * 8 + j];
      }
    EXPECT(equal == !swapped);
  }
}
TEST(unknown_opcodes_and_modifiers_are_refused) {
  auto refused = [](const std::string& line) {
    std::string ptx =
        ".version 9.0\n.target sm_80\n.address_size 64\n.visible .entry k()\n{\n.reg .b32 %r<4>;\n"
        ".reg .f32 %f<4>;\n.reg .b64 %rd<4>;\n.reg .pred %p<3>;\n" +
        line + "\nret;\n}\n";
    try {
      parse(ptx);
    } catch (const PtxError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT(refused("add.s32 %r1, %r2, %r3;").empty());
  EXPECT(refused("frobnicate.b32 %r1, %r2;").find("PTX line 10: 'frobnicate.b32'") == 0);
  for (const char* line : {"add.rn.s32 %r1, %r2, %r3;", "add.f32.ftz %f1, %f2, %f3;", "ld.global.L3.u32 %r1, [%rd1];",
                           "fma.f32 %f1, %f1, %f1, %f1;", "setp.lt.b32 %p1, %r1, %r2;", "cvt.f32.s32 %f1, %r1;",
                           "cvt.rn.rz.f32.s32 %f1, %r1;", "shfl.bfly.b32 %r1, %r2, 1, 31;",
                           "mma.sync.aligned.m16n8k16.row.col.f32.s8.s8.f32 %r1, %r1, %r1, %r1;",
                           "atom.global.nand.b32 %r1, [%rd1], %r2;", "mov.b64 %r1, %rd1;", "bra nowhere;",
                           "st.global.nc.u32 [%rd1], %r1;", "bar.arrive 0, 64;", "min.ftz.s32 %r1, %r1, %r1;"})
    EXPECT(!refused(line).empty());
}

}  // namespace
