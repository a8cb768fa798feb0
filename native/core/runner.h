// A plan bound to memory: its places as pointers, its steps as kernel calls, loops with runners of their own.
#pragma once
#include <memory>
#include <vector>

#include "core/plan.h"

namespace pushforward {

class Runner {
 public:
  /** `inputs` are the plan's, in order; workspace and tape hold as many bytes as the plan says. All are addresses of the device, as is `state`. It and `parallel` outlive it. */
  Runner(const Plan& plan, std::vector<void*> inputs, const Device& device, const Parallel& parallel,
         const RunState* state, void* workspace, void* tape);
  ~Runner();

  /** Every step once. */
  void take();
  /** Adds what is kept of updates (core/kept.h). */
  void merge();
  /** Where a value lies. */
  void* pointer(const Place& place) const;

 private:
  struct LoopRun;

  void setInput(size_t input, void* pointer);
  void takeLoop(LoopRun& loop);

  const Plan& plan_;
  std::vector<void*> inputs_;
  const Device& device_;
  const RunState* state_;
  const Parallel& parallel_;
  void *workspace_, *tape_;
  std::vector<void*> operands_;
  std::vector<KernelCall> calls_, merges_;
  std::vector<std::unique_ptr<LoopRun>> loops_;       // one a step; nullptr for kernels
  std::vector<std::vector<size_t>> operandsOfInput_;  // which operands show an input
};

}  // namespace pushforward
