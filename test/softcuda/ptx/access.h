#pragma once
#include <algorithm>

#include "machine.h"
#include "ops.h"

namespace softcuda {

// Checked access of one lane to global or shared memory, and of whole warps where all goes well.

template <class Stamp>
constexpr bool kIsShared = sizeof(Stamp) == 4;
// The lowest stamp of memory that may be read.
template <class Stamp>
constexpr Stamp kLowestWritten = kIsShared<Stamp> ? 1 : static_cast<Stamp>(kHostWrote);

template <class Stamp>
View<Stamp>& view(Warp& w) {
  if constexpr (kIsShared<Stamp>)
    return w.shared;
  else
    return w.global;
}

enum class Access { Read, StrongRead, Write, StrongWrite, Atomic };

// What to do where the stamps need a second look (access.cpp). They throw or return.
template <class Stamp>
void lookAgain(Warp& w, View<Stamp>& v, Access access, uint64_t word, unsigned first, unsigned last, uint32_t lane,
               const void* bytes);
template <class Stamp>
[[noreturn]] void faultBounds(Warp& w, const View<Stamp>& v, bool write, uint64_t address, uint64_t bytes,
                              uint32_t lane);
template <class Stamp>
[[noreturn]] void faultMisaligned(Warp& w, bool write, uint64_t address, uint64_t bytes, uint32_t lane);

// Bounds, alignment and stamps of `bytes` bytes (a power of two) at `address`; returns where they lie. `source`: what a
// write will put there, for lanes of one instruction that write the same value to one place.
template <Access access, class Stamp>
inline std::byte* check(Warp& w, View<Stamp>& v, uint64_t address, uint32_t bytes, uint32_t lane,
                        const std::byte* source = nullptr) {
  constexpr bool write = access == Access::Write || access == Access::StrongWrite || access == Access::Atomic;
  uint64_t offset = address - v.base;
  if (offset > v.extent || bytes > v.extent - offset) faultBounds(w, v, write, address, bytes, lane);
  if (address & (bytes - 1)) faultMisaligned<Stamp>(w, write, address, bytes, lane);
  std::byte* p = v.data + offset;
  if (!w.checks) return p;
  uint64_t word = offset / 4;
  if (bytes < 4) {
    lookAgain(w, v, access, word, static_cast<unsigned>(offset % 4), static_cast<unsigned>(offset % 4) + bytes, lane,
              source);
    return p;
  }
  for (uint64_t end = word + bytes / 4; word < end; ++word) {
    Stamp s = v.writes[word], r = v.reads[word];
    if (access == Access::Read) {
      if (s >= v.quiet || s < kLowestWritten<Stamp>) {
        if (s < kLowestWritten<Stamp> || !v.ordered(s, lane)) {
          lookAgain(w, v, access, word, 0, 4, lane, source);
          continue;
        }
      }
      v.reads[word] = v.merged(r, lane);
    } else if (access == Access::Write) {
      if (!kIsShared<Stamp> && s == 0) faultBounds(w, v, write, address, bytes, lane);
      if ((s >= v.quiet && !v.ordered(s, lane)) || (r >= v.quiet && !v.ordered(r, lane)))
        lookAgain(w, v, access, word, 0, 4, lane, source ? source + (word * 4 - offset) : nullptr);
      v.writes[word] = v.own | lane;
    } else {
      lookAgain(w, v, access, word, 0, 4, lane, source);
    }
  }
  return p;
}

inline void addresses(const Warp& w, const Instruction& i, bool wrap, uint64_t* out) {
  uint64_t offset = static_cast<uint64_t>(i.immediate);
  if (i.flags & kAddress64) {
    const uint64_t* a = w.lanes<uint64_t>(i.a);
    if (wrap)
      for (unsigned l = 0; l < kLanes; ++l) out[l] = static_cast<uint32_t>(a[l] + offset);
    else
      for (unsigned l = 0; l < kLanes; ++l) out[l] = a[l] + offset;
  } else {
    const uint32_t* a = w.lanes<uint32_t>(i.a);
    for (unsigned l = 0; l < kLanes; ++l) out[l] = static_cast<uint32_t>(a[l] + offset);
  }
}

// Lane l at address[0] + l * step?
inline bool contiguous(const uint64_t* a, uint64_t step) {
  uint64_t wrong = 0;
  for (unsigned l = 0; l < kLanes; ++l) wrong |= a[l] ^ (a[0] + l * step);
  return wrong == 0;
}

void countGlobal(Warp& w, const uint64_t* a, uint32_t bytes, uint32_t mask);
void countShared(Warp& w, const uint64_t* a, uint32_t bytes, uint32_t mask);
template <class Stamp>
inline void count(Warp& w, const uint64_t* a, uint32_t bytes, uint32_t mask) {
  if (!w.counting) return;
  if constexpr (kIsShared<Stamp>)
    countShared(w, a, bytes, mask);
  else
    countGlobal(w, a, bytes, mask);
}

// All 32 lanes read or write words next to each other and nothing needs a second look. Updates the stamps.
template <bool write, class Stamp>
inline bool quickWarp(Warp& w, View<Stamp>& v, const uint64_t* a, uint32_t words) {
  uint64_t offset = a[0] - v.base, bytes = uint64_t{kLanes} * words * 4;
  if ((offset & (words * 4 - 1)) || offset > v.extent || bytes > v.extent - offset) return false;
  if (!w.checks) return true;
  Stamp* s = v.writes + offset / 4;
  Stamp* r = v.reads + offset / 4;
  unsigned n = kLanes * words;
  constexpr Stamp lowest = kLowestWritten<Stamp>;
  const Stamp quiet = v.quiet, own = v.own;
  unsigned bad = 0, seen = 0;
  if (write) {
    for (unsigned k = 0; k < n; ++k) bad |= (s[k] >= quiet) | (r[k] >= quiet) | (!kIsShared<Stamp> && s[k] == 0);
    if (bad) return false;
    unsigned shift = words == 1 ? 0 : words == 2 ? 1 : 2;
    for (unsigned k = 0; k < n; ++k) s[k] = own | static_cast<Stamp>(k >> shift);
    return true;
  }
  for (unsigned k = 0; k < n; ++k) bad |= (s[k] >= quiet) | (s[k] < lowest), seen |= r[k] >= quiet;
  if (bad) return false;
  unsigned shift = words == 1 ? 0 : words == 2 ? 1 : 2;
  if (!seen)
    for (unsigned k = 0; k < n; ++k) r[k] = own | static_cast<Stamp>(k >> shift);
  else
    for (unsigned k = 0; k < n; ++k) r[k] = v.merged(r[k], k >> shift);
  return true;
}

}  // namespace softcuda
