// Device memory and pinned host memory.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "call.h"
#include "host_memory.h"

using namespace softcuda;
using namespace softcuda::driver;

namespace {

constexpr int garbage = 0xa7;

void* allocateHost(size_t bytes) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t mapped = (bytes + page - 1) / page * page;
  if (mapped < bytes) throw Error{CUDA_ERROR_OUT_OF_MEMORY, "more than the address space"};
  void* address = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) throw Error{CUDA_ERROR_OUT_OF_MEMORY, "no host memory"};
  std::memset(address, garbage, bytes);
  Driver& driver = Driver::get();
  driver.hostBlocks[reinterpret_cast<uintptr_t>(address)] = {bytes, mapped, &driver.current()};
  return address;
}

void allocateHost(void** address, size_t bytes, unsigned flags) {
  const unsigned known = CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED;
  if (!address || bytes == 0 || (flags & ~known))
    throw Error{CUDA_ERROR_INVALID_VALUE, "a null pointer, no bytes or unknown flags"};
  *address = allocateHost(bytes);
}

}  // namespace

bool softcuda::driver::pinned(const void* address, size_t bytes) {
  const auto& blocks = Driver::get().hostBlocks;
  const uintptr_t first = reinterpret_cast<uintptr_t>(address);
  auto block = blocks.upper_bound(first);
  if (block == blocks.begin()) return false;
  --block;
  return bytes <= block->second.bytes && first - block->first <= block->second.bytes - bytes;
}

CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t bytes) {
  return Call(__func__, kContext | kUnsafe, address, bytes).run([&] {
    if (!address || bytes == 0) throw Error{CUDA_ERROR_INVALID_VALUE, "a null pointer or no bytes"};
    Context& context = Driver::get().current();
    static uint64_t count = 0;
    const uint64_t allocated = context.device.memory.allocate(bytes, "cuMemAlloc " + std::to_string(++count));
    if (!allocated) throw Error{CUDA_ERROR_OUT_OF_MEMORY, "beyond SOFTCUDA_MEMORY"};
    context.allocations.insert(allocated);
    *address = allocated;
  });
}

CUresult cuMemFree_v2(CUdeviceptr address) {
  return Call(__func__, kContext | kUnsafe | kRelease, address).run([&] {
    if (!address) return;
    Context& context = Driver::get().current();
    if (!context.allocations.count(address)) throw Error{CUDA_ERROR_INVALID_VALUE, "no address of a live cuMemAlloc"};
    context.queue.waitForAll();  // work in flight may use it
    context.allocations.erase(address);
    context.device.memory.free(address);
    if (const int fault = context.queue.fault()) throw Error{static_cast<Result>(fault), "the context has failed"};
  });
}

CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  return Call(__func__, kContext, free, total).run([&] {
    if (!free || !total) throw Error{CUDA_ERROR_INVALID_VALUE, "a null pointer"};
    const Memory& memory = Driver::get().current().device.memory;
    *total = memory.limit();
    *free = memory.limit() - memory.used();
  });
}

CUresult cuMemAllocHost_v2(void** address, size_t bytes) {
  return Call(__func__, kContext | kUnsafe, address, bytes).run([&] { allocateHost(address, bytes, 0); });
}

CUresult cuMemHostAlloc(void** address, size_t bytes, unsigned flags) {
  return Call(__func__, kContext | kUnsafe, address, bytes, flags).run([&] { allocateHost(address, bytes, flags); });
}

CUresult cuMemFreeHost(void* address) {
  return Call(__func__, kContext | kUnsafe | kRelease, address).run([&] {
    if (!address) return;
    auto& blocks = Driver::get().hostBlocks;
    const auto block = blocks.find(reinterpret_cast<uintptr_t>(address));
    if (block == blocks.end()) throw Error{CUDA_ERROR_INVALID_VALUE, "no address of live pinned memory"};
    Driver::get().current().queue.waitForAll();  // work in flight may use it
    // The addresses are kept and forbidden: a use after free is then a crash of the host, or a fault of the copy.
    madvise(address, block->second.mapped, MADV_DONTNEED);
    mprotect(address, block->second.mapped, PROT_NONE);
    blocks.erase(block);
  });
}
