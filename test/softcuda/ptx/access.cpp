#include "access.h"

#include <atomic>
#include <cstdio>

namespace softcuda {
namespace {

std::string number(uint64_t v) { return std::to_string(v); }

std::string thread(const Warp& w, uint32_t linear) {
  const Dim3& b = w.block->launch->block;
  return "(" + number(linear % b.x) + "," + number(linear / b.x % b.y) + "," + number(linear / (uint64_t{b.x} * b.y)) +
         ")";
}

// Who left a stamp.
template <class Stamp>
std::string author(const Warp& w, const View<Stamp>& v, Stamp s) {
  uint32_t low = static_cast<uint32_t>(s), lane = low & kLaneMask, warp = (low & kWarpMask) >> kLaneBits;
  std::string who;
  if (low == kManyBlocks) return "threads of several blocks";
  if (warp >= 32)
    who = "threads of several warps";
  else if (lane == kManyLanes)
    who = "several threads of warp " + number(warp);
  else if (lane == kAtomic)
    who = "an atomic operation of warp " + number(warp);
  else
    who = "thread " + thread(w, warp * kLanes + lane);
  if (!kIsShared<Stamp> && blockOf(s) != blockOf(v.own)) {
    uint64_t block = blockOf(s) - w.block->launch->firstBlock;
    const Dim3& g = w.block->launch->grid;
    who += " of block (" + number(block % g.x) + "," + number(block / g.x % g.y) + "," +
           number(block / (uint64_t{g.x} * g.y)) + ")";
  }
  return who;
}

template <class Stamp>
std::string place(const Warp& w, uint64_t address) {
  if constexpr (!kIsShared<Stamp>) return w.block->launch->memory->describe(address);
  char text[32];
  std::snprintf(text, sizeof text, "shared 0x%llx", static_cast<unsigned long long>(address));
  std::string where = text;
  const Program& p = *w.program;
  for (const auto& s : p.sharedVariables)
    if (address >= s.offset && address < s.offset + s.bytes)
      return where + ", " + number(address - s.offset) + " bytes into '" + s.name + "' (" + number(s.bytes) + " bytes)";
  uint64_t total = w.block->launch->sharedBytes;
  if (address >= total)
    return where + ", " + number(address - total) + " bytes past the end of the block's shared memory (" +
           number(total) + " bytes)";
  return where + ", " + number(address - std::min(address, p.sharedBytes)) + " bytes into the dynamic shared memory";
}

// Blocks of one launch are ordered by fence and atomic operation.
template <class Stamp>
bool excused(const Warp& w, const View<Stamp>& v, Stamp s) {
  if (kIsShared<Stamp> || blockOf(s) == blockOf(v.own) || !w.block->acquired) return false;
  uint32_t low = static_cast<uint32_t>(s);
  if (low == kManyBlocks) return true;
  uint64_t other = blockOf(s) - w.block->launch->firstBlock;
  return other < w.block->launch->released.size() && w.block->launch->released[other].load() > low;
}

// The lanes below that wrote the same place with this instruction; the value there is equal.
bool sameInstruction(const Warp& w, uint32_t writer, uint32_t lane, const std::byte* there, const void* bytes,
                     unsigned n) {
  return writer < lane && (w.writing >> writer & 1) && bytes && std::memcmp(there, bytes, n) == 0;
}

struct ByteLocks {
  std::atomic_flag flags[64];
  ByteLocks() {
    for (auto& f : flags) f.clear();
  }
};
ByteLocks locks;

struct Locked {
  std::atomic_flag& flag;
  explicit Locked(uint64_t word) : flag(locks.flags[word % 64]) {
    while (flag.test_and_set(std::memory_order_acquire)) {
    }
  }
  ~Locked() { flag.clear(std::memory_order_release); }
};

// One word or byte with its stamps.
template <class Stamp>
void judge(Warp& w, View<Stamp>& v, Access access, Stamp& write, Stamp& read, uint64_t offset, unsigned n,
           uint32_t lane, const void* bytes) {
  bool writes = access == Access::Write || access == Access::StrongWrite || access == Access::Atomic;
  bool strong = access != Access::Read && access != Access::Write;
  uint64_t address = v.base + offset;
  const char* what = access == Access::Atomic ? "an atomic operation at " : writes ? "a write at " : "a read at ";
  if (!kIsShared<Stamp> && write == kUnallocated) faultBounds(w, v, writes, address, n, lane);
  if (kIsShared<Stamp> && write == kInFlight<Stamp>)
    fault(w, FaultKind::InFlight, lane,
          std::string(what) + place<Stamp>(w, address) + ", which a cp.async that has not been waited for will write");
  if ((!writes || access == Access::Atomic) && write < kLowestWritten<Stamp>)
    fault(w, FaultKind::Unwritten, lane, std::string(what) + place<Stamp>(w, address) + ", which nothing has written");
  bool bothAtomic = strong && (static_cast<uint32_t>(write) & kLaneMask) == kAtomic;
  if (write >= v.quiet && !bothAtomic && !v.ordered(write, lane) && !excused(w, v, write)) {
    bool here = blockOf(write) == blockOf(v.own) && ((write ^ v.own) & ~Stamp{kLaneMask}) == 0;
    if (!(writes && here &&
          sameInstruction(w, static_cast<uint32_t>(write) & kLaneMask, lane, v.data + offset, bytes, n)))
      fault(w, FaultKind::Race, lane,
            std::string(what) + place<Stamp>(w, address) + " races with " + author(w, v, write) +
                (writes && !strong ? ", which writes there too" : ", which writes there"));
  }
  if (writes) {
    if (read >= v.quiet && !v.ordered(read, lane) && !excused(w, v, read))
      fault(w, FaultKind::Race, lane,
            std::string(what) + place<Stamp>(w, address) + " races with " + author(w, v, read) + ", which reads there");
    write = v.own | (strong ? kAtomic : lane);
  } else if (!strong) {
    read = v.merged(read, lane);
  }
}

}  // namespace

template <class Stamp>
void lookAgain(Warp& w, View<Stamp>& v, Access access, uint64_t word, unsigned first, unsigned last, uint32_t lane,
               const void* bytes) {
  if (access == Access::StrongRead || access == Access::Atomic) w.block->acquired = true;
  bool whole = first == 0 && last == 4;
  Stamp& s = v.writes[word];
  if (whole && s != kSplit<Stamp>) return judge(w, v, access, s, v.reads[word], word * 4, 4, lane, bytes);
  if (s == kInFlight<Stamp>) judge(w, v, access, s, v.reads[word], word * 4, 4, lane, bytes);
  Locked lock(word);
  if (s != kSplit<Stamp>) {
    for (unsigned n = 0; n < 4; ++n) v.byteWrites[word * 4 + n] = s, v.byteReads[word * 4 + n] = v.reads[word];
    s = kSplit<Stamp>;
  }
  for (unsigned n = first; n < last; ++n)
    judge(w, v, access, v.byteWrites[word * 4 + n], v.byteReads[word * 4 + n], word * 4 + n, 1, lane,
          bytes ? static_cast<const std::byte*>(bytes) + (n - first) : nullptr);
  bool writes = access == Access::Write || access == Access::StrongWrite || access == Access::Atomic;
  if (whole && writes) s = v.byteWrites[word * 4], v.reads[word] = 0;
}

template <class Stamp>
void faultBounds(Warp& w, const View<Stamp>&, bool write, uint64_t address, uint64_t bytes, uint32_t lane) {
  fault(w, FaultKind::OutOfBounds, lane,
        std::string(write ? "a write of " : "a read of ") + number(bytes) + " bytes at " + place<Stamp>(w, address));
}

template <class Stamp>
void faultMisaligned(Warp& w, bool write, uint64_t address, uint64_t bytes, uint32_t lane) {
  fault(w, FaultKind::Misaligned, lane,
        std::string(write ? "a write of " : "a read of ") + number(bytes) + " bytes at " + place<Stamp>(w, address) +
            ", which is no multiple of " + number(bytes));
}

void countGlobal(Warp& w, const uint64_t* a, uint32_t bytes, uint32_t mask) {
  uint64_t sectors[kLanes * 2];
  unsigned n = 0, lanes = 0;
  for (unsigned l = 0; l < kLanes; ++l) {
    if (!bit(mask, l)) continue;
    ++lanes;
    for (uint64_t s = a[l] / 32; s <= (a[l] + bytes - 1) / 32; ++s) {
      if (n && sectors[n - 1] == s) continue;
      if (n < kLanes * 2) sectors[n++] = s;
    }
  }
  std::sort(sectors, sectors + n);
  n = static_cast<unsigned>(std::unique(sectors, sectors + n) - sectors);
  // Ideal: the different bytes asked for, densely.
  uint64_t sorted[kLanes];
  unsigned m = 0;
  for (unsigned l = 0; l < kLanes; ++l)
    if (bit(mask, l)) sorted[m++] = a[l];
  std::sort(sorted, sorted + m);
  m = static_cast<unsigned>(std::unique(sorted, sorted + m) - sorted);
  InstructionCounts& c = w.block->counts[w.current];
  c.sectors += n;
  c.idealSectors += (uint64_t{m} * bytes + 31) / 32;
}

// Accesses of 8 bytes run by half warps, of 16 by quarters; a pass serves one word of each of the 32 banks.
void countShared(Warp& w, const uint64_t* a, uint32_t bytes, uint32_t mask) {
  unsigned parts = bytes <= 4 ? 1 : bytes / 4, step = kLanes / parts;
  uint64_t passes = 0, ideal = 0;
  for (unsigned part = 0; part < parts; ++part) {
    uint64_t words[kLanes * 4];
    unsigned n = 0;
    for (unsigned l = part * step; l < (part + 1) * step; ++l)
      if (bit(mask, l))
        for (uint64_t word = a[l] / 4; word <= (a[l] + bytes - 1) / 4 && n < kLanes * 4; ++word) words[n++] = word;
    std::sort(words, words + n);
    n = static_cast<unsigned>(std::unique(words, words + n) - words);
    unsigned banks[32] = {}, most = 0;
    for (unsigned k = 0; k < n; ++k) most = std::max(most, ++banks[words[k] % 32]);
    passes += most;
    ideal += (n + 31) / 32;
  }
  InstructionCounts& c = w.block->counts[w.current];
  c.wavefronts += passes;
  c.idealWavefronts += ideal;
}

template void lookAgain(Warp&, View<uint32_t>&, Access, uint64_t, unsigned, unsigned, uint32_t, const void*);
template void lookAgain(Warp&, View<uint64_t>&, Access, uint64_t, unsigned, unsigned, uint32_t, const void*);
template void faultBounds(Warp&, const View<uint32_t>&, bool, uint64_t, uint64_t, uint32_t);
template void faultBounds(Warp&, const View<uint64_t>&, bool, uint64_t, uint64_t, uint32_t);
template void faultMisaligned<uint32_t>(Warp&, bool, uint64_t, uint64_t, uint32_t);
template void faultMisaligned<uint64_t>(Warp&, bool, uint64_t, uint64_t, uint32_t);

}  // namespace softcuda
