// Kernels: their attributes, their launch and its limits.
#include <algorithm>
#include <cstring>

#include "call.h"

using namespace softcuda;
using namespace softcuda::driver;

namespace {

constexpr size_t sharedLimit = 99 << 10;  // static and dynamic together, what every GPU of 8.0 and newer gives

[[noreturn]] void refuse(const std::string& reason) { throw Error{CUDA_ERROR_INVALID_VALUE, reason}; }

int attributeOf(const Function& function, int attribute) {
  const Kernel& kernel = *function.kernel;
  const int capability = 10 * Settings::get().major + Settings::get().minor;
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      return static_cast<int>(kernel.maxThreads);
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
      return static_cast<int>(kernel.sharedBytes);
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
      return static_cast<int>(kernel.localBytes);
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
      return static_cast<int>(std::min(kernel.registers, 255u));
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
      return capability;
    case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
    case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA:
      return 0;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      return function.maxDynamicShared;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
      return function.carveout;
    default:
      refuse("softcuda knows no such attribute");
  }
}

void requireLimits(const Function& function, Dim3 grid, Dim3 block, unsigned sharedBytes) {
  if (grid.count() == 0 || block.count() == 0) refuse("an empty grid or block");
  if (grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535) refuse("a grid beyond 2147483647 x 65535 x 65535");
  if (block.x > 1024 || block.y > 1024 || block.z > 64) refuse("a block beyond 1024 x 1024 x 64");
  if (block.count() > 1024) refuse("a block of more than 1024 threads");
  if (block.count() > function.kernel->maxThreads) refuse("a block of more threads than the kernel's launch bounds");
  if (sharedBytes > static_cast<unsigned>(function.maxDynamicShared))
    refuse(std::to_string(sharedBytes) + " bytes of dynamic shared memory, where " +
           std::to_string(function.maxDynamicShared) + " are allowed");
}

/** The list of `extra`: pairs of a tag and a pointer up to a null tag. */
std::vector<std::byte> packed(const Kernel& kernel, void** extra) {
  constexpr uintptr_t bufferPointer = 1, bufferSize = 2;
  const void* buffer = nullptr;
  size_t size = 0;
  for (; *extra; extra += 2) {
    const uintptr_t tag = reinterpret_cast<uintptr_t>(extra[0]);
    if (tag == bufferPointer) {
      buffer = extra[1];
    } else if (tag == bufferSize) {
      size = *static_cast<const size_t*>(extra[1]);
    } else {
      refuse("an unknown tag among the extra options");
    }
  }
  if (!buffer || size != kernel.parameterBytes)
    refuse("a buffer of " + std::to_string(size) + " bytes of parameters, where the kernel has " +
           std::to_string(kernel.parameterBytes));
  const auto* bytes = static_cast<const std::byte*>(buffer);
  return {bytes, bytes + size};
}

/** Copied at the call: the caller's variables may change before the kernel runs. */
std::vector<std::byte> gathered(const Kernel& kernel, void** parameters) {
  std::vector<std::byte> bytes(kernel.parameterBytes);
  for (size_t i = 0; i < kernel.parameters.size(); ++i) {
    if (!parameters || !parameters[i]) refuse("no value for parameter " + std::to_string(i));
    std::memcpy(bytes.data() + kernel.parameters[i].offset, parameters[i], kernel.parameters[i].bytes);
  }
  return bytes;
}

}  // namespace

CUresult cuFuncGetAttribute(int* value, int attribute, CUfunction function) {
  return Call(__func__, kContext, value, attribute, function).run([&] {
    if (!value) refuse("a null pointer");
    *value = attributeOf(*Driver::get().functions.get(function), attribute);
  });
}

CUresult cuFuncSetAttribute(CUfunction function, int attribute, int value) {
  return Call(__func__, kContext, function, attribute, value).run([&] {
    const auto found = Driver::get().functions.get(function);
    if (attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
      if (value < 0 || found->kernel->sharedBytes + static_cast<size_t>(value) > sharedLimit)
        refuse("more than " + std::to_string(sharedLimit) + " bytes of static and dynamic shared memory");
      found->maxDynamicShared = value;
    } else if (attribute == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) {
      if (value < -1 || value > 100) refuse("a carveout outside -1 to 100");
      found->carveout = value;
    } else {
      refuse("no attribute that can be set");
    }
  });
}

CUresult cuLaunchKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                        unsigned blockY, unsigned blockZ, unsigned sharedBytes, CUstream stream, void** parameters,
                        void** extra) {
  return Call(__func__, kContext, function, gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes, stream,
              parameters, extra)
      .run([&] {
        const auto found = Driver::get().functions.get(function);
        const auto on = Driver::get().stream(stream);
        if (&found->context != &on->context)
          throw Error{CUDA_ERROR_INVALID_HANDLE, "kernel and stream of different contexts"};
        const Dim3 grid{gridX, gridY, gridZ}, block{blockX, blockY, blockZ};
        requireLimits(*found, grid, block, sharedBytes);
        if (parameters && extra) refuse("parameters given twice");
        enqueue(on, Launch{found->module, found->kernel, grid, block, sharedBytes,
                           extra ? packed(*found->kernel, extra) : gathered(*found->kernel, parameters)});
      });
}
