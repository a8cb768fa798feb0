// A program: SSA nodes over typed values. Transformations and fusion turn a program into a program.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/type.h"

namespace pushforward {

struct Op;
struct Program;

using ValueId = uint32_t;
/** An absent optional input; a tangent or cotangent that is zero by structure. */
constexpr ValueId none = 0xFFFFFFFFu;

/** number (integers and booleans too) · text · list of integers · data of a constant. */
using AttributeValue = std::variant<double, std::string, std::vector<int64_t>, std::vector<double>>;

class Attributes {
 public:
  Attributes() = default;
  Attributes(std::initializer_list<std::pair<std::string, AttributeValue>> entries) : entries_(entries) {}

  const AttributeValue* find(const std::string& name) const;
  void set(const std::string& name, AttributeValue value);
  void erase(const std::string& name);

  double number(const std::string& name, double fallback) const;
  int64_t integer(const std::string& name, int64_t fallback) const {
    return static_cast<int64_t>(number(name, double(fallback)));
  }
  bool flag(const std::string& name) const { return number(name, 0) != 0; }
  std::string text(const std::string& name, const std::string& fallback) const;
  const std::vector<int64_t>* list(const std::string& name) const;

  const std::vector<std::pair<std::string, AttributeValue>>& entries() const { return entries_; }
  friend bool operator==(const Attributes& a, const Attributes& b) { return a.entries_ == b.entries_; }

 private:
  std::vector<std::pair<std::string, AttributeValue>> entries_;
};

/** Where in a training step a value is computed; what crosses from forward to backward is the tape. */
enum class Phase : uint8_t { forward, backward };

struct Node {
  const Op* op = nullptr;
  std::vector<ValueId> inputs;
  Attributes attributes;
  std::vector<std::shared_ptr<const Program>> bodies;
  ValueId firstOutput = 0;
  uint32_t outputs = 0;
  Phase phase = Phase::forward;
};

struct Program {
  std::vector<Node> nodes;
  std::vector<Type> types;         // of every value
  std::vector<uint32_t> producer;  // node that defines the value
  std::vector<ValueId> outputs;

  const Node& producerOf(ValueId value) const { return nodes[producer[value]]; }
  /** Values of the `input` nodes, in order of declaration. */
  std::vector<ValueId> inputValues() const;
};

/**
 * Decodes the bytes that src/trace/encode.ts writes, inferring the type of every value; anything malformed, truncated or out of
 * range is an Error, never undefined behaviour. Layout, little-endian:
 *   program  = "PFWD" u32, version u32, body
 *   body     = nodes u32, node…, outputs u32, value u32…
 *   node     = op text, inputs u32, value u32…, attributes u32, (name text, attribute)…, bodies u32, body…
 *   attribute= 0 f64 | 1 text | 2 u32 i64… | 3 u32 f64… | 4 u32 f32… | 5 u32 i32…
 *   text     = u32 bytes
 * Values are numbered in order of definition; 0xFFFFFFFF is an absent input.
 */
std::shared_ptr<const Program> decodeProgram(const uint8_t* bytes, size_t size);

}  // namespace pushforward
