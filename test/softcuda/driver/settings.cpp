#include "settings.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <thread>

#include "errors.h"
#include "sentences.h"

namespace softcuda::driver {

namespace {

[[noreturn]] void refuse(const char* variable, const std::string& expected, const std::string& value) {
  say(std::string("[") + variable + "] expected " + expected + " but received '" + value + "'");
  std::_Exit(2);
}

std::string text(const char* variable) {
  const char* value = std::getenv(variable);
  return value ? value : "";
}

/** The whole of `value` as an integer of at least `least`; false when it is none. */
bool integer(const std::string& value, uint64_t least, uint64_t& result) {
  if (value.empty() || value.find_first_not_of("0123456789") != std::string::npos) return false;
  errno = 0;
  const unsigned long long parsed = std::strtoull(value.c_str(), nullptr, 10);
  if (errno != 0 || parsed < least) return false;
  result = parsed;
  return true;
}

uint64_t number(const char* variable, uint64_t least, uint64_t otherwise) {
  const std::string value = text(variable);
  if (value.empty()) return otherwise;
  uint64_t result;
  if (!integer(value, least, result)) refuse(variable, "an integer of at least " + std::to_string(least), value);
  return result;
}

Order order() {
  const std::string value = text("SOFTCUDA_ORDER");
  static const struct {
    const char* name;
    Order order;
  } orders[] = {
      {"", Order::random},       {"late", Order::late},   {"needed", Order::needed},
      {"random", Order::random}, {"eager", Order::eager},
  };
  for (const auto& entry : orders)
    if (value == entry.name) return entry.order;
  refuse("SOFTCUDA_ORDER", "late, needed, random or eager", value);
}

/** "cuMemAlloc:3,cuLaunchKernel:1:719" or with the code's name. */
std::vector<InjectedFault> injectedFaults() {
  std::vector<InjectedFault> faults;
  std::stringstream list(text("SOFTCUDA_FAULT"));
  for (std::string item; std::getline(list, item, ',');) {
    std::stringstream parts(item);
    std::string call, count, code;
    std::getline(parts, call, ':');
    std::getline(parts, count, ':');
    std::getline(parts, code);
    InjectedFault fault{call, 0, -1};
    const bool counted = integer(count, 1, fault.count);
    if (!code.empty()) fault.code = errorCode(code);
    if (call.empty() || !counted || (!code.empty() && fault.code < 0))
      refuse("SOFTCUDA_FAULT", "call:n or call:n:code, separated by commas", item);
    faults.push_back(fault);
  }
  return faults;
}

void capability(Settings& settings) {
  const std::string value = text("SOFTCUDA_CAPABILITY");
  if (value.empty()) return;
  char rest;
  if (std::sscanf(value.c_str(), "%d.%d%c", &settings.major, &settings.minor, &rest) != 2)
    refuse("SOFTCUDA_CAPABILITY", "a number like 8.0", value);
}

Settings read() {
  Settings settings;
  settings.seed = number("SOFTCUDA_SEED", 0, settings.seed);
  settings.order = order();
  settings.memory = number("SOFTCUDA_MEMORY", 1, settings.memory);
  const unsigned cores = std::thread::hardware_concurrency();
  settings.threads = static_cast<unsigned>(number("SOFTCUDA_THREADS", 1, cores ? cores : 1));
  settings.version = static_cast<int>(number("SOFTCUDA_VERSION", 1000, settings.version));
  settings.devices = static_cast<int>(number("SOFTCUDA_DEVICES", 0, settings.devices));
  settings.checks = number("SOFTCUDA_CHECKS", 0, 1) != 0;
  capability(settings);
  settings.faults = injectedFaults();
  settings.faultFile = text("SOFTCUDA_FAULTS");
  settings.leakFile = text("SOFTCUDA_LEAKS");
  settings.reportFile = text("SOFTCUDA_REPORT");
  settings.traceFile = text("SOFTCUDA_TRACE");
  return settings;
}

}  // namespace

const Settings& Settings::get() {
  static const Settings& settings = *new Settings(read());  // lives until the last line of the leak report
  return settings;
}

}  // namespace softcuda::driver
