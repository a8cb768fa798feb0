// The device's address space.
#include "harness.h"

using namespace softcuda;
using namespace softcuda::test;

namespace {

TEST(copies_round_trip_and_mark_written) {
  Memory m(1 << 20);
  uint64_t a = m.allocate(10, "a"), b = m.allocate(10, "b");
  char in[10] = "abcdefghi", out[10] = {};
  m.copyIn(a, in, 10);
  m.copy(b, a, 10);
  m.copyOut(out, b, 10);
  EXPECT(std::memcmp(in, out, 10) == 0);
  m.fill(a, 0x11223344, 4, 2);
  m.copyOut(out, a, 10);
  EXPECT(out[0] == 0x44 && out[7] == 0x11 && out[8] == 'i');
}
TEST(fresh_memory_is_garbage_and_unwritten) {
  Memory m(1 << 20);
  uint64_t a = m.allocate(8, "fresh");
  char out[8];
  EXPECT_FAULT(Unwritten, "0 bytes into 'fresh'", m.copyOut(out, a, 8));
  m.copyIn(a, "abc", 3);
  EXPECT_FAULT(Unwritten, "3 bytes into 'fresh'", m.copyOut(out, a, 8));
  m.copyOut(out, a, 3);
  m.copyOut(out, a, 8, false);
  EXPECT(out[7] == static_cast<char>(0xCB));
  uint64_t b = m.allocate(8, "other");
  m.copy(b, a, 8);
  EXPECT_FAULT(Unwritten, "3 bytes into 'other'", m.copyOut(out, b, 8));
}
TEST(bounds_of_copies) {
  Memory m(1 << 20);
  uint64_t a = m.allocate(100, "a");
  char buffer[128] = {};
  EXPECT_FAULT(OutOfBounds, "0 bytes past the end of 'a' (100 bytes)", m.copyIn(a, buffer, 101));
  EXPECT_FAULT(OutOfBounds, "bytes past the end of 'a'", m.copyOut(buffer, a + 96, 8));
  EXPECT_FAULT(OutOfBounds, "8 bytes before the start of 'a'", m.fill(a - 8, 0, 1, 4));
}
TEST(free_finds_mistakes) {
  Memory m(1 << 20);
  uint64_t a = m.allocate(100, "a");
  EXPECT_FAULT(InvalidFree, "no live allocation", m.free(a + 4));
  m.free(a);
  EXPECT_FAULT(InvalidFree, "no live allocation", m.free(a));
  EXPECT(m.used() == 0 && m.live().empty());
  char out[4];
  EXPECT_FAULT(OutOfBounds, "nothing is allocated", m.copyOut(out, a, 4));
}
TEST(limit_and_late_reuse) {
  Memory m(1 << 20);
  uint64_t a = m.allocate(1 << 20, "all");
  EXPECT(a != 0 && m.allocate(1, "more") == 0);
  EXPECT(m.find(a + 5) && m.find(a + 5)->name == "all" && !m.find(a + (1 << 20)));
  m.free(a);
  uint64_t b = m.allocate(1 << 20, "again");
  EXPECT(b != 0 && b != a);
  m.free(b);
  for (int i = 0; i < 20; ++i) {  // the address space comes round
    uint64_t c = m.allocate(1 << 20, "round");
    EXPECT(c != 0);
    if (c) m.free(c);
  }
}

}  // namespace
