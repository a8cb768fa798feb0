#include "cuda/driver.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace pushforward::cuda {

namespace {

// cuGraphInstantiateWithFlags, the youngest of the functions used, came with CUDA 11.4.
constexpr int neededVersion = 11040;

std::string versionText(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string dlError() {
  const char* words = dlerror();
  return words ? words : "no reason given";
}

/** Why it cannot be used; empty when it can. */
std::string bind(Driver& driver, void* library, const std::string& name) {
  using Version = Result (*)(int*);
  auto version = reinterpret_cast<Version>(dlsym(library, "cuDriverGetVersion"));
  if (!version || version(&driver.version) != success) return name + " is no CUDA driver: it has no cuDriverGetVersion";
  if (driver.version < neededVersion)
    return "the CUDA driver is too old: it is for CUDA " + versionText(driver.version) + ", needed is " +
           versionText(neededVersion) + " or later";
#define PUSHFORWARD_CUDA_BIND(name_, suffix, ...)                                                    \
  driver.name_.function = reinterpret_cast<Result (*)(__VA_ARGS__)>(dlsym(library, #name_ #suffix)); \
  if (!driver.name_.function) return name + " (CUDA " + versionText(driver.version) + ") has no " #name_ #suffix;
  PUSHFORWARD_CUDA_CALLS(PUSHFORWARD_CUDA_BIND)
#undef PUSHFORWARD_CUDA_BIND
  const Result started = driver.cuInit.function(0);
  return started == success ? "" : "cuInit: " + wordsOf(driver, started);
}

Driver open() {
  Driver driver;
  const char* named = std::getenv("PUSHFORWARD_CUDA_DRIVER");
  const std::string name = named && *named ? named : "libcuda.so.1";
  void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  driver.library = library || (named && *named);
  driver.absence = library           ? bind(driver, library, name)
                   : named && *named ? "PUSHFORWARD_CUDA_DRIVER cannot be opened: " + dlError()
                                     : "there is no CUDA driver: " + dlError();
  return driver;
}

}  // namespace

const Driver& driver() {
  static const Driver& opened = *new Driver(open());  // never closed: threads may still be in it when the process ends
  return opened;
}

std::string wordsOf(const Driver& driver, Result result) {
  const char *name = nullptr, *words = nullptr;
  if (driver.cuGetErrorName.function(result, &name) != success || !name) return "error " + std::to_string(result);
  if (driver.cuGetErrorString.function(result, &words) != success || !words) return name;
  return std::string(name) + ": " + words;
}

// The driver ended; the device is gone; uncorrectable memory; what a kernel can do wrong (ILLEGAL_ADDRESS … LAUNCH_FAILED).
bool isSticky(Result result) {
  static constexpr Result sticky[] = {4, 46, 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719};
  return std::find(std::begin(sticky), std::end(sticky), result) != std::end(sticky);
}

}  // namespace pushforward::cuda
