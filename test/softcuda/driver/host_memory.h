#pragma once
#include <cstddef>

namespace softcuda::driver {

/** Whether all the bytes lie in one block of cuMemAllocHost or cuMemHostAlloc. */
bool pinned(const void* address, size_t bytes);

}  // namespace softcuda::driver
