#include "core/device.h"

#include "core/error.h"

namespace pushforward {

Device openDevice(const std::string& name, const std::string& isa, int threads, const std::string& precision) {
  if (threads < 0) fail(Code::INVALID_ARGUMENT, "device", "a number of threads of at least 1", std::to_string(threads));
  if (name == "cpu" || name == "reference") return openHost(name, isa, threads, precision);
  if (name == "cuda" || name.rfind("cuda:", 0) == 0) return openGpu(name, precision);
  fail(Code::INVALID_ARGUMENT, "device", "cpu, cuda, cuda:n or reference", "'" + name.substr(0, 40) + "'");
}

}  // namespace pushforward
