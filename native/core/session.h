// A session: a device, a store, and one workspace that all plans of it share, since one of them runs at a time.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/executor.h"

namespace pushforward {

struct MemoryReport {
  size_t data = 0, parameters = 0, state = 0, tape = 0, workspace = 0;
};

class Session {
 public:
  explicit Session(const Device& device)
      : device_(device), store_(device.realBytes, device.space), executor_(device_.executor(device_)) {}

  const Device& device() const { return device_; }
  Store& store() { return store_; }
  std::shared_ptr<Plan> compile(const Program& program, bool fuse);
  /** Blocks until no other run of this session is in flight. */
  RunResult run(const Plan& plan, RunRequest& request, const std::atomic<bool>& cancelled);
  /** Begins to move the inputs of a later run to the device. */
  std::shared_ptr<Staged> stage(const Plan& plan, const std::vector<Memory>& inputs) {
    return executor_->stage(plan, inputs);
  }
  void addResident(std::shared_ptr<Resident> resident);
  MemoryReport memory();
  /** Held by a run, and by whoever reads or writes a slot. */
  std::mutex& mutex() { return mutex_; }

 private:
  /** What the plans that still exist need: the most of each; tables_ is held. */
  MemoryReport needs() const;
  size_t inputBytes(const Plan& plan) const;
  std::shared_ptr<Plan> makePlan(const Program& program, bool fuse);
  void reserve(const Plan& plan);
  std::vector<const Slot*> recorded(const RunRequest& request);

  Device device_;
  Store store_;
  std::unique_ptr<Executor> executor_;
  Memory inputs_, workspace_, tape_;  // inputs_ on devices with memory of their own
  std::vector<std::weak_ptr<Plan>> plans_;
  std::vector<std::shared_ptr<Resident>> residents_;
  std::mutex mutex_;
  // Guards plans_, residents_ and the store's list of slots: what a compile changes on the event loop while a run is in flight.
  std::mutex tables_;
};

}  // namespace pushforward
