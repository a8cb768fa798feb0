#include "core/store.h"

#include "core/error.h"
#include "core/panels.h"

namespace pushforward {

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
    memory.read(to, bytes);
}

void Slot::write(size_t bytes, const void* from) {
  if (layout.inPanels())
    toPanels(type, layout, from, memory.data());
  else
    memory.write(from, bytes);
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
  slot->memory = Memory(bytesOf(type), true, space_);
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
