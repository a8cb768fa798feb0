// The step of a plan as a graph of the device: captured once, launched for every step.
#pragma once
#include "core/executor.h"
#include "cuda/queue.h"
#include "cuda/step.h"

namespace pushforward::cuda {

/** What a step's kernels are bound to. */
struct Binding {
  void *inputs, *workspace, *tape;
  size_t columns;  // inputs that a resident set fills
  StepState* state;
  RunTable* table;
  friend bool operator==(const Binding& a, const Binding& b) {
    return a.inputs == b.inputs && a.workspace == b.workspace && a.tape == b.tape && a.columns == b.columns;
  }
};

/** Enqueues a step: table, batch, the plan's kernels, results, guards. */
void takeStep(const Plan& plan, const Device& device, const Binding& binding, Queue& queue);

struct Captured : Plan::Kept {
  Captured(std::shared_ptr<Context> owner, const Plan& plan, const Device& device, const Binding& bound, Stream stream);
  ~Captured() override;

  std::shared_ptr<Context> context;
  Binding binding;
  GraphExec exec = nullptr;
};

/** Bytes of each of a plan's inputs. */
std::vector<size_t> inputBytes(const Plan& plan);

}  // namespace pushforward::cuda
