#include "memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "stamp.h"

namespace softcuda {
namespace {

constexpr uint64_t kAlign = 256, kRedZone = 4096, kPage = 4096;
constexpr int kGarbage = 0xCB;  // as float -2.67e7, as bfloat16 -2.66e7, as int -875836469

template <class T>
T* reserve(uint64_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return static_cast<T*>(p);
}

void release(void* p, uint64_t bytes) { munmap(p, bytes); }

uint64_t up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

}  // namespace

const char* name(FaultKind kind) {
  static const char* const names[] = {
      "out of bounds", "misaligned",        "unwritten",      "in flight", "copies at exit",
      "race",          "divergent barrier", "inactive lanes", "not tf32",  "instruction limit",
      "trap",          "invalid free",      "invalid launch"};
  return names[static_cast<int>(kind)];
}

Memory::Memory(size_t limit) : limit_(limit) {
  // Four times the limit, so that freed addresses are not seen again soon.
  extent_ = up(std::max<uint64_t>(limit, 1 << 20), kPage) * 4;
  next_ = kRedZone;
  data_ = reserve<std::byte>(extent_);
  writes_ = reserve<uint64_t>(extent_ * 2);
  reads_ = reserve<uint64_t>(extent_ * 2);
  byteWrites_ = reserve<uint64_t>(extent_ * 8);
  byteReads_ = reserve<uint64_t>(extent_ * 8);
}

Memory::~Memory() {
  release(data_, extent_);
  release(writes_, extent_ * 2);
  release(reads_, extent_ * 2);
  release(byteWrites_, extent_ * 8);
  release(byteReads_, extent_ * 8);
}

// An offset with red zones around, after everything placed before; from the start again at the end of the space.
uint64_t Memory::place(size_t bytes) {
  uint64_t need = up(bytes, kPage) + kRedZone;
  for (int round = 0; round < 2; ++round) {
    uint64_t at = round == 0 ? next_ : kRedZone;
    for (const auto& [base, a] : allocations_) {
      uint64_t start = base - kBase, stop = up(start + a.bytes, kPage) + kRedZone;
      if (stop <= at) continue;
      if (start >= at + need) break;
      at = stop;
    }
    if (at + need <= extent_) return at;
  }
  return 0;
}

uint64_t Memory::allocate(size_t bytes, std::string name) {
  std::lock_guard lock(mutex_);
  if (bytes == 0 || bytes > limit_ - used_) return 0;
  uint64_t at = place(bytes);
  if (!at) return 0;
  next_ = at + up(bytes, kPage) + kRedZone;
  used_ += bytes;
  std::memset(data_ + at, kGarbage, up(bytes, 4));
  std::fill_n(writes_ + at / 4, up(bytes, 4) / 4, kUnwritten);
  if (bytes % 4) {  // the last word is only partly there
    uint64_t word = (at + bytes) / 4;
    writes_[word] = kSplit<uint64_t>;
    for (unsigned i = 0; i < 4; ++i) byteWrites_[word * 4 + i] = i < bytes % 4 ? kUnwritten : kUnallocated;
  }
  allocations_[kBase + at] = {kBase + at, bytes, std::move(name)};
  return kBase + at;
}

void Memory::free(uint64_t address) {
  std::lock_guard lock(mutex_);
  auto found = allocations_.find(address);
  if (found == allocations_.end()) {
    char text[96];
    std::snprintf(text, sizeof text, "free of 0x%llx, which is no live allocation",
                  static_cast<unsigned long long>(address));
    throw Fault(FaultKind::InvalidFree, text);
  }
  uint64_t at = address - kBase, bytes = up(found->second.bytes, kPage);
  used_ -= found->second.bytes;
  // Fresh zero pages: unallocated, and the memory goes back to the system.
  madvise(data_ + at, bytes, MADV_DONTNEED);
  madvise(writes_ + at / 4, bytes * 2, MADV_DONTNEED);
  madvise(reads_ + at / 4, bytes * 2, MADV_DONTNEED);
  madvise(byteWrites_ + at, bytes * 8, MADV_DONTNEED);
  madvise(byteReads_ + at, bytes * 8, MADV_DONTNEED);
  allocations_.erase(found);
}

const Allocation* Memory::find(uint64_t address) const {
  std::lock_guard lock(mutex_);
  auto after = allocations_.upper_bound(address);
  if (after == allocations_.begin()) return nullptr;
  const Allocation& a = std::prev(after)->second;
  return address < a.base + a.bytes ? &a : nullptr;
}

std::vector<Allocation> Memory::live() const {
  std::lock_guard lock(mutex_);
  std::vector<Allocation> all;
  for (const auto& [base, a] : allocations_) all.push_back(a);
  return all;
}

void Memory::rename(uint64_t address, std::string name) {
  std::lock_guard lock(mutex_);
  auto found = allocations_.find(address);
  if (found != allocations_.end()) found->second.name = std::move(name);
}

std::string Memory::describe(uint64_t address) const {
  std::lock_guard lock(mutex_);
  const Allocation* best = nullptr;
  uint64_t distance = ~uint64_t{0};
  for (const auto& [base, a] : allocations_) {
    uint64_t d = address < base ? base - address : address < base + a.bytes ? 0 : address - (base + a.bytes);
    if (d < distance) distance = d, best = &a;
  }
  char text[200];
  if (!best) {
    std::snprintf(text, sizeof text, "0x%llx, where nothing is allocated", static_cast<unsigned long long>(address));
    return text;
  }
  uint64_t shown = distance;
  const char* relation = "bytes before the start of";
  if (address >= best->base + best->bytes) relation = "bytes past the end of";
  if (address >= best->base && address < best->base + best->bytes)
    relation = "bytes into", shown = address - best->base;
  std::snprintf(text, sizeof text, "0x%llx, %llu %s ", static_cast<unsigned long long>(address),
                static_cast<unsigned long long>(shown), relation);
  return text + ("'" + best->name + "' (" + std::to_string(best->bytes) + " bytes)");
}

void Memory::require(uint64_t address, size_t bytes, const char* action) const {
  const Allocation* a = find(address);
  if (a && bytes <= a->base + a->bytes - address) return;
  uint64_t bad = a ? a->base + a->bytes : address;
  throw Fault(FaultKind::OutOfBounds,
              std::string(action) + " of " + std::to_string(bytes) + " bytes reaches " + describe(bad));
}

namespace {

template <class Function>
void eachWord(uint64_t at, size_t bytes, Function function) {  // function(word, first byte, last byte + 1)
  for (uint64_t i = at, end = at + bytes; i < end;) {
    uint64_t word = i / 4, stop = std::min(end, word * 4 + 4);
    function(word, static_cast<unsigned>(i % 4), static_cast<unsigned>(stop - word * 4));
    i = stop;
  }
}

void mark(uint64_t* writes, uint64_t* byteWrites, uint64_t* byteReads, uint64_t at, size_t bytes) {
  eachWord(at, bytes, [&](uint64_t word, unsigned first, unsigned last) {
    if (last - first == 4) {
      writes[word] = kHostWrote;
      return;
    }
    if (writes[word] != kSplit<uint64_t>) {
      for (unsigned i = 0; i < 4; ++i) byteWrites[word * 4 + i] = writes[word], byteReads[word * 4 + i] = 0;
      writes[word] = kSplit<uint64_t>;
    }
    for (unsigned i = first; i < last; ++i) byteWrites[word * 4 + i] = kHostWrote;
  });
}

}  // namespace

void Memory::copyIn(uint64_t destination, const void* source, size_t bytes) {
  if (!bytes) return;
  require(destination, bytes, "a copy to the device");
  std::memcpy(data_ + (destination - kBase), source, bytes);
  mark(writes_, byteWrites_, byteReads_, destination - kBase, bytes);
}

void Memory::copyOut(void* destination, uint64_t source, size_t bytes, bool check) {
  if (!bytes) return;
  require(source, bytes, "a copy from the device");
  uint64_t at = source - kBase;
  if (check)
    eachWord(at, bytes, [&](uint64_t word, unsigned first, unsigned last) {
      bool split = writes_[word] == kSplit<uint64_t>;
      for (unsigned i = first; i < last; ++i)
        if ((split ? byteWrites_[word * 4 + i] : writes_[word]) == kUnwritten)
          throw Fault(FaultKind::Unwritten, "a copy from the device of " + std::to_string(bytes) +
                                                " bytes reads memory that nothing has written, at " +
                                                describe(kBase + word * 4 + i));
    });
  std::memcpy(destination, data_ + at, bytes);
}

void Memory::copy(uint64_t destination, uint64_t source, size_t bytes) {
  if (!bytes) return;
  require(source, bytes, "a copy on the device, reading,");
  require(destination, bytes, "a copy on the device, writing,");
  uint64_t from = source - kBase, to = destination - kBase;
  std::memmove(data_ + to, data_ + from, bytes);
  std::vector<bool> written(bytes);
  for (size_t i = 0; i < bytes; ++i) {
    uint64_t word = (from + i) / 4;
    uint64_t stamp = writes_[word] == kSplit<uint64_t> ? byteWrites_[from + i] : writes_[word];
    written[i] = stamp > kUnwritten;
  }
  mark(writes_, byteWrites_, byteReads_, to, bytes);
  for (size_t i = 0; i < bytes; ++i) {
    if (written[i]) continue;
    uint64_t word = (to + i) / 4;
    if (writes_[word] != kSplit<uint64_t>) {
      for (unsigned j = 0; j < 4; ++j) byteWrites_[word * 4 + j] = writes_[word], byteReads_[word * 4 + j] = 0;
      writes_[word] = kSplit<uint64_t>;
    }
    byteWrites_[to + i] = kUnwritten;
  }
}

void Memory::fill(uint64_t destination, uint32_t value, size_t elementBytes, size_t count) {
  if (!count) return;
  require(destination, elementBytes * count, "a fill");
  std::byte* p = data_ + (destination - kBase);
  for (size_t i = 0; i < count; ++i) std::memcpy(p + i * elementBytes, &value, elementBytes);
  mark(writes_, byteWrites_, byteReads_, destination - kBase, elementBytes * count);
}

uint64_t Memory::numberBlocks(uint64_t count) {
  std::lock_guard lock(mutex_);
  uint64_t first = blocks_;
  blocks_ += count;
  return first;
}

}  // namespace softcuda
