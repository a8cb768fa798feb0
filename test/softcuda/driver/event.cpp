// Events: a point in a stream that another stream or the host waits for, inside a capture an edge between nodes.
#include "call.h"

using namespace softcuda;
using namespace softcuda::driver;

namespace {

void requireNotCaptured(const Event& event) {
  if (!event.capture) return;
  invalidate(*event.capture);
  throw Error{CUDA_ERROR_CAPTURED_EVENT, "the event was last recorded in a capturing stream"};
}

void throwFault(const Context& context) {
  if (const int fault = context.queue.fault()) throw Error{static_cast<Result>(fault), "the context has failed"};
}

/** A stream waits for an event of a capture: it joins the capture, or its next node comes after one more. */
void waitCaptured(const std::shared_ptr<Stream>& stream, const Event& event) {
  const auto& capture = event.capture;
  if (capture->ended) throw Error{CUDA_ERROR_CAPTURED_EVENT, "the event was recorded in a capture that has ended"};
  if (capture->invalid) throw Error{CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "an earlier call spoilt this capture"};
  if (stream->legacy) {
    invalidate(*capture);
    throw Error{CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "the default stream cannot take part in a capture"};
  }
  if (stream->capture && stream->capture != capture) {
    invalidate(*capture);
    invalidate(*stream->capture);
    throw Error{CUDA_ERROR_STREAM_CAPTURE_MERGE, "the event belongs to another capture"};
  }
  if (!stream->capture) {
    stream->capture = capture;
    capture->streams.push_back(stream);
  }
  stream->tips.insert(event.tips.begin(), event.tips.end());
}

void elapsed(float* milliseconds, CUevent start, CUevent end) {
  if (!milliseconds) throw Error{CUDA_ERROR_INVALID_VALUE, "a null pointer"};
  const auto first = Driver::get().events.get(start), second = Driver::get().events.get(end);
  for (const auto& event : {first, second}) {
    requireNotCaptured(*event);
    if (event->flags & CU_EVENT_DISABLE_TIMING) throw Error{CUDA_ERROR_INVALID_HANDLE, "an event without timing"};
    if (!event->last) throw Error{CUDA_ERROR_INVALID_HANDLE, "an event that was never recorded"};
    if (!event->last->done) throw Error{CUDA_ERROR_NOT_READY, "an event that has not happened"};
  }
  *milliseconds = std::chrono::duration<float, std::milli>(second->time->value() - first->time->value()).count();
}

}  // namespace

CUresult cuEventCreate(CUevent* event, unsigned flags) {
  return Call(__func__, kContext, event, flags).run([&] {
    const unsigned known = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING;
    if (!event || (flags & ~known)) throw Error{CUDA_ERROR_INVALID_VALUE, "a null pointer or unknown flags"};
    Driver& driver = Driver::get();
    *event = driver.events.add(std::make_shared<Event>(Event{driver.current(), flags, {}, {}, {}, {}}));
  });
}

CUresult cuEventDestroy_v2(CUevent event) {
  return Call(__func__, kContext | kRelease, event).run([&] { Driver::get().events.remove(event); });
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
  return Call(__func__, kContext, event, stream).run([&] {
    const auto found = Driver::get().events.get(event);
    const auto on = Driver::get().stream(stream);
    if (&found->context != &on->context)
      throw Error{CUDA_ERROR_INVALID_HANDLE, "event and stream of different contexts"};
    if (on->capture) {
      if (on->capture->invalid)
        throw Error{CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "an earlier call spoilt this capture"};
      found->capture = on->capture;
      found->tips = on->tips;
      found->last = nullptr;
      return;
    }
    const auto time = std::make_shared<Time>();
    enqueue(on, RecordTime{time});
    found->capture = nullptr;
    found->tips.clear();
    found->time = time;
    found->last = on->last;
  });
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
  return Call(__func__, kContext, stream, event, flags).run([&] {
    if (flags) throw Error{CUDA_ERROR_INVALID_VALUE, "unknown flags"};
    const auto on = Driver::get().stream(stream);
    const auto found = Driver::get().events.get(event);
    if (found->capture) return waitCaptured(on, *found);
    if (!found->last) return;  // never recorded: nothing to wait for
    if (on->capture) {
      invalidate(*on->capture);
      throw Error{CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "the event was recorded outside the capture"};
    }
    requireUsable(*on);
    auto after = predecessors(*on);
    after.push_back(found->last);
    on->last = on->context.queue.submit(std::make_shared<const Work>(Join{}), after);
  });
}

CUresult cuEventSynchronize(CUevent event) {
  return Call(__func__, kContext, event).run([&] {
    const auto found = Driver::get().events.get(event);
    requireNotCaptured(*found);
    waitFor(found->context, found->last);
  });
}

CUresult cuEventQuery(CUevent event) {
  return Call(__func__, kContext | kUnsafe, event).run([&] {
    const auto found = Driver::get().events.get(event);
    requireNotCaptured(*found);
    found->context.queue.advance(found->last);
    throwFault(found->context);
    if (found->last && !found->last->done) throw Error{CUDA_ERROR_NOT_READY, ""};
  });
}

CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
  return Call(__func__, kContext, milliseconds, start, end).run([&] { elapsed(milliseconds, start, end); });
}

CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent start, CUevent end) {
  return cuEventElapsedTime(milliseconds, start, end);
}
