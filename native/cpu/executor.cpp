#include "cpu/executor.h"

#include <cmath>
#include <cstring>

#include "core/runner.h"

namespace pushforward::cpu {

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

class HostExecutor : public Executor {
 public:
  explicit HostExecutor(const Device& device) : device_(device) {}

  void run(const Run& run, RunResult& result) override {
    const RunRequest& request = run.request;
    const Plan& plan = run.plan;
    DeviceScope scope(device_);
    RunState state{{request.key[0], request.key[1]}, request.firstStep, 0, 0};
    std::vector<void*> inputs;
    for (const Memory& input : request.inputs) inputs.push_back(input.data());
    Runner runner(plan, inputs, device_, scope.parallel(), &state, run.workspace, run.tape);
    const auto merge = [&] {
      if (state.kept > 0) runner.merge();
      state.kept = 0;
    };
    for (int64_t step = 0; step < request.steps && !run.cancelled.load(std::memory_order_relaxed); ++step) {
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
        result.outputs[i].insert(result.outputs[i].end(), from, from + run.store.bytesOf(plan.outputs()[i].type));
      }
      ++result.steps;
      const bool records = request.recordEvery > 0 && result.steps % request.recordEvery == 0;
      if (plan.keptSteps() > 1) ++state.kept;
      // By the step's number, so that the runs that steps are taken in change no bit.
      if (records || (state.step + 1) % static_cast<uint32_t>(plan.keptSteps()) == 0) merge();
      for (size_t i = 0; records && i < run.recorded.size(); ++i)
        record(*run.recorded[i], run.store, result.recorded[i]);
    }
    merge();
  }

 private:
  const Device& device_;
};

}  // namespace

std::unique_ptr<Executor> makeExecutor(const Device& device) { return std::make_unique<HostExecutor>(device); }

}  // namespace pushforward::cpu
