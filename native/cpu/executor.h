#pragma once
#include <memory>

#include "core/executor.h"

namespace pushforward::cpu {

/** Takes steps by calling kernels, one after the other, on the calling thread and those of the pool. */
std::unique_ptr<Executor> makeExecutor(const Device& device);

}  // namespace pushforward::cpu
