#include "cuda/captured.h"

#include <algorithm>

#include "core/runner.h"
#include "cuda/launch.h"

namespace pushforward::cuda {

namespace {

constexpr uint32_t threads = 256;
constexpr int64_t mostBlocks = 1024;

/** Launches a kernel of step.cu, for `count` elements. */
template <class Arguments>
void around(const KernelCall& call, const char* kernel, int64_t count, const Arguments& arguments) {
  const uint32_t blocks = static_cast<uint32_t>(std::clamp<int64_t>((count + threads - 1) / threads, 1, mostBlocks));
  launch(call, {kernel, {blocks, 1, 1}, threads, 0}, arguments);
}

int64_t wordsOf(const Output& output) { return output.type.shape.count(); }

void gather(const KernelCall& call, const Plan& plan, const Binding& binding, const std::vector<void*>& inputs) {
  for (size_t c = 0; c < binding.columns; ++c) {
    const int64_t count = plan.inputs()[c].shape.count();
    if (count == 0) continue;
    around(call, "gather_batch_kernel", count,
           BatchArguments{binding.table, binding.state, inputs[c], count, static_cast<int32_t>(c)});
  }
}

void recordOutputs(const KernelCall& call, const Plan& plan, const Binding& binding, const Runner& runner) {
  int64_t offset = 0, rowWords = 0;
  for (const Output& output : plan.outputs()) rowWords += wordsOf(output);
  for (const Output& output : plan.outputs()) {
    const int64_t words = wordsOf(output);
    if (words == 0) continue;
    around(call, "record_output_kernel", words,
           RecordOutputArguments{binding.table, binding.state,
                                 static_cast<const uint32_t*>(runner.pointer(output.place)), words, offset, rowWords});
    offset += words;
  }
}

void endStep(const KernelCall& call, const Plan& plan, const Binding& binding, const Runner& runner) {
  EndStepArguments end{};
  end.state = binding.state;
  const size_t guards = plan.writesStore() ? plan.guards().size() : 0;
  for (size_t g = 0; g < guards; ++g) {
    if (end.guards == maxStepGuards) {
      launch(call, {"end_step_kernel", {1, 1, 1}, threads, 0}, end);
      end.guards = 0;
    }
    const Output& guard = plan.guards()[g];
    end.at[end.guards] = static_cast<const float*>(runner.pointer(guard.place));
    end.count[end.guards++] = guard.type.shape.count();
  }
  end.last = 1;
  launch(call, {"end_step_kernel", {1, 1, 1}, threads, 0}, end);
}

/** Ends one that came to nothing. */
void endCapture(Context& context, Stream stream) noexcept {
  Graph graph = nullptr;
  context.tidy(context.api.cuStreamEndCapture, stream, &graph);
  if (graph) context.tidy(context.api.cuGraphDestroy, graph);
}

}  // namespace

std::vector<size_t> inputBytes(const Plan& plan) {
  std::vector<size_t> bytes;
  for (const Type& type : plan.inputs()) bytes.push_back(static_cast<size_t>(type.shape.count()) * sizeof(float));
  return bytes;
}

void takeStep(const Plan& plan, const Device& device, const Binding& binding, Queue& queue) {
  std::vector<void*> inputs;
  size_t offset = 0;
  for (size_t bytes : inputBytes(plan)) {
    inputs.push_back(static_cast<std::byte*>(binding.inputs) + offset);
    offset += aligned(bytes);
  }
  const Parallel parallel = parallelOf(queue);
  const auto* state = reinterpret_cast<const RunState*>(binding.state);
  const KernelCall call{nullptr, nullptr, nullptr, state, &parallel};
  Runner runner(plan, inputs, device, parallel, state, binding.workspace, binding.tape);
  launch(call, {"begin_step_kernel", {1, 1, 1}, 1, 0}, BeginStepArguments{binding.table, binding.state});
  gather(call, plan, binding, inputs);
  runner.take();
  recordOutputs(call, plan, binding, runner);
  endStep(call, plan, binding, runner);
}

Captured::Captured(std::shared_ptr<Context> owner, const Plan& plan, const Device& device, const Binding& bound,
                   Stream stream)
    : context(std::move(owner)), binding(bound) {
  const Driver& api = context->api;
  Graph graph = nullptr;
  context->call(api.cuStreamBeginCapture, stream, captureOfThread);
  try {
    Queue queue{*context, stream, false};
    takeStep(plan, device, binding, queue);
  } catch (...) {
    endCapture(*context, stream);
    throw;
  }
  const Result ended = api.cuStreamEndCapture.function(stream, &graph);
  if (ended != success) {
    endCapture(*context, stream);  // or the stream would take nothing but captures from now on
    context->failed("cuStreamEndCapture", "", ended);
  }
  const Result result = api.cuGraphInstantiateWithFlags.function(&exec, graph, 0);
  context->tidy(api.cuGraphDestroy, graph);
  if (result != success) context->failed("cuGraphInstantiateWithFlags", "", result);
}

Captured::~Captured() {
  if (Finally current(*context); current && exec) context->tidy(context->api.cuGraphExecDestroy, exec);
}

}  // namespace pushforward::cuda
