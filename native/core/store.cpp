#include "core/store.h"

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "core/panels.h"

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

void expectMemory(double bytes) {
  if (bytes + static_cast<double>(allocated) <= static_cast<double>(machineBytes())) return;
  char more[32];
  std::snprintf(more, sizeof more, "%.0f more", bytes);
  fail(Code::OUT_OF_MEMORY, "memory", "at most " + std::to_string(machineBytes()) + " bytes in all on this machine",
       more);
}

Memory::Memory(size_t bytes, bool zero) {
  expectMemory(static_cast<double>(bytes));
  size_t rounded = aligned(bytes ? bytes : 1);
  // calloc gives large blocks as pages that are zero when they are first touched: not here, on the caller's event loop.
  base_ = zero ? std::calloc(1, rounded + alignment) : std::malloc(rounded + alignment);
  if (!base_) fail(Code::OUT_OF_MEMORY, "memory", "an allocation to succeed", std::to_string(bytes) + " bytes refused");
  data_ = reinterpret_cast<void*>(aligned(reinterpret_cast<uintptr_t>(base_)));
  bytes_ = rounded;
  allocated += rounded;
}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(base_, other.base_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Memory::~Memory() {
  allocated -= bytes_;
  std::free(base_);
}

size_t Resident::bytes() const {
  size_t total = 0;
  for (const Column& column : columns) total += column.memory.bytes();
  return total;
}

size_t Store::bytesOf(const Type& type) const {
  return static_cast<size_t>(type.shape.count()) * (type.dtype == DType::int32 ? sizeof(int32_t) : realBytes_);
}

void Slot::read(size_t bytes, void* to) const {
  if (layout.inPanels())
    fromPanels(type, layout, memory.data(), to);
  else
    std::memcpy(to, memory.data(), bytes);
}

void Slot::write(size_t bytes, const void* from) {
  if (layout.inPanels())
    toPanels(type, layout, from, memory.data());
  else
    std::memcpy(memory.data(), from, bytes);
}

Slot& Store::declare(const std::string& name, const Type& type, Region region, const SlotLayout& layout) {
  auto found = slots_.find(name);
  if (found != slots_.end()) {
    if (!(found->second->type == type))
      fail(Code::SHAPE_MISMATCH, "parameter", "'" + name + "' to be " + found->second->type.text() + " as before",
           type.text());
    if (!(found->second->layout == layout))
      fail(Code::SHAPE_MISMATCH, "parameter", "'" + name + "' to be laid out as before", "another layout");
    return *found->second;
  }
  auto slot = std::make_unique<Slot>();
  slot->type = type;
  slot->region = region;
  slot->layout = layout;
  slot->memory = Memory(bytesOf(type));
  return *slots_.emplace(name, std::move(slot)).first->second;
}

Slot& Store::find(const std::string& name) const {
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
