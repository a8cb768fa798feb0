// mma.sync and ldmatrix against the fragment tables of the PTX manual, written as data, by operands with a single one.
#include "harness.h"

using namespace softcuda;
using namespace softcuda::test;

namespace {

// One row an element of the fragment: what is added to the row and the column that the lane gives. The manual: with
// groupID = lane >> 2 and threadID_in_group = lane % 4, an element is at (row, column) of its matrix.
struct Element {
  int rowGroup, rowThread, row, columnGroup, columnThread, column;
};
using Table = std::vector<Element>;

struct Shape {
  const char* name;
  int k, bits;  // of an input element
  uint32_t one;
  Table a, b;
};

const Table kC = {{1, 0, 0, 0, 2, 0}, {1, 0, 0, 0, 2, 1}, {1, 0, 8, 0, 2, 0}, {1, 0, 8, 0, 2, 1}};
const Table kA16 = {{1, 0, 0, 0, 2, 0}, {1, 0, 0, 0, 2, 1}, {1, 0, 8, 0, 2, 0}, {1, 0, 8, 0, 2, 1},
                    {1, 0, 0, 0, 2, 8}, {1, 0, 0, 0, 2, 9}, {1, 0, 8, 0, 2, 8}, {1, 0, 8, 0, 2, 9}};
const Table kB16 = {{0, 2, 0, 1, 0, 0}, {0, 2, 1, 1, 0, 0}, {0, 2, 8, 1, 0, 0}, {0, 2, 9, 1, 0, 0}};
const Table kA8 = {{1, 0, 0, 0, 2, 0}, {1, 0, 0, 0, 2, 1}, {1, 0, 8, 0, 2, 0}, {1, 0, 8, 0, 2, 1}};
const Table kB8 = {{0, 2, 0, 1, 0, 0}, {0, 2, 1, 1, 0, 0}};
const Table kATf32 = {{1, 0, 0, 0, 1, 0}, {1, 0, 8, 0, 1, 0}, {1, 0, 0, 0, 1, 4}, {1, 0, 8, 0, 1, 4}};
const Table kBTf32 = {{0, 1, 0, 1, 0, 0}, {0, 1, 4, 1, 0, 0}};

const std::vector<Shape> kShapes = {
    {"m16n8k16.row.col.f32.f16.f16.f32", 16, 16, 0x3C00, kA16, kB16},
    {"m16n8k16.row.col.f32.bf16.bf16.f32", 16, 16, 0x3F80, kA16, kB16},
    {"m16n8k8.row.col.f32.bf16.bf16.f32", 8, 16, 0x3F80, kA8, kB8},
    {"m16n8k8.row.col.f32.tf32.tf32.f32", 8, 32, 0x3F800000, kATf32, kBTf32},
};

std::pair<int, int> place(const Element& e, int lane) {
  int group = lane >> 2, thread = lane % 4;
  return {e.rowGroup * group + e.rowThread * thread + e.row,
          e.columnGroup * group + e.columnThread * thread + e.column};
}

// Loads the registers of A, B, C from in[register][lane], stores D to out[register][lane].
std::string mmaKernel(const Shape& s, int registersA, int registersB) {
  std::string p =
      ".version 9.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 in, .param .u64 out)\n{\n"
      ".reg .b32 %r<16>;\n.reg .b32 %t;\n.reg .f32 %f<9>;\n.reg .b64 %rd<5>;\n"
      "ld.param.u64 %rd1, [in];\nld.param.u64 %rd2, [out];\nmov.u32 %t, %tid.x;\nmul.wide.u32 %rd3, %t, 4;\n"
      "add.s64 %rd1, %rd1, %rd3;\nadd.s64 %rd2, %rd2, %rd3;\n";
  int inputs = registersA + registersB;
  for (int n = 0; n < inputs; ++n)
    p += "ld.global.u32 %r" + std::to_string(n) + ", [%rd1+" + std::to_string(128 * n) + "];\n";
  for (int n = 0; n < 4; ++n)
    p += "ld.global.f32 %f" + std::to_string(n) + ", [%rd1+" + std::to_string(128 * (inputs + n)) + "];\n";
  auto list = [](const char* prefix, int from, int count) {
    std::string t = "{";
    for (int n = 0; n < count; ++n) t += (n ? ", " : "") + std::string(prefix) + std::to_string(from + n);
    return t + "}";
  };
  p += std::string("mma.sync.aligned.") + s.name + " {%f4, %f5, %f6, %f7}, " + list("%r", 0, registersA) + ", " +
       list("%r", registersA, registersB) + ", {%f0, %f1, %f2, %f3};\n";
  for (int n = 0; n < 4; ++n)
    p += "st.global.f32 [%rd2+" + std::to_string(128 * n) + "], %f" + std::to_string(4 + n) + ";\n";
  return p + "ret;\n}\n";
}

TEST(fragments_of_mma) {
  for (const Shape& s : kShapes) {
    int perRegister = 32 / s.bits;
    int registersA = static_cast<int>(s.a.size()) / perRegister,
        registersB = static_cast<int>(s.b.size()) / perRegister;
    Device d(mmaKernel(s, registersA, registersB));
    size_t words = static_cast<size_t>(registersA + registersB + 4) * 32;
    uint64_t in = d.empty(words * 4, "in"), out = d.empty(512, "out");
    auto set = [&](std::vector<uint32_t>& w, int firstRegister, int lane, size_t element) {
      w[(firstRegister + element / perRegister) * 32 + lane] |= s.one << (element % perRegister * s.bits);
    };
    int wrong = 0;
    // A one at (row, n) of A and the one at (n, column) of B: D is one at (row, column) alone.
    for (int lane = 0; lane < 32; ++lane)
      for (size_t e = 0; e < s.a.size(); ++e) {
        auto [row, n] = place(s.a[e], lane);
        std::vector<uint32_t> w(words);
        set(w, 0, lane, e);
        int column = (lane * 5 + static_cast<int>(e)) % 8;
        for (int l = 0; l < 32; ++l)
          for (size_t f = 0; f < s.b.size(); ++f)
            if (place(s.b[f], l) == std::make_pair(n, column)) set(w, registersA, l, f);
        float c = 0.5f;
        std::memcpy(&w[(registersA + registersB + 1) * 32 + 9], &c, 4);  // C: register 1 of lane 9
        d.memory.copyIn(in, w.data(), words * 4);
        d.launch("k", {1}, {32}, in, out);
        std::vector<float> r = d.get<float>(out, 128);
        for (int l = 0; l < 32; ++l)
          for (size_t f = 0; f < 4; ++f) {
            float expected = place(kC[f], l) == std::make_pair(row, column) ? 1.0f : 0.0f;
            if (l == 9 && f == 1) expected += 0.5f;
            wrong += r[f * 32 + l] != expected;
          }
      }
    EXPECT(wrong == 0);
  }
}

TEST(fragments_of_ldmatrix) {
  for (int count : {1, 2, 4})
    for (bool transposed : {false, true}) {
      std::string p =
          ".version 9.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 in, .param .u64 out)\n{\n"
          ".reg .b32 %r<9>;\n.reg .b64 %rd<9>;\n.shared .align 16 .b8 s[512];\n"
          "ld.param.u64 %rd1, [in];\nld.param.u64 %rd2, [out];\nmov.u32 %r1, %tid.x;\n"
          "mul.wide.u32 %rd3, %r1, 16;\nadd.s64 %rd4, %rd1, %rd3;\nmov.u64 %rd5, s;\nadd.s64 %rd6, %rd5, %rd3;\n"
          "ld.global.v4.u32 {%r2, %r3, %r4, %r5}, [%rd4];\nst.shared.v4.u32 [%rd6], {%r2, %r3, %r4, %r5};\n"
          "bar.warp.sync -1;\ncvt.u32.u64 %r6, %rd6;\nldmatrix.sync.aligned.m8n8.x" +
          std::to_string(count) + (transposed ? ".trans" : "") + ".shared.b16 {%r2";
      for (int n = 1; n < count; ++n) p += ", %r" + std::to_string(2 + n);
      p += "}, [%r6];\nmul.wide.u32 %rd3, %r1, 4;\nadd.s64 %rd2, %rd2, %rd3;\n";
      for (int n = 0; n < count; ++n)
        p += "st.global.u32 [%rd2+" + std::to_string(128 * n) + "], %r" + std::to_string(2 + n) + ";\n";
      Device d(p + "ret;\n}\n");
      std::vector<uint16_t> x(256);
      for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint16_t>(i + 1);
      uint64_t in = d.put(x, "in"), out = d.empty(512, "out");
      d.launch("k", {1}, {32}, in, out);
      std::vector<uint16_t> r = d.get<uint16_t>(out, count * 64);
      int wrong = 0;
      // The manual: lane l holds elements 2 (l % 4) and + 1 of row l / 4; with .trans of column l / 4.
      for (int n = 0; n < count; ++n)
        for (int l = 0; l < 32; ++l)
          for (int h = 0; h < 2; ++h) {
            int major = l / 4, minor = 2 * (l % 4) + h;
            int row = transposed ? minor : major, column = transposed ? major : minor;
            wrong += r[(n * 32 + l) * 2 + h] != x[(n * 8 + row) * 8 + column];
          }
      EXPECT(wrong == 0);
    }
}

}  // namespace
