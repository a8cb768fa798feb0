// The store: parameters, optimizer state and resident data sets. Slots are declared by the programs that are compiled against it,
// allocated once and never moved.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/panels.h"
#include "core/type.h"

namespace pushforward {

/** Throws OUT_OF_MEMORY where the machine has not as many more bytes; a double, since a product of sizes may exceed size_t. */
void expectMemory(double bytes);

/** 64-byte aligned host memory, counted; throws OUT_OF_MEMORY beyond what the machine has. */
class Memory {
 public:
  Memory() = default;
  explicit Memory(size_t bytes, bool zero = true);
  Memory(Memory&& other) noexcept { *this = std::move(other); }
  Memory& operator=(Memory&& other) noexcept;
  ~Memory();
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void *data_ = nullptr, *base_ = nullptr;  // base_ is what was allocated
  size_t bytes_ = 0;
};

/** Bytes rounded up to a cache line. */
constexpr size_t alignment = 64;
constexpr size_t aligned(size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

enum class Region : uint8_t { parameters, state };

/** A tensor that outlives the plans. */
struct Slot {
  Type type;
  Region region;
  SlotLayout layout;
  Memory memory;
  /** Copies of its elements, row by row. */
  void read(size_t bytes, void* to) const;
  void write(size_t bytes, const void* from);
};

/**
 * Examples kept as they came (bytes or float32, int32 or float32 targets), in the order given. A batch is gathered into a plan's
 * inputs as value · scale.
 */
struct Resident {
  int64_t count = 0;
  struct Column {
    Memory memory;
    enum class Kind : uint8_t { bytes, float32, int32 } kind = Kind::float32;
    int64_t size = 0;  // elements per example
    double scale = 1;
  };
  std::vector<Column> columns;
  size_t bytes() const;
};

class Store {
 public:
  explicit Store(size_t realBytes) : realBytes_(realBytes) {}
  /** Declares or finds; SHAPE_MISMATCH when it stands there with another type or layout. */
  Slot& declare(const std::string& name, const Type& type, Region region, const SlotLayout& layout);
  /** Throws INVALID_ARGUMENT naming it. */
  Slot& find(const std::string& name) const;
  bool has(const std::string& name) const { return slots_.count(name) > 0; }
  size_t bytes(Region region) const;
  std::vector<std::string> names() const;
  size_t realBytes() const { return realBytes_; }
  size_t bytesOf(const Type& type) const;

 private:
  size_t realBytes_;
  std::map<std::string, std::unique_ptr<Slot>> slots_;
};

}  // namespace pushforward
