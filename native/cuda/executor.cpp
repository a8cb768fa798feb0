#include "cuda/executor.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "cuda/captured.h"
#include "cuda/staging.h"

namespace pushforward::cuda {

namespace {

// A run is taken in pieces whose tables and results fit these; a piece ends with a wait of the host.
constexpr size_t mostTableBytes = size_t{64} << 20, mostResultBytes = size_t{16} << 20;
constexpr int64_t pace = 16;  // at most two times as many steps are in flight

/** In device memory for the life of the executor, so that graphs can point to it. */
struct Control {
  StepState state;
  RunTable table;
};

bool waitsForKernels() {
  const char* flag = std::getenv("PUSHFORWARD_CUDA_SYNC");
  return flag && std::strcmp(flag, "1") == 0;
}

/** Host memory filled piece by piece, each aligned, to be uploaded at once. */
class Tables {
 public:
  /** Where it begins. */
  size_t append(const void* data, size_t bytes) {
    const size_t offset = bytes_.size();
    const auto* from = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), from, from + bytes);
    bytes_.resize(aligned(bytes_.size()));
    return offset;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

std::vector<BatchColumn> columnsOf(const RunRequest& request) {
  std::vector<BatchColumn> columns;
  if (!request.resident) return columns;
  using Kind = Resident::Column::Kind;
  for (const Resident::Column& column : request.resident->columns)
    columns.push_back({column.memory.data(), column.scale,
                       column.kind == Kind::bytes     ? columnOfBytes
                       : column.kind == Kind::float32 ? columnOfFloat32
                                                      : columnOfInt32});
  return columns;
}

class GpuExecutor : public Executor {
 public:
  explicit GpuExecutor(const Device& device)
      : device_(device),
        context_(std::static_pointer_cast<Context>(device.space)),
        stream_(context_),
        ended_(context_),
        paced_{Owned<Event>(context_), Owned<Event>(context_)},
        control_(sizeof(Control), false, context_),
        seen_(context_, 2 * sizeof(StepState)),
        staging_(std::make_shared<Staging>(context_)),
        bytes_(control_.bytes()) {}

  // Every kernel that the plan launches is there, with as much shared memory as it wants: its steps are taken with no stream.
  void check(const Plan& plan) override {
    Current current(*context_);
    Queue queue{*context_, nullptr, false};
    void* somewhere = reinterpret_cast<void*>(alignment);
    takeStep(plan, device_, {somewhere, somewhere, somewhere, plan.inputs().size(), state(), table()}, queue);
  }

  std::shared_ptr<Staged> stage(const Plan& plan, const std::vector<Memory>& inputs) override {
    return staging_->stage(inputs, inputBytes(plan));
  }

  size_t bytes() const override { return bytes_ + staging_->bytes(); }

  void run(const Run& run, RunResult& result) override {
    Current current(*context_);
    try {
      runPieces(run, result);
    } catch (...) {
      context_->tidy(context_->api.cuStreamSynchronize,
                     stream_.get());  // nothing that is in flight may outlive its memory
      throw;
    }
  }

 private:
  StepState* state() const { return &static_cast<Control*>(control_.data())->state; }
  RunTable* table() const { return &static_cast<Control*>(control_.data())->table; }

  void runPieces(const Run& run, RunResult& result) {
    const RunRequest& request = run.request;
    const std::vector<BatchColumn> columns = columnsOf(request);
    const Binding binding{run.inputs, run.workspace, run.tape, columns.size(), state(), table()};
    feed(run, columns.size());
    StepState now{{{request.key[0], request.key[1]}, request.firstStep, 0, 0}, 0, 0};
    context_->upload(state(), &now, sizeof now);
    const int64_t most = rowsOfPiece(run);
    while (result.steps < request.steps) {
      int64_t rows = std::min(most, request.steps - result.steps);
      if (request.recordEvery > 0) rows = std::min(rows, request.recordEvery - result.steps % request.recordEvery);
      writeTable(run, columns, result.steps, rows);
      const int64_t launched = launchSteps(run, binding, rows);
      now = wait();
      takeResults(run, now.index - result.steps, result);
      result.steps = now.index;
      if (now.stopped) result.numericStep = now.index;
      if (now.stopped || launched < rows) return;
      if (request.recordEvery > 0 && result.steps % request.recordEvery == 0)
        for (size_t i = 0; i < run.recorded.size(); ++i) record(*run.recorded[i], run.store, result.recorded[i]);
    }
  }

  /** The inputs that no resident set fills. */
  void feed(const Run& run, size_t filled) {
    if (run.request.staged) return staging_->take(*run.request.staged, stream_.get(), run.inputs);
    const std::vector<size_t> bytes = inputBytes(run.plan);
    size_t offset = 0;
    for (size_t i = 0; i < bytes.size(); ++i) {
      if (i >= filled && bytes[i])
        context_->upload(static_cast<std::byte*>(run.inputs) + offset, run.request.inputs[i].data(), bytes[i]);
      offset += aligned(bytes[i]);
    }
  }

  static size_t rowBytes(const Plan& plan) {
    size_t words = 0;
    for (const Output& output : plan.outputs()) words += static_cast<size_t>(output.type.shape.count());
    return words * sizeof(uint32_t);
  }

  static size_t batchOf(const RunRequest& request) {
    return request.indices.size() / static_cast<size_t>(request.steps);
  }

