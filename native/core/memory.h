// Memory of the host and of devices, counted. A space is where it lies; the host reads and writes addresses of its own space alone.
#pragma once
#include <cstddef>
#include <memory>

namespace pushforward {

/** Bytes rounded up to a cache line. */
constexpr size_t alignment = 64;
constexpr size_t aligned(size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

class Space {
 public:
  virtual ~Space() = default;
  /** Throws OUT_OF_MEMORY where there are not as many more bytes; a double, since a product of sizes may exceed size_t. */
  virtual void expect(double bytes) = 0;
  /** 64-byte aligned. */
  virtual void* allocate(size_t bytes, bool zero) = 0;
  virtual void release(void* data, size_t bytes) noexcept = 0;
  /** From the host to here, and back; they return when it is done. */
  virtual void upload(void* to, const void* from, size_t bytes) = 0;
  virtual void download(void* to, const void* from, size_t bytes) = 0;
  /** Whether the host reads and writes it. */
  virtual bool onHost() const { return false; }
};

const std::shared_ptr<Space>& hostSpace();

/** An allocation; throws OUT_OF_MEMORY beyond what the space has. */
class Memory {
 public:
  Memory() = default;
  explicit Memory(size_t bytes, bool zero = true, std::shared_ptr<Space> space = hostSpace());
  Memory(Memory&& other) noexcept { *this = std::move(other); }
  Memory& operator=(Memory&& other) noexcept;
  ~Memory();
  /** An address of the space. */
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  void write(const void* from, size_t bytes) { space_->upload(data_, from, bytes); }
  void read(void* to, size_t bytes) const { space_->download(to, data_, bytes); }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
  std::shared_ptr<Space> space_;
};

}  // namespace pushforward
