// Copies and fills. When host memory is touched:
//   host → device, async, pinned     when the copy runs
//   host → device, async, pageable   at the call, or when the copy runs: drawn
//   host → device, blocking          at the call; from pageable memory the device may receive it later: drawn
//   device → host, async, pinned     when the copy runs
//   device → host, async, pageable   before the call returns
//   in a captured copy               at every replay
#include "call.h"
#include "host_memory.h"

using namespace softcuda;
using namespace softcuda::driver;

namespace {

void requireRange(const Context& context, uint64_t address, size_t bytes) {
  const Allocation* allocation = context.device.memory.find(address);
  if (!allocation || bytes > allocation->bytes || address - allocation->base > allocation->bytes - bytes)
    throw Error{CUDA_ERROR_INVALID_VALUE, "beyond a device allocation: " + context.device.memory.describe(address)};
}

void requireHost(const void* pointer) {
  if (!pointer) throw Error{CUDA_ERROR_INVALID_VALUE, "a null host pointer"};
}

std::shared_ptr<const std::vector<std::byte>> stage(const void* from, size_t bytes) {
  auto staged = std::make_shared<std::vector<std::byte>>(bytes);
  if (!readHost(staged->data(), from, bytes)) throw Error{CUDA_ERROR_INVALID_VALUE, "unreadable host memory"};
  return staged;
}

/** Runs an asynchronous body on its stream; a copy of no bytes is nothing. */
CUresult transfer(Call call, CUstream stream, size_t bytes,
                  const std::function<void(const std::shared_ptr<Stream>&)>& body) {
  return call.run([&] {
    const auto on = Driver::get().stream(stream);
    if (bytes) body(on);
  });
}

CUresult fill(Call call, CUdeviceptr to, unsigned value, size_t elementBytes, size_t count, CUstream stream) {
  return call.run([&] {
    const auto on = Driver::get().stream(stream);
    if (count == 0) return;
    if (to % elementBytes) throw Error{CUDA_ERROR_INVALID_VALUE, "a misaligned address"};
    if (count > SIZE_MAX / elementBytes) throw Error{CUDA_ERROR_INVALID_VALUE, "more than the address space"};
    requireRange(on->context, to, elementBytes * count);
    enqueue(on, Fill{to, value, elementBytes, count});
  });
}

}  // namespace

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, CUstream stream) {
  return transfer({"cuMemcpyHtoDAsync_v2", kContext, to, from, bytes, stream}, stream, bytes, [&](const auto& on) {
    requireHost(from);
    requireRange(on->context, to, bytes);
    const bool now = !on->capture && !pinned(from, bytes) && Driver::get().coin();
    enqueue(on, CopyIn{to, from, bytes, now ? stage(from, bytes) : nullptr});
  });
}

CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
  return transfer({"cuMemcpyDtoHAsync_v2", kContext, to, from, bytes, stream}, stream, bytes, [&](const auto& on) {
    requireHost(to);
    requireRange(on->context, from, bytes);
    enqueue(on, CopyOut{to, from, bytes});
    if (!on->capture && !pinned(to, bytes)) waitFor(on->context, on->last);
  });
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  return transfer({"cuMemcpyDtoDAsync_v2", kContext, to, from, bytes, stream}, stream, bytes, [&](const auto& on) {
    requireRange(on->context, to, bytes);
    requireRange(on->context, from, bytes);
    enqueue(on, CopyWithin{to, from, bytes});
  });
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes) {
  return transfer({__func__, kContext | kUnsafe, to, from, bytes}, nullptr, bytes, [&](const auto& on) {
    requireHost(from);
    requireRange(on->context, to, bytes);
    enqueue(on, Join{});
    waitFor(on->context, on->last);  // earlier work may write the source
    enqueue(on, CopyIn{to, from, bytes, stage(from, bytes)});
    if (pinned(from, bytes) || Driver::get().coin()) waitFor(on->context, on->last);
  });
}

CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes) {
  return transfer({__func__, kContext | kUnsafe, to, from, bytes}, nullptr, bytes, [&](const auto& on) {
    requireHost(to);
    requireRange(on->context, from, bytes);
    enqueue(on, CopyOut{to, from, bytes});
    waitFor(on->context, on->last);
  });
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
  return fill({__func__, kContext, to, value, count, stream}, to, value, 1, count, stream);
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
  return fill({__func__, kContext, to, value, count, stream}, to, value, 4, count, stream);
}