  static int64_t rowsOfPiece(const Run& run) {
    const size_t tables = mostTableBytes / (sizeof(double) + batchOf(run.request) * sizeof(int32_t));
    const size_t results = mostResultBytes / std::max<size_t>(1, rowBytes(run.plan));
    return static_cast<int64_t>(std::max<size_t>(1, std::min(tables, results)));
  }

  /** What steps `first` to `first` + `rows` read, and room for what they give. */
  void writeTable(const Run& run, const std::vector<BatchColumn>& columns, int64_t first, int64_t rows) {
    const RunRequest& request = run.request;
    const auto begin = static_cast<size_t>(first), count = static_cast<size_t>(rows), batch = batchOf(request);
    Tables tables;
    const size_t rates = tables.append(request.rates.empty() ? nullptr : request.rates.data() + begin,
                                       request.rates.empty() ? 0 : count * sizeof(double));
    const size_t indices = tables.append(request.indices.data() + begin * batch, count * batch * sizeof(int32_t));
    const size_t column = tables.append(columns.data(), columns.size() * sizeof(BatchColumn));
    const size_t results = tables.bytes().size(), needed = results + count * rowBytes(run.plan);
    if (tables_.bytes() < needed) {
      bytes_ -= tables_.bytes();
      tables_ = Memory();
      tables_ = Memory(needed, false, context_);
      bytes_ += tables_.bytes();
    }
    std::byte* base = static_cast<std::byte*>(tables_.data());
    if (results) tables_.write(tables.bytes().data(), results);
    const RunTable written{first,
                           request.firstStep,
                           static_cast<int64_t>(batch),
                           request.rates.empty() ? nullptr : reinterpret_cast<const double*>(base + rates),
                           reinterpret_cast<const int32_t*>(base + indices),
                           reinterpret_cast<const BatchColumn*>(base + column),
                           reinterpret_cast<uint32_t*>(base + results)};
    context_->upload(table(), &written, sizeof written);
    results_ = base + results;
  }

  /** How many were launched before the run was cancelled or seen to have stopped. */
  int64_t launchSteps(const Run& run, const Binding& binding, int64_t steps) {
    const Driver& api = context_->api;
    const bool waits = waitsForKernels();
    const Captured* captured = waits ? nullptr : &capturedOf(run.plan, binding);
    Queue queue{*context_, stream_.get(), true};
    for (int64_t step = 0; step < steps; ++step) {
      if (run.cancelled.load(std::memory_order_relaxed)) return step;
      if (waits)
        takeStep(run.plan, device_, binding, queue);
      else
        context_->call(api.cuGraphLaunch, captured->exec, stream_.get());
      if (step % pace == pace - 1 && !keepPace(step / pace)) return step + 1;
    }
    return steps;
  }

  /** Waits for the lap before the last; false when it had stopped by then. */
  bool keepPace(int64_t lap) {
    const Driver& api = context_->api;
    std::byte* seen = seen_.data() + lap % 2 * static_cast<int64_t>(sizeof(StepState));
    context_->call(api.cuMemcpyDtoHAsync, seen, addressOf(state()), sizeof(StepState), stream_.get());
    context_->call(api.cuEventRecord, paced_[lap % 2].get(), stream_.get());
    if (lap == 0) return true;
    const int64_t before = (lap - 1) % 2;
    context_->call(api.cuEventSynchronize, paced_[before].get());
    StepState state;
    std::memcpy(&state, seen_.data() + before * static_cast<int64_t>(sizeof(StepState)), sizeof state);
    return !state.stopped;
  }

  /** For all that is in flight; then the state. */
  StepState wait() {
    const Driver& api = context_->api;
    context_->call(api.cuMemcpyDtoHAsync, seen_.data(), addressOf(state()), sizeof(StepState), stream_.get());
    context_->call(api.cuEventRecord, ended_.get(), stream_.get());
    context_->call(api.cuEventSynchronize, ended_.get());
    StepState state;
    std::memcpy(&state, seen_.data(), sizeof state);
    return state;
  }

  const Captured& capturedOf(const Plan& plan, const Binding& binding) {
    auto known = std::static_pointer_cast<Captured>(plan.kept);
    if (!known || !(known->binding == binding)) {
      plan.kept.reset();
      known = std::make_shared<Captured>(context_, plan, device_, binding, stream_.get());
      plan.kept = known;
    }
    return *known;
  }

  void takeResults(const Run& run, int64_t rows, RunResult& result) {
    const size_t row = rowBytes(run.plan);
    if (rows == 0 || row == 0) return;
    std::vector<std::byte> bytes(static_cast<size_t>(rows) * row);
    context_->download(bytes.data(), results_, bytes.size());
    for (size_t at = 0; at < bytes.size();)
      for (size_t i = 0; i < result.outputs.size(); ++i) {
        const size_t size = run.store.bytesOf(run.plan.outputs()[i].type);
        result.outputs[i].insert(result.outputs[i].end(), bytes.data() + at, bytes.data() + at + size);
        at += size;
      }
  }

  const Device& device_;
  const std::shared_ptr<Context> context_;
  Owned<Stream> stream_;
  Owned<Event> ended_, paced_[2];
  Memory control_, tables_;
  const void* results_ = nullptr;  // in tables_
  Pinned seen_;
  const std::shared_ptr<Staging> staging_;
  std::atomic<size_t> bytes_;
};

}  // namespace

std::unique_ptr<Executor> makeExecutor(const Device& device) { return std::make_unique<GpuExecutor>(device); }

}  // namespace pushforward::cuda
