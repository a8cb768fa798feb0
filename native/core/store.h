// The store: parameters, optimizer state and resident data sets. Slots are declared by the programs that are compiled against it,
// allocated once and never moved.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/memory.h"
#include "core/panels.h"
#include "core/type.h"

namespace pushforward {

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
  Store(size_t realBytes, std::shared_ptr<Space> space) : realBytes_(realBytes), space_(std::move(space)) {}
  /** Declares or finds; SHAPE_MISMATCH when it stands there with another type or layout. */
  Slot& declare(const std::string& name, const Type& type, Region region, const SlotLayout& layout);
  /** Throws INVALID_ARGUMENT naming it. */
  Slot& find(const std::string& name) const;
  /** Takes back a declaration whose program was not compiled in the end. */
  void forget(const std::string& name) { slots_.erase(name); }
  bool has(const std::string& name) const { return slots_.count(name) > 0; }
  size_t bytes(Region region) const;
  std::vector<std::string> names() const;
  size_t realBytes() const { return realBytes_; }
  /** Where its slots lie. */
  const std::shared_ptr<Space>& space() const { return space_; }
  size_t bytesOf(const Type& type) const;

 private:
  size_t realBytes_;
  std::shared_ptr<Space> space_;
  std::map<std::string, std::unique_ptr<Slot>> slots_;
};

}  // namespace pushforward
