// Stream capture: work becomes nodes of a graph instead of running.
#include <algorithm>

#include "call.h"

using namespace softcuda;
using namespace softcuda::driver;

namespace {

/** Whether every node comes before the origin's next one: forked work that does not has not been joined. */
bool joined(const Capture& capture) {
  std::vector<bool> reached(capture.nodes.size());
  for (const size_t tip : capture.origin->tips) reached[tip] = true;
  for (size_t i = reached.size(); i-- > 0;)  // a node comes after nodes before it in the list
    if (reached[i])
      for (const size_t earlier : capture.nodes[i].after) reached[earlier] = true;
  return std::find(reached.begin(), reached.end(), false) == reached.end();
}

void end(const std::shared_ptr<Capture>& capture) {
  for (const auto& stream : capture->streams) {
    stream->capture = nullptr;
    stream->tips.clear();
  }
  capture->streams.clear();
  capture->ended = true;
  auto& captures = Driver::get().captures;
  captures.erase(std::remove(captures.begin(), captures.end(), capture), captures.end());
}

void begin(CUstream handle, int mode) {
  if (mode < CU_STREAM_CAPTURE_MODE_GLOBAL || mode > CU_STREAM_CAPTURE_MODE_RELAXED)
    throw Error{CUDA_ERROR_INVALID_VALUE, "unknown mode"};
  const auto stream = Driver::get().stream(handle);
  if (stream->legacy) throw Error{CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the default stream cannot be captured"};
  if (stream->capture) throw Error{CUDA_ERROR_ILLEGAL_STATE, "the stream is capturing already"};
  auto capture = std::make_shared<Capture>();
  capture->mode = mode;
  capture->thread = std::this_thread::get_id();
  capture->origin = stream.get();
  capture->streams.push_back(stream);
  stream->capture = capture;
  Driver::get().captures.push_back(capture);
}

std::shared_ptr<Graph> finish(const Stream& stream) {
  const auto capture = stream.capture;
  if (!capture) throw Error{CUDA_ERROR_ILLEGAL_STATE, "the stream is not capturing"};
  if (capture->origin != &stream) {
    invalidate(*capture);
    throw Error{CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "the capture began on another stream"};
  }
  if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED && capture->thread != std::this_thread::get_id()) {
    invalidate(*capture);
    throw Error{CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "the capture began in another thread"};
  }
  const bool complete = joined(*capture);
  end(capture);
  if (capture->invalid) throw Error{CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "an earlier call spoilt this capture"};
  if (!complete) throw Error{CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "forked work was not joined to the first stream"};
  auto graph = std::make_shared<Graph>();
  graph->nodes = capture->nodes;
  for (size_t i = 0; i < graph->nodes.size(); ++i) graph->handles.push_back(Registry<CUgraphNode, Node>::fresh());
  return graph;
}

}  // namespace

CUresult cuStreamBeginCapture_v2(CUstream stream, int mode) {
  return Call(__func__, kContext, stream, mode).run([&] { begin(stream, mode); });
}

CUresult cuStreamBeginCapture(CUstream stream) {
  return cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  return Call(__func__, kContext, stream, graph).run([&] {
    if (!graph) throw Error{CUDA_ERROR_INVALID_VALUE, "a null pointer"};
    *graph = nullptr;
    *graph = Driver::get().graphs.add(finish(*Driver::get().stream(stream)));
  });
}

CUresult cuStreamIsCapturing(CUstream stream, int* status) {
  return Call(__func__, kContext, stream, status).run([&] {
    if (!status) throw Error{CUDA_ERROR_INVALID_VALUE, "a null pointer"};
    const auto found = Driver::get().stream(stream);
    if (found->legacy)
      for (const auto& capture : Driver::get().captures)
        for (const auto& other : capture->streams)
          if (other->blocking && &other->context == &found->context)
            throw Error{CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "a blocking stream is capturing"};
    *status = !found->capture           ? CU_STREAM_CAPTURE_STATUS_NONE
              : found->capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                        : CU_STREAM_CAPTURE_STATUS_ACTIVE;
  });
}
