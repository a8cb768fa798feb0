#include <cmath>
#include <cstring>

#include "core/builder.h"
#include "core/error.h"
#include "core/program.h"

namespace pushforward {

namespace {

constexpr uint32_t magic = 0x44574650;  // "PFWD"
constexpr uint32_t version = 1;
constexpr int maxDepth = 16;  // programs inside programs
constexpr uint32_t maxNodes = 1u << 20;

class Reader {
 public:
  Reader(const uint8_t* bytes, size_t size) : bytes_(bytes), size_(size) {}

  template <class T>
  T read() {
    T value;
    std::memcpy(&value, take(sizeof(T)), sizeof(T));
    return value;
  }
  uint32_t count(size_t elementBytes) {
    uint32_t n = read<uint32_t>();
    if (elementBytes && n > (size_ - at_) / elementBytes) truncated(n * double(elementBytes));
    return n;
  }
  std::string text() {
    uint32_t n = count(1);
    return std::string(reinterpret_cast<const char*>(take(n)), n);
  }
  template <class From, class To>
  std::vector<To> array() {
    uint32_t n = count(sizeof(From));
    const uint8_t* data = take(size_t{n} * sizeof(From));
    std::vector<To> values(n);
    for (uint32_t i = 0; i < n; ++i) {
      From value;
      std::memcpy(&value, data + size_t{i} * sizeof(From), sizeof(From));
      values[i] = static_cast<To>(value);
    }
    return values;
  }
  bool atEnd() const { return at_ == size_; }
  size_t left() const { return size_ - at_; }

 private:
  const uint8_t* take(size_t n) {
    if (n > size_ - at_) truncated(double(n));
    const uint8_t* start = bytes_ + at_;
    at_ += n;
    return start;
  }
  [[noreturn]] void truncated(double wanted) {
    fail(Code::INVALID_ARGUMENT, "program", std::to_string(static_cast<long long>(wanted)) + " more bytes",
         std::to_string(size_ - at_) + " (truncated or altered)");
  }
  const uint8_t* bytes_;
  size_t size_;
  size_t at_ = 0;
};

AttributeValue readAttribute(Reader& reader) {
  uint8_t kind = reader.read<uint8_t>();
  switch (kind) {
    case 0:
      return reader.read<double>();
    case 1:
      return reader.text();
    case 2:
      return reader.array<int64_t, int64_t>();
    case 3:
      return reader.array<double, double>();
    case 4:
      return reader.array<float, double>();
    case 5:
      return reader.array<int32_t, double>();
  }
  fail(Code::INVALID_ARGUMENT, "program", "an attribute of kind 0 to 5", std::to_string(kind));
}

std::shared_ptr<const Program> readBody(Reader& reader, int depth) {
  if (depth > maxDepth) fail(Code::INVALID_ARGUMENT, "program", "programs nested at most 16 deep", "deeper");
  auto program = std::make_shared<Program>();
  Builder builder(*program);
  uint32_t nodes = reader.count(16);
  if (nodes > maxNodes) fail(Code::INVALID_ARGUMENT, "program", "at most 2^20 nodes", std::to_string(nodes));
  for (uint32_t i = 0; i < nodes; ++i) {
    const Op& op = getOp(reader.text());
    if (op.fusedOnly) fail(Code::INVALID_ARGUMENT, "program", "ops of a traced program", "'" + op.name + "'");
    std::vector<ValueId> inputs = reader.array<uint32_t, ValueId>();
    Attributes attributes;
    uint32_t count = reader.count(5);
    for (uint32_t a = 0; a < count; ++a) {
      std::string name = reader.text();
      if (name.find('.') != std::string::npos)  // the law of a generated tangent: made by fusion alone
        fail(Code::INVALID_ARGUMENT, op.name, "attributes of a traced program", "'" + name.substr(0, 60) + "'");
      attributes.set(name, readAttribute(reader));
    }
    std::vector<std::shared_ptr<const Program>> bodies;
    uint32_t bodyCount = reader.count(8);
    for (uint32_t b = 0; b < bodyCount; ++b) bodies.push_back(readBody(reader, depth + 1));
    builder.emit(op, std::move(inputs), std::move(attributes), std::move(bodies));
  }
  program->outputs = reader.array<uint32_t, ValueId>();
  for (ValueId output : program->outputs)
    if (output >= program->types.size())
      fail(Code::INVALID_ARGUMENT, "program", "outputs defined in it", "value " + std::to_string(output));
  return program;
}

}  // namespace

std::shared_ptr<const Program> decodeProgram(const uint8_t* bytes, size_t size) {
  Reader reader(bytes, size);
  uint32_t word = reader.read<uint32_t>();
  if (word != magic) fail(Code::INVALID_ARGUMENT, "program", "the magic number PFWD", std::to_string(word));
  uint32_t found = reader.read<uint32_t>();
  if (found != version) fail(Code::VERSION, "program", "format version 1", std::to_string(found));
  auto program = readBody(reader, 0);
  if (!reader.atEnd()) fail(Code::INVALID_ARGUMENT, "program", "no bytes after its end", std::to_string(reader.left()));
  return program;
}

}  // namespace pushforward
