#include "core/memory.h"

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "core/error.h"

namespace pushforward {

namespace {

// Linux grants more than it has and kills later; so the limit is the machine's memory, not the allocator's word.
size_t machineBytes() {
  static const size_t bytes =
      static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGE_SIZE));
  return bytes;
}

class HostSpace : public Space {
 public:
  void expect(double bytes) override {
    if (bytes + static_cast<double>(allocated_) <= static_cast<double>(machineBytes())) return;
    char more[32];
    std::snprintf(more, sizeof more, "%.0f more", bytes);
    fail(Code::OUT_OF_MEMORY, "memory", "at most " + std::to_string(machineBytes()) + " bytes in all on this machine",
         more);
  }

  // What was allocated lies in front of what is given out.
  void* allocate(size_t bytes, bool zero) override {
    const size_t size = bytes + 2 * alignment;
    // calloc gives large blocks as pages that are zero when they are first touched: not here, on the caller's event loop.
    void* base = zero ? std::calloc(1, size) : std::malloc(size);
    if (!base)
      fail(Code::OUT_OF_MEMORY, "memory", "an allocation to succeed", std::to_string(bytes) + " bytes refused");
    void** data = reinterpret_cast<void**>(aligned(reinterpret_cast<uintptr_t>(base) + sizeof(void*)));
    data[-1] = base;
    allocated_ += bytes;
    return data;
  }

  void release(void* data, size_t bytes) noexcept override {
    allocated_ -= bytes;
    std::free(static_cast<void**>(data)[-1]);
  }

  void upload(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void download(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  bool onHost() const override { return true; }

 private:
  std::atomic<size_t> allocated_{0};
};

}  // namespace

const std::shared_ptr<Space>& hostSpace() {
  static const std::shared_ptr<Space>& space = *new std::shared_ptr<Space>(std::make_shared<HostSpace>());
  return space;  // never destroyed: memory may be freed while the process ends
}

Memory::Memory(size_t bytes, bool zero, std::shared_ptr<Space> space) {
  space->expect(static_cast<double>(bytes));
  const size_t rounded = aligned(bytes ? bytes : 1);
  data_ = space->allocate(rounded, zero);
  bytes_ = rounded;
  space_ = std::move(space);
}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(space_, other.space_);
  return *this;
}

Memory::~Memory() {
  if (data_) space_->release(data_, bytes_);
}

}  // namespace pushforward
