#pragma once
#include <memory>

#include "core/executor.h"

namespace pushforward::cuda {

/** Takes steps by launching a plan's graph; the host waits where it was asked for something, and so as not to run far ahead. */
std::unique_ptr<Executor> makeExecutor(const Device& device);

}  // namespace pushforward::cuda
