// The work of a context that has been asked for and not done: a graph of operations, each after some others. A real GPU may do
// them in any order that keeps these edges; so the queue picks one that shows a missing edge:
//   late    a wait first does everything that it does not need, then what it needs
//   needed  a wait does what it needs and nothing else
//   random  each wait draws late, needed, or a mixture of both; new work starts at once now and then
//   eager   everything is done as it is submitted
// Whatever is free within these rules is drawn with SOFTCUDA_SEED.
#pragma once
#include <memory>
#include <random>
#include <vector>

#include "settings.h"
#include "work.h"

namespace softcuda::driver {

struct Operation;
using OperationPointer = std::shared_ptr<Operation>;

struct Operation {
  std::shared_ptr<const Work> work;
  std::vector<OperationPointer> after, next;  // not done
  uint64_t wanted = 0;                        // the last wait that needs it
  bool done = false;
};

class Queue {
 public:
  Queue(Device& device, std::mt19937_64& random) : device_(device), random_(random) {}
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  ~Queue() { drop(); }

  /** Done ones and null pointers in `after` are left out. */
  OperationPointer submit(std::shared_ptr<const Work> work, const std::vector<OperationPointer>& after);
  /** Until the target is done, or a fault. */
  void waitFor(const OperationPointer& target);
  void waitForAll();
  /** Does a little of what the target needs, or all of it: whoever asks often enough sees it done. */
  void advance(const OperationPointer& target);

  /** The code of the first fault, 0 without: from then on nothing runs. */
  int fault() const { return fault_; }
  void setFault(int code);

 private:
  bool runOne(bool wanted, bool unwanted);
  void run(const OperationPointer& operation);
  void finish(Operation& operation);
  void want(const OperationPointer& target);
  void drop();

  Device& device_;
  std::mt19937_64& random_;
  std::vector<OperationPointer> ready_;  // nothing left to come after
  size_t pending_ = 0;
  uint64_t wait_ = 0;
  int fault_ = 0;
};

}  // namespace softcuda::driver
