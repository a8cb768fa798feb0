// Sectors, wavefronts and instructions of kernels whose figures are known.
#include "harness.h"

using namespace softcuda;
using namespace softcuda::test;

namespace {

std::string kernel(const std::string& body) {
  return ".version 9.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 p)\n{\n.reg .b32 %r<9>;\n"
         ".reg .b64 %rd<9>;\n.shared .align 16 .b8 s[8192];\nld.param.u64 %rd1, [p];\nmov.u32 %r1, %tid.x;\n" +
         body + "ret;\n}\n";
}

LineCounts counts(const std::string& body) {
  Device d(kernel(body));
  Counters counters;
  d.counters = &counters;
  d.launch("k", {1}, {32}, d.put(std::vector<float>(4096), "p"));
  EXPECT(report(counters).find("k: 1 launches, 1 blocks") == 0);
  return counters.kernels.at("k").total();
}

std::string globalLoad(int step, const char* type) {
  return "mul.wide.u32 %rd2, %r1, " + std::to_string(step) + ";\nadd.s64 %rd3, %rd1, %rd2;\nld.global." + type +
         " %r2, [%rd3];\n";
}
std::string sharedStore(int step) {
  return "mul.lo.u32 %r3, %r1, " + std::to_string(step) + ";\nst.shared.u32 [%r3], %r1;\n";
}

TEST(sectors) {
  LineCounts c = counts(globalLoad(4, "u32"));
  EXPECT(c.sectors == 4 && c.idealSectors == 4);
  c = counts(globalLoad(128, "u32"));
  EXPECT(c.sectors == 32 && c.idealSectors == 4);
  c = counts(globalLoad(0, "u32"));
  EXPECT(c.sectors == 1 && c.idealSectors == 1);
  c = counts(globalLoad(2, "u16"));
  EXPECT(c.sectors == 2 && c.idealSectors == 2);
}
TEST(wavefronts) {
  EXPECT(counts(sharedStore(4)).wavefronts == 1);
  EXPECT(counts(sharedStore(8)).wavefronts == 2);
  EXPECT(counts(sharedStore(8)).idealWavefronts == 1);
  EXPECT(counts(sharedStore(128)).wavefronts == 32);
  EXPECT(counts(sharedStore(132)).wavefronts == 1);
  std::string wide = "mul.lo.u32 %r3, %r1, 16;\nst.shared.v4.u32 [%r3], {%r1, %r1, %r1, %r1};\n";
  EXPECT(counts(wide).wavefronts == 4 && counts(wide).idealWavefronts == 4);
}

TEST(instructions) {
  LineCounts c = counts(".reg .pred %p1;\nsetp.lt.u32 %p1, %r1, 5;\n@%p1 add.s32 %r2, %r1, 1;\n");
  EXPECT(c.instructions == 5);
  EXPECT(c.laneInstructions == 4 * 32 + 5);
}

}  // namespace
