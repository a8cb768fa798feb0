#include "core/session.h"

#include <algorithm>
#include <chrono>

namespace pushforward {

// A program that is not compiled in the end leaves no slot behind.
std::shared_ptr<Plan> Session::makePlan(const Program& program, bool fuse) {
  const std::vector<std::string> before = store_.names();
  try {
    auto plan = std::make_shared<Plan>(program, store_, device_, fuse);
    executor_->check(*plan);
    return plan;
  } catch (...) {
    for (const std::string& name : store_.names())
      if (!std::binary_search(before.begin(), before.end(), name)) store_.forget(name);
    throw;
  }
}

std::shared_ptr<Plan> Session::compile(const Program& program, bool fuse) {
  std::lock_guard<std::mutex> lock(tables_);
  std::shared_ptr<Plan> plan = makePlan(program, fuse);
  plans_.erase(std::remove_if(plans_.begin(), plans_.end(), [](const auto& known) { return known.expired(); }),
               plans_.end());
  plans_.push_back(plan);
  return plan;
}

void Session::addResident(std::shared_ptr<Resident> resident) {
  std::lock_guard<std::mutex> lock(tables_);
  residents_.push_back(std::move(resident));
}

size_t Session::inputBytes(const Plan& plan) const {
  size_t bytes = 0;
  for (const Type& type : plan.inputs()) bytes += aligned(store_.bytesOf(type));
  return bytes;
}

MemoryReport Session::needs() const {
  MemoryReport needs;
  for (const auto& known : plans_) {
    std::shared_ptr<Plan> plan = known.lock();
    if (!plan) continue;
    needs.data = std::max(needs.data, inputBytes(*plan));
    needs.tape = std::max(needs.tape, plan->tapeBytes());
    needs.workspace = std::max(needs.workspace, plan->workspaceBytes());
  }
  return needs;
}

MemoryReport Session::memory() {
  std::lock_guard<std::mutex> lock(tables_);
  MemoryReport report = needs();
  for (const auto& resident : residents_) report.data += resident->bytes();
  report.data += executor_->bytes();
  report.parameters = store_.bytes(Region::parameters);
  report.state = store_.bytes(Region::state);
  return report;
}

// Grows to what this plan needs, so that one plan that is too large stops itself alone; shrinks when the largest plan is gone.
void Session::reserve(const Plan& plan) {
  auto fit = [&](Memory& memory, size_t own, size_t largest) {
    if (memory.bytes() >= aligned(own) && memory.bytes() <= aligned(largest)) return;
    size_t bytes = memory.bytes() < aligned(own) ? own : largest;
    memory = Memory();
    if (bytes) memory = Memory(bytes, false, device_.space);
  };
  std::unique_lock<std::mutex> lock(tables_);
  MemoryReport needed = needs();
  lock.unlock();
  if (!device_.space->onHost()) fit(inputs_, inputBytes(plan), needed.data);
  fit(workspace_, plan.workspaceBytes(), needed.workspace);
  fit(tape_, plan.tapeBytes(), needed.tape);
}

std::vector<const Slot*> Session::recorded(const RunRequest& request) {
  std::lock_guard<std::mutex> lock(tables_);
  std::vector<const Slot*> slots;
  for (const std::string& name : request.recordSlots) slots.push_back(&store_.find(name));
  return slots;
}

void record(const Slot& slot, const Store& store, std::vector<std::byte>& bytes) {
  const size_t before = bytes.size(), more = store.bytesOf(slot.type);
  bytes.resize(before + more);
  slot.read(more, bytes.data() + before);
}

RunResult Session::run(const Plan& plan, RunRequest& request, const std::atomic<bool>& cancelled) {
  std::lock_guard<std::mutex> lock(mutex_);
  reserve(plan);
  Run run{plan, request, cancelled, store_, recorded(request), inputs_.data(), workspace_.data(), tape_.data()};
  const auto records = static_cast<size_t>(request.recordEvery > 0 ? request.steps / request.recordEvery : 0);
  double bytes = 0;
  for (const Output& output : plan.outputs()) bytes += double(request.steps) * double(store_.bytesOf(output.type));
  for (const Slot* slot : run.recorded) bytes += double(records) * double(store_.bytesOf(slot->type));
  hostSpace()->expect(2 * bytes);  // here, and in the arrays that the caller gets

  RunResult result;
  result.outputs.resize(plan.outputs().size());
  result.recorded.resize(run.recorded.size());
  for (size_t i = 0; i < plan.outputs().size(); ++i)
    result.outputs[i].reserve(static_cast<size_t>(request.steps) * store_.bytesOf(plan.outputs()[i].type));
  for (size_t i = 0; i < run.recorded.size(); ++i)
    result.recorded[i].reserve(records * store_.bytesOf(run.recorded[i]->type));
  auto start = std::chrono::steady_clock::now();
  executor_->run(run, result);
  result.milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace pushforward
