// A session: a device, a store, and one workspace that all plans of it share, since one of them runs at a time.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/plan.h"

namespace pushforward {

/** One call of run: `steps` steps with no return to the caller in between. */
struct RunRequest {
  std::vector<Memory> inputs;  // as the device computes; those fed by a resident set are allocated but not filled
  std::shared_ptr<const Resident> resident;
  std::vector<int32_t> indices;  // of examples, steps × batch
  uint32_t key[2] = {0, 0};
  uint32_t firstStep = 0;
  int64_t steps = 1;
  std::vector<double> rates;  // one per step
  int64_t recordEvery = 0;    // copies `recordSlots` after every so many steps
  std::vector<std::string> recordSlots;
};

struct RunResult {
  int64_t steps = 0;         // taken
  int64_t numericStep = -1;  // the step whose loss or directional derivative was not finite
  double milliseconds = 0;
  std::vector<std::vector<std::byte>> outputs;   // of each output, steps × its size
  std::vector<std::vector<std::byte>> recorded;  // of each slot, records × its size
};

struct MemoryReport {
  size_t data = 0, parameters = 0, state = 0, tape = 0, workspace = 0;
};

class Session {
 public:
  explicit Session(const Device& device) : device_(device), store_(device.realBytes) {}

  const Device& device() const { return device_; }
  Store& store() { return store_; }
  std::shared_ptr<Plan> compile(const Program& program, bool fuse);
  /** Blocks until no other run of this session is in flight. */
  RunResult run(const Plan& plan, RunRequest& request, const std::atomic<bool>& cancelled);
  void addResident(std::shared_ptr<Resident> resident);
  MemoryReport memory();
  /** Held by a run, and by whoever reads or writes a slot. */
  std::mutex& mutex() { return mutex_; }

 private:
  /** What the plans that still exist need: the most of each; tables_ is held. */
  MemoryReport needs() const;
  void reserve(const Plan& plan);
  std::vector<const Slot*> recorded(const RunRequest& request);

  Device device_;
  Store store_;
  Memory workspace_, tape_;
  std::vector<std::weak_ptr<Plan>> plans_;
  std::vector<std::shared_ptr<Resident>> residents_;
  std::mutex mutex_;
  // Guards plans_, residents_ and the store's list of slots: what a compile changes on the event loop while a run is in flight.
  std::mutex tables_;
};

}  // namespace pushforward
