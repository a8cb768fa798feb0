#include "core/session.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "core/error.h"

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

/** One run: the places of the plan as pointers, then the list of kernel calls again and again. */
class Runner {
 public:
  Runner(const Plan& plan, RunRequest& request, const Device& device, const Parallel& parallel, void* workspace, void* tape)
      : plan_(plan),
        request_(request),
        device_(device),
        workspace_(workspace),
        tape_(tape),
        parallel_(parallel) {
    for (const Step& step : plan.steps()) {
      calls_.push_back({step.parameters.data(), nullptr, at(workspace_, step.scratch), &state_, &parallel_});
      for (const Place& place : step.operands) operands_.push_back(resolve(place));
    }
    size_t first = 0;
    for (size_t i = 0; i < calls_.size(); ++i) {
      calls_[i].operands = operands_.data() + first;
      first += plan.steps()[i].operands.size();
    }
    state_.key[0] = request.key[0];
    state_.key[1] = request.key[1];
  }

  void gather(int64_t step) {
    if (!request_.resident) return;
    const Resident& resident = *request_.resident;
    int64_t batch = static_cast<int64_t>(request_.indices.size()) / request_.steps;
    const int32_t* indices = request_.indices.data() + step * batch;
    for (size_t c = 0; c < resident.columns.size(); ++c) {
      auto gatherAs = device_.realBytes == 8 ? gatherColumn<double> : gatherColumn<float>;
      gatherAs(resident.columns[c], indices, batch, request_.inputs[c].data());
    }
  }

  void take(int64_t step) {
    state_.step = request_.firstStep + static_cast<uint32_t>(step);
    state_.rate = request_.rates.empty() ? 0 : request_.rates[static_cast<size_t>(step)];
    for (size_t i = 0; i < calls_.size(); ++i) plan_.steps()[i].kernel->function(calls_[i]);
  }

  bool finite() const {
    for (const Output& guard : plan_.guards())
      if (!allFinite(resolve(guard.place), guard.type.shape.count(), device_.realBytes)) return false;
    return true;
  }

  void copyOut(const Output& output, size_t bytes, std::vector<std::byte>& to) const {
    const std::byte* from = static_cast<const std::byte*>(resolve(output.place));
    to.insert(to.end(), from, from + bytes);
  }

 private:
  static void* at(void* base, size_t offset) { return static_cast<std::byte*>(base) + offset; }
  void* resolve(const Place& place) const {
    switch (place.kind) {
      case Place::Kind::absent:
        return nullptr;
      case Place::Kind::fixed:
        return place.pointer;
      case Place::Kind::workspace:
        return at(workspace_, place.offset);
      case Place::Kind::tape:
        return at(tape_, place.offset);
      case Place::Kind::input:
        return request_.inputs[place.offset].data();
    }
    return nullptr;
  }

  const Plan& plan_;
  RunRequest& request_;
  const Device& device_;
  void* workspace_;
  void* tape_;
  const Parallel& parallel_;
  RunState state_{};
  std::vector<void*> operands_;
  std::vector<KernelCall> calls_;
};

}  // namespace

RunResult Session::run(const Plan& plan, RunRequest& request, const std::atomic<bool>& cancelled) {
  std::lock_guard<std::mutex> lock(mutex_);
  reserve(plan);
  DeviceScope scope(device_);
  Runner runner(plan, request, device_, scope.parallel(), workspace_.data(), tape_.data());
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
    runner.gather(step);
    runner.take(step);
    if (plan.writesStore() && !runner.finite()) {
      result.numericStep = step;
      break;
    }
    for (size_t i = 0; i < plan.outputs().size(); ++i)
      runner.copyOut(plan.outputs()[i], store_.bytesOf(plan.outputs()[i].type), result.outputs[i]);
    ++result.steps;
    if (request.recordEvery > 0 && result.steps % request.recordEvery == 0)
      for (size_t i = 0; i < slots.size(); ++i) {
        const std::byte* from = static_cast<const std::byte*>(slots[i]->memory.data());
        result.recorded[i].insert(result.recorded[i].end(), from, from + store_.bytesOf(slots[i]->type));
      }
  }
  result.milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace pushforward
