#include "leaks.h"

#include <sstream>

#include "driver.h"
#include "sentences.h"

namespace softcuda::driver {

namespace {

std::string hex(uint64_t value) {
  std::ostringstream text;
  text << "0x" << std::hex << value;
  return text.str();
}

template <class Handle, class Object>
void collect(std::vector<std::string>& leaks, const char* kind, const Registry<Handle, Object>& registry,
             const Context& context) {
  for (const auto& [handle, object] : registry.all())
    if (&object->context == &context)
      leaks.push_back(std::string(kind) + " " + hex(reinterpret_cast<uint64_t>(handle)));
}

std::vector<std::string> allLeaks(const Driver& driver) {
  std::vector<std::string> leaks = driver.leaks;
  for (const auto& [handle, context] : driver.contexts.all()) {
    for (const std::string& leak : leaksOf(*context)) leaks.push_back(leak);
    leaks.push_back("context of device " + std::to_string(context->ordinal) + ", retained " +
                    std::to_string(context->users) + " times");
  }
  for (const auto& [handle, graph] : driver.graphs.all())
    leaks.push_back("graph of " + std::to_string(graph->nodes.size()) + " nodes");
  for (const auto& [handle, exec] : driver.execs.all())
    leaks.push_back("instantiated graph of " + std::to_string(exec->nodes.size()) + " nodes");
  for (const auto& [address, block] : driver.hostBlocks)
    leaks.push_back("pinned host memory of " + std::to_string(block.bytes) + " bytes at " + hex(address));
  return leaks;
}

/** The process ends: nothing may be freed here, other destructors may have run already. */
__attribute__((destructor)) void reportAtExit() {
  if (!Driver::exists()) return;
  const Driver& driver = Driver::get();
  for (const std::string& leak : allLeaks(driver)) {
    say("leak " + leak);
    append(Settings::get().leakFile, leak);
  }
  for (const auto& device : driver.devices)
    if (!device->counters.kernels.empty()) append(Settings::get().reportFile, report(device->counters));
}

}  // namespace

std::vector<std::string> leaksOf(const Context& context) {
  const Driver& driver = Driver::get();
  std::vector<std::string> leaks;
  for (const uint64_t address : context.allocations) {
    const Allocation* allocation = context.device.memory.find(address);
    leaks.push_back("device memory of " + std::to_string(allocation ? allocation->bytes : 0) + " bytes at " +
                    hex(address));
  }
  collect(leaks, "module", driver.modules, context);
  collect(leaks, "stream", driver.streams, context);
  collect(leaks, "event", driver.events, context);
  return leaks;
}

}  // namespace softcuda::driver
