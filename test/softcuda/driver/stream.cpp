// Streams: their life, waiting for them.
#include <algorithm>

#include "call.h"

using namespace softcuda;
using namespace softcuda::driver;

namespace {

/** A capturing stream has no execution to wait for: asking spoils the capture. */
void requireNotCapturing(const Stream& stream) {
  requireUsable(stream);
  if (!stream.capture) return;
  invalidate(*stream.capture);
  throw Error{CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the stream is capturing"};
}

/** What there is to wait for: on the default stream that includes the blocking ones. */
OperationPointer end(const std::shared_ptr<Stream>& stream) {
  if (stream->legacy) enqueue(stream, Join{});
  return stream->last;
}

}  // namespace

CUresult cuStreamCreate(CUstream* stream, unsigned flags) {
  return Call(__func__, kContext, stream, flags).run([&] {
    if (!stream || flags > CU_STREAM_NON_BLOCKING)
      throw Error{CUDA_ERROR_INVALID_VALUE, "a null pointer or unknown flags"};
    Driver& driver = Driver::get();
    Context& context = driver.current();
    const bool blocking = flags == CU_STREAM_DEFAULT;
    const auto created = std::make_shared<Stream>(Stream{context, blocking, false, {}, {}, {}});
    context.streams.push_back(created);
    *stream = driver.streams.add(created);
  });
}

CUresult cuStreamDestroy_v2(CUstream stream) {
  return Call(__func__, kContext | kRelease, stream).run([&] {
    const auto removed = Driver::get().streams.remove(stream);
    if (removed->capture) invalidate(*removed->capture);
    auto& streams = removed->context.streams;
    streams.erase(std::remove(streams.begin(), streams.end(), removed), streams.end());
    if (removed->blocking) removed->context.orphans.push_back(removed->last);  // its work still runs
  });
}

CUresult cuStreamSynchronize(CUstream stream) {
  return Call(__func__, kContext, stream).run([&] {
    const auto found = Driver::get().stream(stream);
    requireNotCapturing(*found);
    waitFor(found->context, end(found));
  });
}

CUresult cuStreamQuery(CUstream stream) {
  return Call(__func__, kContext, stream).run([&] {
    const auto found = Driver::get().stream(stream);
    requireNotCapturing(*found);
    const OperationPointer target = end(found);
    found->context.queue.advance(target);
    if (const int fault = found->context.queue.fault())
      throw Error{static_cast<Result>(fault), "the context has failed"};
    if (target && !target->done) throw Error{CUDA_ERROR_NOT_READY, ""};
  });
}
