#include "core/runner.h"

namespace pushforward {

namespace {

void* at(void* base, size_t offset) { return static_cast<std::byte*>(base) + offset; }

}  // namespace

/** A loop step bound to memory: the carry goes back and forth between two sets of buffers. */
struct Runner::LoopRun {
  const Loop& loop;
  void* const* operands;  // of the step: the node's inputs, then its outputs
  std::vector<size_t>
      bytes;  // of each carry, each element of a sequence, each constant; then of each output of the body
  std::vector<void*> carry[2];
  std::unique_ptr<Runner> body;
};

Runner::Runner(const Plan& plan, std::vector<void*> inputs, const Device& device, const Parallel& parallel,
               const RunState* state, void* workspace, void* tape)
    : plan_(plan),
      inputs_(std::move(inputs)),
      device_(device),
      state_(state),
      parallel_(parallel),
      workspace_(workspace),
      tape_(tape),
      operandsOfInput_(inputs_.size()) {
  std::vector<size_t> first;
  for (const std::vector<Step>* steps : {&plan.steps(), &plan.merges()})
    for (const Step& step : *steps) {
      first.push_back(operands_.size());
      for (const Place& place : step.operands) {
        if (place.kind == Place::Kind::input) operandsOfInput_[place.offset].push_back(operands_.size());
        operands_.push_back(pointer(place));
      }
    }
  for (size_t i = 0; i < plan.merges().size(); ++i)
    merges_.push_back({plan.merges()[i].parameters.data(), operands_.data() + first[plan.steps().size() + i], nullptr,
                       state_, &parallel});
  for (size_t s = 0; s < plan.steps().size(); ++s) {
    const Step& step = plan.steps()[s];
    void* scratch = at(workspace_, step.scratch);
    calls_.push_back({step.parameters.data(), operands_.data() + first[s], scratch, state_, &parallel});
    loops_.emplace_back();
    if (!step.loop) continue;
    auto run = std::make_unique<LoopRun>(LoopRun{*step.loop, operands_.data() + first[s], {}, {}, nullptr});
    const Plan& body = *step.loop->body;
    auto bytesOf = [&](const Type& type) {
      return static_cast<size_t>(type.shape.count()) *
             (type.dtype == DType::int32 ? sizeof(int32_t) : device.realBytes);
    };
    for (const Type& type : body.inputs()) run->bytes.push_back(bytesOf(type));
    for (const Output& output : body.outputs()) run->bytes.push_back(bytesOf(output.type));
    size_t offset = aligned(body.workspaceBytes()) + aligned(body.tapeBytes());
    for (auto& set : run->carry)
      for (int c = 0; c < step.loop->carries; ++c) {
        set.push_back(at(scratch, offset));
        offset += aligned(run->bytes[static_cast<size_t>(c)]);
      }
    run->body = std::make_unique<Runner>(body, std::vector<void*>(body.inputs().size(), nullptr), device, parallel,
                                         state, scratch, at(scratch, aligned(body.workspaceBytes())));
    loops_.back() = std::move(run);
  }
}

Runner::~Runner() = default;

void* Runner::pointer(const Place& place) const {
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
      return inputs_[place.offset];
  }
  return nullptr;
}

void Runner::setInput(size_t input, void* pointer) {
  inputs_[input] = pointer;
  for (size_t operand : operandsOfInput_[input]) operands_[operand] = pointer;
}

void Runner::take() {
  for (size_t i = 0; i < calls_.size(); ++i) {
    if (loops_[i])
      takeLoop(*loops_[i]);
    else
      plan_.steps()[i].kernel->function(calls_[i]);
  }
}

void Runner::merge() {
  for (size_t i = 0; i < merges_.size(); ++i) plan_.merges()[i].kernel->function(merges_[i]);
}

void Runner::takeLoop(LoopRun& run) {
  const Loop& loop = run.loop;
  Runner& body = *run.body;
  const auto carries = static_cast<size_t>(loop.carries), sequences = static_cast<size_t>(loop.sequences);
  const size_t inputs = body.inputs_.size(), outputs = loop.body->outputs().size();
  for (size_t c = 0; c < carries; ++c) device_.copy(parallel_, run.carry[0][c], run.operands[c], run.bytes[c]);
  for (size_t i = carries + sequences; i < inputs; ++i) body.setInput(i, run.operands[i]);
  for (int64_t trip = 0; trip < loop.trips; ++trip) {
    const auto t = static_cast<size_t>(loop.reverse ? loop.trips - 1 - trip : trip);
    const auto &from = run.carry[trip % 2], &to = run.carry[(trip + 1) % 2];
    for (size_t c = 0; c < carries; ++c) body.setInput(c, from[c]);
    for (size_t s = carries; s < carries + sequences; ++s) body.setInput(s, at(run.operands[s], t * run.bytes[s]));
    body.take();
    for (size_t o = 0; o < outputs; ++o) {
      const size_t bytes = run.bytes[inputs + o];
      void* target = o < carries ? to[o] : at(run.operands[inputs + o], t * bytes);
      device_.copy(parallel_, target, body.pointer(loop.body->outputs()[o].place), bytes);
    }
  }
  const auto& last = run.carry[loop.trips % 2];
  for (size_t c = 0; c < carries; ++c) device_.copy(parallel_, run.operands[inputs + c], last[c], run.bytes[c]);
}

}  // namespace pushforward
