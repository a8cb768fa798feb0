#include "driver.h"

#include <algorithm>
#include <atomic>

#include "leaks.h"

namespace softcuda::driver {

namespace {

std::atomic<bool> made{false};

}  // namespace

Driver& Driver::get() {
  static Driver& driver = *new Driver();  // outlives every destructor of the process
  made = true;
  return driver;
}

bool Driver::exists() { return made; }

Driver::Driver() {
  // Seeds one apart would begin alike.
  const uint64_t seed = Settings::get().seed;
  std::seed_seq mixed{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  random.seed(mixed);
  for (int i = 0; i < Settings::get().devices; ++i) devices.push_back(std::make_unique<Device>(Settings::get().memory));
  primary.resize(devices.size());
}

std::vector<CUcontext>& contextStack() {
  thread_local std::vector<CUcontext> stack;
  return stack;
}

Context& Driver::current() const {
  if (contextStack().empty() || !contextStack().back())
    throw Error{CUDA_ERROR_INVALID_CONTEXT, "this thread has no current context"};
  const auto context = contexts.find(contextStack().back());
  if (!context) throw Error{CUDA_ERROR_CONTEXT_IS_DESTROYED, "the current context has been released"};
  return *context;
}

std::shared_ptr<Stream> Driver::stream(CUstream handle) const {
  switch (reinterpret_cast<uintptr_t>(handle)) {
    case 0:
    case 1:
      return current().defaultStream;
    case 2:
      throw Error{CUDA_ERROR_NOT_SUPPORTED, "softcuda has no per-thread default stream"};
    default:
      return streams.get(handle);
  }
}

void destroy(const std::shared_ptr<Context>& context) {
  Driver& driver = Driver::get();
  const auto found = leaksOf(*context);
  driver.leaks.insert(driver.leaks.end(), found.begin(), found.end());
  const auto inside = [&](const auto& object) { return &object.context == context.get(); };
  driver.functions.removeIf(inside);
  for (const auto& [handle, module] : driver.modules.all())
    if (inside(*module))
      for (const uint64_t address : module->allocations) context->device.memory.free(address);
  driver.modules.removeIf(inside);
  driver.events.removeIf(inside);
  driver.streams.removeIf(inside);
  auto& captures = driver.captures;
  captures.erase(
      std::remove_if(captures.begin(), captures.end(), [&](const auto& one) { return inside(*one->origin); }),
      captures.end());
  for (const uint64_t address : context->allocations) context->device.memory.free(address);
  driver.contexts.remove(context->handle);
}

void requireUsable(const Stream& stream) {
  if (!stream.legacy) return;
  bool refused = false;
  for (const auto& capture : Driver::get().captures)
    for (const auto& one : capture->streams)
      if (one->blocking && &one->context == &stream.context) {
        invalidate(*capture);
        refused = true;
      }
  if (refused) throw Error{CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "a blocking stream is capturing"};
}

std::vector<OperationPointer> predecessors(const Stream& stream) {
  std::vector<OperationPointer> after{stream.last};
  if (stream.blocking) after.push_back(stream.context.defaultStream->last);
  if (!stream.legacy) return after;
  for (const auto& other : stream.context.streams)
    if (other->blocking) after.push_back(other->last);
  for (const auto& orphan : stream.context.orphans) after.push_back(orphan);
  stream.context.orphans.clear();
  return after;
}

void enqueue(const std::shared_ptr<Stream>& stream, Work work) {
  if (const int fault = stream->context.queue.fault())
    throw Error{static_cast<Result>(fault), "the context has failed"};
  requireUsable(*stream);
  auto shared = std::make_shared<const Work>(std::move(work));
  if (!stream->capture) {
    stream->last = stream->context.queue.submit(std::move(shared), predecessors(*stream));
    return;
  }
  Capture& capture = *stream->capture;
  if (capture.invalid) throw Error{CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "an earlier call spoilt this capture"};
  capture.nodes.push_back({std::move(shared), {stream->tips.begin(), stream->tips.end()}});
  stream->tips = {capture.nodes.size() - 1};
}

void invalidate(Capture& capture) { capture.invalid = true; }

void waitFor(Context& context, const OperationPointer& target) {
  context.queue.waitFor(target);
  if (const int fault = context.queue.fault()) throw Error{static_cast<Result>(fault), "the context has failed"};
}

void waitForAll(Context& context) {
  context.queue.waitForAll();
  if (const int fault = context.queue.fault()) throw Error{static_cast<Result>(fault), "the context has failed"};
}

}  // namespace softcuda::driver
