#pragma once
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "execute.h"

// Tests register themselves; main() runs them all and says how many passed.
namespace softcuda::test {

struct Case {
  const char* name;
  void (*run)();
};
inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}
inline int failures = 0;
struct Register {
  Register(const char* name, void (*run)()) { cases().push_back({name, run}); }
};

#define TEST(name)                                                \
  static void name();                                             \
  static ::softcuda::test::Register register_##name(#name, name); \
  static void name()

#define EXPECT(condition)                                                  \
  do {                                                                     \
    if (!(condition)) {                                                    \
      ++::softcuda::test::failures;                                        \
      std::printf("%s:%d: expected %s\n", __FILE__, __LINE__, #condition); \
    }                                                                      \
  } while (0)

inline int runAll() {
  int passed = 0;
  for (const Case& c : cases()) {
    int before = failures;
    try {
      c.run();
    } catch (const std::exception& e) {
      ++failures;
      std::printf("%s: %s\n", c.name, e.what());
    }
    if (failures == before)
      ++passed;
    else
      std::printf("FAILED %s\n", c.name);
  }
  std::printf("%d passed, %d failed\n", passed, static_cast<int>(cases().size()) - passed);
  return failures || cases().empty();
}

inline std::string readFile(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// A module with its variables placed, and memory.
class Device {
 public:
  explicit Device(const std::string& ptx) : module(parse(ptx)) {
    for (const Variable& v : module.variables) module.place(v.name, memory.allocate(v.bytes, v.name));
    for (const Variable& v : module.variables) {
      memory.copyIn(module.address(v.name), v.initial.data(), v.bytes);
      for (const Variable::Relocation& r : v.relocations) {
        uint64_t value = module.address(r.symbol) + static_cast<uint64_t>(r.addend);
        memory.copyIn(module.address(v.name) + r.offset, &value, 8);
      }
    }
  }
  static Device fromKernels(const std::string& name) {
    return Device(readFile(std::string(SOFTCUDA_KERNELS) + "/" + name + ".ptx"));
  }

  uint64_t empty(size_t bytes, const std::string& name) { return memory.allocate(bytes, name); }
  template <class T>
  uint64_t put(const std::vector<T>& values, const std::string& name) {
    uint64_t address = memory.allocate(values.size() * sizeof(T), name);
    memory.copyIn(address, values.data(), values.size() * sizeof(T));
    return address;
  }
  template <class T>
  std::vector<T> get(uint64_t address, size_t count) {
    std::vector<T> values(count);
    memory.copyOut(values.data(), address, count * sizeof(T));
    return values;
  }

  template <class... Arguments>
  void launch(const std::string& name, Dim3 grid, Dim3 block, Arguments... arguments) {
    const Kernel* kernel = module.kernel(name);
    if (!kernel) throw std::runtime_error("no kernel " + name);
    std::vector<std::byte> parameters(kernel->parameterBytes);
    size_t index = 0;
    auto pack = [&](auto value) {
      const Parameter& p = kernel->parameters.at(index++);
      if (p.bytes != sizeof value) throw std::runtime_error("argument of a wrong size for " + p.name);
      std::memcpy(parameters.data() + p.offset, &value, sizeof value);
    };
    (pack(arguments), ...);
    execute(*kernel, grid, block, dynamicSharedBytes, parameters.data(), memory, options, counters);
  }

  Memory memory{size_t{1} << 26};
  Module module;
  Options options;
  Counters* counters = nullptr;
  size_t dynamicSharedBytes = 0;
};

// The fault that `run` raises; its sentence, or "" when there is none.
inline std::string faultOf(const std::function<void()>& run, FaultKind expected) {
  try {
    run();
  } catch (const Fault& f) {
    if (f.kind != expected) return std::string("another kind: ") + softcuda::name(f.kind) + ": " + f.what();
    return f.what();
  }
  return "";
}

#define EXPECT_FAULT(kind, part, ...)                                                                           \
  do {                                                                                                          \
    std::string sentence = ::softcuda::test::faultOf([&] { __VA_ARGS__; }, ::softcuda::FaultKind::kind);        \
    if (sentence.find(part) == std::string::npos || sentence.rfind("another kind", 0) == 0) {                   \
      ++::softcuda::test::failures;                                                                             \
      std::printf("%s:%d: expected a fault '%s' with \"%s\" but got \"%s\"\n", __FILE__, __LINE__, #kind, part, \
                  sentence.c_str());                                                                            \
    }                                                                                                           \
  } while (0)

}  // namespace softcuda::test

int main() { return softcuda::test::runAll(); }
