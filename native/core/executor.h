// How a device takes the steps of a run. The backends define one each: cpu/executor.cpp, cuda/executor.cpp.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "core/plan.h"

namespace pushforward {

/** Inputs of a run that are on their way to the device. */
struct Staged {
  virtual ~Staged() = default;
};

/** One call of run: `steps` steps with no return to the caller in between. */
struct RunRequest {
  std::vector<Memory>
      inputs;  // as the device computes, on the host; those fed by a resident set are allocated but not filled
  std::shared_ptr<Staged> staged;  // what Session::stage gave for them, or nullptr
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

/** A run, bound to memory of the device. */
struct Run {
  const Plan& plan;
  const RunRequest& request;
  const std::atomic<bool>& cancelled;
  const Store& store;
  std::vector<const Slot*> recorded;
  void *inputs, *workspace,
      *tape;  // inputs: each aligned behind the one before; nullptr on the host, where they are the request's
};

class Executor {
 public:
  virtual ~Executor() = default;
  /** When a plan is compiled: throws what would keep it from running. */
  virtual void check(const Plan&) {}
  /** Begins to move inputs to the device while another run may be in flight; nullptr where there is nothing to gain. */
  virtual std::shared_ptr<Staged> stage(const Plan&, const std::vector<Memory>&) { return nullptr; }
  /** Takes steps until all are taken, the run is cancelled, or a guard is not finite. */
  virtual void run(const Run& run, RunResult& result) = 0;
  /** Bytes of the device that it keeps beside those of the session. */
  virtual size_t bytes() const { return 0; }
};

/** Appends a slot's elements, row by row, to `bytes`. */
void record(const Slot& slot, const Store& store, std::vector<std::byte>& bytes);

}  // namespace pushforward
