#include "core/program.h"

#include "core/op.h"

namespace pushforward {

const AttributeValue* Attributes::find(const std::string& name) const {
  for (const auto& entry : entries_)
    if (entry.first == name) return &entry.second;
  return nullptr;
}

void Attributes::set(const std::string& name, AttributeValue value) {
  for (auto& entry : entries_)
    if (entry.first == name) {
      entry.second = std::move(value);
      return;
    }
  entries_.emplace_back(name, std::move(value));
}

void Attributes::erase(const std::string& name) {
  for (size_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].first == name) {
      entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
      return;
    }
}

double Attributes::number(const std::string& name, double fallback) const {
  const AttributeValue* value = find(name);
  return value && std::holds_alternative<double>(*value) ? std::get<double>(*value) : fallback;
}

std::string Attributes::text(const std::string& name, const std::string& fallback) const {
  const AttributeValue* value = find(name);
  return value && std::holds_alternative<std::string>(*value) ? std::get<std::string>(*value) : fallback;
}

const std::vector<int64_t>* Attributes::list(const std::string& name) const {
  const AttributeValue* value = find(name);
  return value ? std::get_if<std::vector<int64_t>>(value) : nullptr;
}

std::vector<ValueId> Program::inputValues() const {
  std::vector<ValueId> values;
  for (const Node& node : nodes)
    if (node.op->name == "input") values.push_back(node.firstOutput);
  return values;
}

}  // namespace pushforward
