#include "core/store.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "core/error.h"

namespace pushforward {

namespace {

std::atomic<size_t> allocated{0};

// Linux grants more than it has and kills later; so the limit is the machine's memory, not the allocator's word.
size_t machineBytes() {
  static const size_t bytes =
      static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGE_SIZE));
  return bytes;
}

}  // namespace

Memory::Memory(size_t bytes, bool zero) {
  size_t rounded = aligned(bytes ? bytes : 1);
  if (rounded < bytes || rounded > machineBytes() || allocated + rounded > machineBytes())
    fail(Code::OUT_OF_MEMORY, "memory", "at most " + std::to_string(machineBytes()) + " bytes in all on this machine",
         std::to_string(bytes) + " more");
  data_ = std::aligned_alloc(alignment, rounded);
  if (!data_) fail(Code::OUT_OF_MEMORY, "memory", "an allocation to succeed", std::to_string(bytes) + " bytes refused");
  bytes_ = rounded;
  allocated += rounded;
  if (zero) std::memset(data_, 0, rounded);
}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Memory::~Memory() {
  allocated -= bytes_;
  std::free(data_);
}

size_t Resident::bytes() const {
  size_t total = 0;
  for (const Column& column : columns) total += column.memory.bytes();
  return total;
}

size_t Store::bytesOf(const Type& type) const {
  return static_cast<size_t>(type.shape.count()) * (type.dtype == DType::int32 ? sizeof(int32_t) : realBytes_);
}

Slot& Store::declare(const std::string& name, const Type& type, Region region) {
  auto found = slots_.find(name);
  if (found != slots_.end()) {
    if (!(found->second->type == type))
      fail(Code::SHAPE_MISMATCH, "parameter", "'" + name + "' to be " + found->second->type.text() + " as before",
           type.text());
    return *found->second;
  }
  auto slot = std::make_unique<Slot>();
  slot->type = type;
  slot->region = region;
  slot->memory = Memory(bytesOf(type));
  return *slots_.emplace(name, std::move(slot)).first->second;
}

Slot& Store::find(const std::string& name) {
  auto found = slots_.find(name);
  if (found == slots_.end())
    fail(Code::INVALID_ARGUMENT, "parameter", "the name of a parameter", "'" + name.substr(0, 80) + "'");
  return *found->second;
}

size_t Store::bytes(Region region) const {
  size_t total = 0;
  for (const auto& entry : slots_)
    if (entry.second->region == region) total += bytesOf(entry.second->type);
  return total;
}

std::vector<std::string> Store::names() const {
  std::vector<std::string> names;
  for (const auto& entry : slots_) names.push_back(entry.first);
  return names;
}

}  // namespace pushforward
