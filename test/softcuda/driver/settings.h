// What the SOFTCUDA_* variables of the environment say (README.md has the list). Read once, at the first driver call.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace softcuda::driver {

/** When queued work runs, see queue.h. */
enum class Order { late, needed, random, eager };

/** The `count`-th call of `call` (a plain name, without _v2) fails; code < 0: the plausible one of that call. */
struct InjectedFault {
  std::string call;
  uint64_t count;
  int code;
};

struct Settings {
  uint64_t seed = 1;
  Order order = Order::random;
  size_t memory = size_t{4} << 30;  // bytes of a device
  unsigned threads;
  int version = 13000;
  int devices = 1;
  int major = 8, minor = 0;  // compute capability
  bool checks = true;
  std::vector<InjectedFault> faults;
  std::string faultFile, leakFile, reportFile, traceFile;  // empty: none

  /** Prints a sentence and ends the process when a variable has a value that it cannot have. */
  static const Settings& get();
};

}  // namespace softcuda::driver
