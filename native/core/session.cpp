#include "core/session.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/runner.h"

namespace pushforward {

std::shared_ptr<Plan> Session::compile(const Program& program, bool fuse) {
  std::lock_guard<std::mutex> lock(tables_);
  auto plan = std::make_shared<Plan>(program, store_, device_, fuse);
  plans_.erase(std::remove_if(plans_.begin(), plans_.end(), [](const auto& known) { return known.expired(); }),
               plans_.end());
  plans_.push_back(plan);
  return plan;
}

void Session::addResident(std::shared_ptr<Resident> resident) {
  std::lock_guard<std::mutex> lock(tables_);
  residents_.push_back(std::move(resident));
}

MemoryReport Session::needs() const {
  MemoryReport needs;
  for (const auto& known : plans_) {
    std::shared_ptr<Plan> plan = known.lock();
    if (!plan) continue;
    size_t inputs = 0;
    for (const Type& type : plan->inputs()) inputs += aligned(store_.bytesOf(type));
    needs.data = std::max(needs.data, inputs);
    needs.tape = std::max(needs.tape, plan->tapeBytes());
    needs.workspace = std::max(needs.workspace, plan->workspaceBytes());
  }
  return needs;
}

MemoryReport Session::memory() {
  std::lock_guard<std::mutex> lock(tables_);
  MemoryReport report = needs();
  for (const auto& resident : residents_) report.data += resident->bytes();
  report.parameters = store_.bytes(Region::parameters);
  report.state = store_.bytes(Region::state);
  return report;
}

// Grows to what this plan needs, so that one plan that is too large stops itself alone; shrinks when the largest plan is gone.
void Session::reserve(const Plan& plan) {
  auto fit = [](Memory& memory, size_t own, size_t largest) {
    if (memory.bytes() >= aligned(own) && memory.bytes() <= aligned(largest)) return;
    size_t bytes = memory.bytes() < aligned(own) ? own : largest;
    memory = Memory();
    if (bytes) memory = Memory(bytes, false);
  };
  std::unique_lock<std::mutex> lock(tables_);
  MemoryReport needed = needs();
  lock.unlock();
  fit(workspace_, plan.workspaceBytes(), needed.workspace);
  fit(tape_, plan.tapeBytes(), needed.tape);
}

std::vector<const Slot*> Session::recorded(const RunRequest& request) {
  std::lock_guard<std::mutex> lock(tables_);
  std::vector<const Slot*> slots;
  for (const std::string& name : request.recordSlots) slots.push_back(&store_.find(name));
  return slots;
}

namespace {

template <class Real>
void gatherColumn(const Resident::Column& column, const int32_t* indices, int64_t batch, void* destination) {
  int64_t size = column.size;
  if (column.kind == Resident::Column::Kind::int32) {
    const int32_t* source = static_cast<const int32_t*>(column.memory.data());
    int32_t* out = static_cast<int32_t*>(destination);
    for (int64_t b = 0; b < batch; ++b)
      std::memcpy(out + b * size, source + indices[b] * size, static_cast<size_t>(size) * 4);
    return;
  }
  Real* out = static_cast<Real*>(destination);
  if (column.kind == Resident::Column::Kind::float32) {
    const float* source = static_cast<const float*>(column.memory.data());
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t i = 0; i < size; ++i)
        out[b * size + i] = static_cast<Real>(source[indices[b] * size + i] * column.scale);
    return;
  }
  Real scaled[256];
  for (int value = 0; value < 256; ++value) scaled[value] = static_cast<Real>(value * column.scale);
  const uint8_t* source = static_cast<const uint8_t*>(column.memory.data());
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t i = 0; i < size; ++i) out[b * size + i] = scaled[source[indices[b] * size + i]];
}

bool allFinite(const void* data, int64_t count, size_t realBytes) {
  for (int64_t i = 0; i < count; ++i)
    if (!std::isfinite(realBytes == 8 ? static_cast<const double*>(data)[i]
                                      : double(static_cast<const float*>(data)[i])))
      return false;
  return true;
}

/** Gathers the batch of a step into the plan's first inputs. */
void gatherBatch(const RunRequest& request, int64_t step, size_t realBytes) {
  if (!request.resident) return;
  const Resident& resident = *request.resident;
  int64_t batch = static_cast<int64_t>(request.indices.size()) / request.steps;
  const int32_t* indices = request.indices.data() + step * batch;
  for (size_t c = 0; c < resident.columns.size(); ++c) {
    auto gatherAs = realBytes == 8 ? gatherColumn<double> : gatherColumn<float>;
    gatherAs(resident.columns[c], indices, batch, request.inputs[c].data());
  }
}

bool guardsFinite(const Plan& plan, const Runner& runner, size_t realBytes) {
  for (const Output& guard : plan.guards())
    if (!allFinite(runner.pointer(guard.place), guard.type.shape.count(), realBytes)) return false;
  return true;
}

}  // namespace

RunResult Session::run(const Plan& plan, RunRequest& request, const std::atomic<bool>& cancelled) {
  std::lock_guard<std::mutex> lock(mutex_);
  reserve(plan);
  DeviceScope scope(device_);
  RunState state{{request.key[0], request.key[1]}, request.firstStep, 0};
  std::vector<void*> inputs;
  for (const Memory& input : request.inputs) inputs.push_back(input.data());
  Runner runner(plan, inputs, device_, scope.parallel(), state, workspace_.data(), tape_.data());
  const std::vector<const Slot*> slots = recorded(request);
  const auto records = static_cast<size_t>(request.recordEvery > 0 ? request.steps / request.recordEvery : 0);
  double bytes = 0;
  for (const Output& output : plan.outputs()) bytes += double(request.steps) * double(store_.bytesOf(output.type));
  for (const Slot* slot : slots) bytes += double(records) * double(store_.bytesOf(slot->type));
  expectMemory(2 * bytes);  // here, and in the arrays that the caller gets

  RunResult result;
  result.outputs.resize(plan.outputs().size());
  result.recorded.resize(slots.size());
  for (size_t i = 0; i < plan.outputs().size(); ++i)
    result.outputs[i].reserve(static_cast<size_t>(request.steps) * store_.bytesOf(plan.outputs()[i].type));
  for (size_t i = 0; i < slots.size(); ++i) result.recorded[i].reserve(records * store_.bytesOf(slots[i]->type));
  auto start = std::chrono::steady_clock::now();
  for (int64_t step = 0; step < request.steps && !cancelled.load(std::memory_order_relaxed); ++step) {
    gatherBatch(request, step, device_.realBytes);
    state.step = request.firstStep + static_cast<uint32_t>(step);
    state.rate = request.rates.empty() ? 0 : request.rates[static_cast<size_t>(step)];
    runner.take();
    if (plan.writesStore() && !guardsFinite(plan, runner, device_.realBytes)) {
      result.numericStep = step;
      break;
    }
    for (size_t i = 0; i < plan.outputs().size(); ++i) {
      const std::byte* from = static_cast<const std::byte*>(runner.pointer(plan.outputs()[i].place));
      result.outputs[i].insert(result.outputs[i].end(), from, from + store_.bytesOf(plan.outputs()[i].type));
    }
    ++result.steps;
    if (request.recordEvery > 0 && result.steps % request.recordEvery == 0)
      for (size_t i = 0; i < slots.size(); ++i) {
        size_t bytes = store_.bytesOf(slots[i]->type);
        result.recorded[i].resize(result.recorded[i].size() + bytes);
        slots[i]->read(bytes, result.recorded[i].data() + result.recorded[i].size() - bytes);
      }
  }
  result.milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace pushforward
