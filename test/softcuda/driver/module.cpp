// Modules: PTX text becomes kernels and variables in device memory.
#include <cstring>

#include "call.h"
#include "ptx_text.h"
#include "sentences.h"

using namespace softcuda;
using namespace softcuda::driver;

namespace {

/** The log buffers among the JIT options; the size slots receive the lengths written. */
class JitLog {
 public:
  JitLog(unsigned count, int* options, void** values) {
    if (count && (!options || !values)) throw Error{CUDA_ERROR_INVALID_VALUE, "JIT options without values"};
    for (unsigned i = 0; i < count; ++i) {
      if (options[i] < 0 || options[i] > CU_JIT_SPLIT_COMPILE)
        throw Error{CUDA_ERROR_INVALID_VALUE, "unknown JIT option"};
      if (options[i] == CU_JIT_ERROR_LOG_BUFFER) buffer_ = static_cast<char*>(values[i]);
      if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) size_ = &values[i];
      if (options[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES) infoSize_ = &values[i];
    }
  }
  void write(const std::string& sentence) const {
    if (infoSize_) *infoSize_ = nullptr;
    if (!size_) return;
    const size_t room = reinterpret_cast<size_t>(*size_);
    size_t written = 0;
    if (buffer_ && room) {
      written = std::min(sentence.size(), room - 1);
      std::memcpy(buffer_, sentence.data(), written);
      buffer_[written] = 0;
    }
    *size_ = reinterpret_cast<void*>(written);
  }

 private:
  char* buffer_ = nullptr;
  void **size_ = nullptr, **infoSize_ = nullptr;
};

/** Gives every variable device memory with its initial bytes. */
void placeVariables(ModuleObject& object) {
  Memory& memory = object.context.device.memory;
  softcuda::Module& ptx = object.loaded->ptx;
  for (const Variable& variable : ptx.variables) {
    const uint64_t address = memory.allocate(std::max<size_t>(variable.bytes, 1), variable.name);
    if (!address) throw Error{CUDA_ERROR_OUT_OF_MEMORY, "beyond SOFTCUDA_MEMORY"};
    object.allocations.push_back(address);
    ptx.place(variable.name, address);
  }
  for (const Variable& variable : ptx.variables) {
    auto bytes = variable.initial;
    for (const auto& relocation : variable.relocations) {
      const uint64_t value = ptx.address(relocation.symbol) + static_cast<uint64_t>(relocation.addend);
      std::memcpy(bytes.data() + relocation.offset, &value, sizeof value);
    }
    if (!bytes.empty()) memory.copyIn(ptx.address(variable.name), bytes.data(), bytes.size());
  }
}

void release(ModuleObject& object) {
  object.loaded->unloaded = true;
  for (const uint64_t address : object.allocations) object.context.device.memory.free(address);
  object.allocations.clear();
}

std::shared_ptr<ModuleObject> load(const std::string& text, Context& context) {
  requireSupported(text);
  auto object = std::make_shared<ModuleObject>(ModuleObject{std::make_shared<LoadedModule>(), context, {}, {}});
  try {
    object->loaded->ptx = softcuda::parse(text);
  } catch (const PtxError& error) {
    throw Error{CUDA_ERROR_INVALID_PTX, error.what()};
  }
  try {
    placeVariables(*object);
  } catch (...) {
    release(*object);
    throw;
  }
  return object;
}

void load(CUmodule* module, const void* image, const JitLog& log) {
  if (!module || !image) throw Error{CUDA_ERROR_INVALID_VALUE, "a null pointer"};
  Driver& driver = Driver::get();
  try {
    *module = driver.modules.add(load(ptxText(image), driver.current()));
    log.write("");
  } catch (const Error& error) {
    log.write(error.reason);
    say("module refused: " + error.reason);
    throw;
  }
}

}  // namespace

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  return Call(__func__, kContext | kUnsafe, module, image).run([&] {
    load(module, image, JitLog(0, nullptr, nullptr));
  });
}

CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned count, int* options, void** values) {
  return Call(__func__, kContext | kUnsafe, module, image, count, options, values).run([&] {
    load(module, image, JitLog(count, options, values));
  });
}

CUresult cuModuleUnload(CUmodule module) {
  return Call(__func__, kContext | kUnsafe | kRelease, module).run([&] {
    Driver& driver = Driver::get();
    const auto object = driver.modules.get(module);
    object->context.queue.waitForAll();
    driver.modules.remove(module);
    for (const CUfunction function : object->functions) driver.functions.remove(function);
    release(*object);
  });
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  return Call(__func__, kContext, function, module, std::string(name ? name : "(null)")).run([&] {
    if (!function || !name) throw Error{CUDA_ERROR_INVALID_VALUE, "a null pointer"};
    Driver& driver = Driver::get();
    const auto object = driver.modules.get(module);
    const Kernel* kernel = object->loaded->ptx.kernel(name);
    if (!kernel) throw Error{CUDA_ERROR_NOT_FOUND, std::string("no kernel ") + name};
    for (const CUfunction known : object->functions)
      if (driver.functions.get(known)->kernel == kernel) {
        *function = known;
        return;
      }
    constexpr int standard = 48 << 10;  // static and dynamic shared memory together, without the attribute
    const int dynamic = std::max(0, standard - static_cast<int>(kernel->sharedBytes));
    *function =
        driver.functions.add(std::make_shared<Function>(Function{object->loaded, kernel, object->context, dynamic}));
    object->functions.push_back(*function);
  });
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr* address, size_t* bytes, CUmodule module, const char* name) {
  return Call(__func__, kContext, address, bytes, module, std::string(name ? name : "(null)")).run([&] {
    if (!name) throw Error{CUDA_ERROR_INVALID_VALUE, "a null pointer"};
    const auto object = Driver::get().modules.get(module);
    const Variable* variable = object->loaded->ptx.variable(name);
    if (!variable) throw Error{CUDA_ERROR_NOT_FOUND, std::string("no variable ") + name};
    if (address) *address = object->loaded->ptx.address(name);
    if (bytes) *bytes = variable->bytes;
  });
}
