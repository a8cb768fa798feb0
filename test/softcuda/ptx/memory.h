#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "fault.h"

namespace softcuda {

struct Allocation {
  uint64_t base;
  size_t bytes;
  std::string name;
};

// The address space of the device. Addresses are synthetic (a host program that follows one crashes) and the same in every
// run. Beside every 4-byte word stand a write stamp and a read stamp (stamp.h); beside bytes accessed in parts smaller
// than a word, one pair each. Thread safe, except that copies must not overlap a running kernel.
class Memory {
 public:
  // `limit`: bytes that can be allocated at once.
  explicit Memory(size_t limit = size_t{4} << 30);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // The address of `bytes` (> 0) bytes aligned to 256, filled with a garbage pattern and marked unwritten, between red zones;
  // 0 when out of memory. Addresses are reused only when the address space has been used up.
  uint64_t allocate(size_t bytes, std::string name);
  // Throws Fault InvalidFree.
  void free(uint64_t address);
  // The live allocation that holds `address`, else nullptr.
  const Allocation* find(uint64_t address) const;
  std::vector<Allocation> live() const;
  void rename(uint64_t address, std::string name);

  // Host to device; marks the bytes written. Throws Fault OutOfBounds.
  void copyIn(uint64_t destination, const void* source, size_t bytes);
  // Device to host. Throws Fault OutOfBounds, or Unwritten when `check` and a byte was never written.
  void copyOut(void* destination, uint64_t source, size_t bytes, bool check = true);
  // Device to device, unwritten marks included. Throws Fault OutOfBounds.
  void copy(uint64_t destination, uint64_t source, size_t bytes);
  // `count` elements of `elementBytes` (1, 2 or 4) each; marks the bytes written.
  void fill(uint64_t destination, uint32_t value, size_t elementBytes, size_t count);
  // Throws when not all of the bytes lie in one live allocation; `action` begins the sentence.
  void require(uint64_t address, size_t bytes, const char* action) const;

  size_t limit() const { return limit_; }
  size_t used() const { return used_; }

  // "12 bytes past the end of 'weights' (4096 bytes at 0x...)", for fault sentences.
  std::string describe(uint64_t address) const;

  // The hot path of the interpreter. All device addresses lie in [kBase, kBase + extent()).
  static constexpr uint64_t kBase = uint64_t{1} << 44;
  uint64_t extent() const { return extent_; }
  std::byte* data() const { return data_; }
  uint64_t* writeStamps() const { return writes_; }  // per word
  uint64_t* readStamps() const { return reads_; }    // per word
  uint64_t* byteWriteStamps() const { return byteWrites_; }
  uint64_t* byteReadStamps() const { return byteReads_; }
  // Numbers `count` blocks of a new launch; returns the first.
  uint64_t numberBlocks(uint64_t count);

 private:
  uint64_t place(size_t bytes);
  size_t limit_, used_ = 0;
  uint64_t extent_, next_ = 0, blocks_ = 1;
  std::byte* data_;
  uint64_t *writes_, *reads_, *byteWrites_, *byteReads_;
  std::map<uint64_t, Allocation> allocations_;
  mutable std::mutex mutex_;
};

}  // namespace softcuda
