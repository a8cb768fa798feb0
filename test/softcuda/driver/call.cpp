#include "call.h"

#include <new>

#include "sentences.h"

namespace softcuda::driver {

namespace {

/** What each call plausibly fails with when it is made to. */
struct {
  const char* call;
  int code;
} constexpr plausible[] = {
    {"cuInit", CUDA_ERROR_NO_DEVICE},
    {"cuDevicePrimaryCtxRetain", CUDA_ERROR_OUT_OF_MEMORY},
    {"cuStreamCreate", CUDA_ERROR_OUT_OF_MEMORY},
    {"cuEventCreate", CUDA_ERROR_OUT_OF_MEMORY},
    {"cuMemAlloc", CUDA_ERROR_OUT_OF_MEMORY},
    {"cuMemAllocHost", CUDA_ERROR_OUT_OF_MEMORY},
    {"cuMemHostAlloc", CUDA_ERROR_OUT_OF_MEMORY},
    {"cuGraphInstantiateWithFlags", CUDA_ERROR_OUT_OF_MEMORY},
    {"cuModuleLoadData", CUDA_ERROR_NO_BINARY_FOR_GPU},
    {"cuModuleLoadDataEx", CUDA_ERROR_NO_BINARY_FOR_GPU},
    {"cuModuleGetFunction", CUDA_ERROR_NOT_FOUND},
    {"cuModuleGetGlobal", CUDA_ERROR_NOT_FOUND},
    {"cuStreamBeginCapture", CUDA_ERROR_ILLEGAL_STATE},
    {"cuStreamEndCapture", CUDA_ERROR_STREAM_CAPTURE_INVALIDATED},
    {"cuLaunchKernel", CUDA_ERROR_LAUNCH_FAILED},
    {"cuGraphLaunch", CUDA_ERROR_LAUNCH_FAILED},
    {"cuStreamSynchronize", CUDA_ERROR_ILLEGAL_ADDRESS},
    {"cuCtxSynchronize", CUDA_ERROR_ILLEGAL_ADDRESS},
    {"cuEventSynchronize", CUDA_ERROR_ILLEGAL_ADDRESS},
    {"cuMemcpyHtoD", CUDA_ERROR_ILLEGAL_ADDRESS},
    {"cuMemcpyDtoH", CUDA_ERROR_ILLEGAL_ADDRESS},
    {"cuMemcpyHtoDAsync", CUDA_ERROR_INVALID_VALUE},
    {"cuMemcpyDtoHAsync", CUDA_ERROR_INVALID_VALUE},
    {"cuMemcpyDtoDAsync", CUDA_ERROR_INVALID_VALUE},
    {"cuMemsetD8Async", CUDA_ERROR_INVALID_VALUE},
    {"cuMemsetD32Async", CUDA_ERROR_INVALID_VALUE},
};

int plausibleCode(const std::string& call) {
  for (const auto& row : plausible)
    if (call == row.call) return row.code;
  return CUDA_ERROR_UNKNOWN;
}

std::string plainName(const std::string& name) {
  const size_t end = name.rfind("_v2");
  return end == std::string::npos ? name : name.substr(0, end);
}

/** The calling thread's context, null where it has none. */
Context* currentOrNull(const Driver& driver) {
  return contextStack().empty() ? nullptr : driver.contexts.find(contextStack().back()).get();
}

}  // namespace

CUresult Call::run(const std::function<void()>& body) {
  const std::lock_guard<std::mutex> lock(Driver::get().mutex);
  const CUresult code = result(body);
  const std::string& trace = Settings::get().traceFile;
  if (!trace.empty())
    append(trace,
           std::string(name_) + "(" + text_ + ") = " + errorName(code) + (reason_.empty() ? "" : ": " + reason_));
  return code;
}

CUresult Call::result(const std::function<void()>& body) {
  Driver& driver = Driver::get();
  try {
    if (const int code = injected()) throw Error{static_cast<Result>(code), "SOFTCUDA_FAULT"};
    if ((needs_ & kInitialised) && !driver.initialised) throw Error{CUDA_ERROR_NOT_INITIALIZED, "no cuInit"};
    if (needs_ & kUnsafe) refuseInCapture();
    if ((needs_ & kContext) == kContext) {
      const int fault = driver.current().queue.fault();
      if (fault && (needs_ & kRelease)) body();
      if (fault) throw Error{static_cast<Result>(fault), "the context has failed"};
    }
    body();
  } catch (const Error& error) {
    reason_ = error.reason;
    return error.code;
  } catch (const std::bad_alloc&) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    say(std::string(name_) + " failed inside: " + error.what());
    return CUDA_ERROR_UNKNOWN;
  }
  return CUDA_SUCCESS;
}

int Call::injected() {
  Driver& driver = Driver::get();
  const std::string plain = plainName(name_);
  const uint64_t count = ++driver.calls[plain];
  for (const InjectedFault& fault : Settings::get().faults) {
    if (fault.call != plain || fault.count != count) continue;
    const int code = fault.code < 0 ? plausibleCode(plain) : fault.code;
    Context* context = currentOrNull(driver);
    if (context && sticky(code)) context->queue.setFault(code);
    return code;
  }
  return 0;
}

void Call::refuseInCapture() {
  const auto self = std::this_thread::get_id();
  bool refused = false;
  for (const auto& capture : Driver::get().captures) {
    const bool own = capture->thread == self;
    if (own ? capture->mode == CU_STREAM_CAPTURE_MODE_RELAXED : capture->mode != CU_STREAM_CAPTURE_MODE_GLOBAL)
      continue;
    invalidate(*capture);
    refused = true;
  }
  if (refused) throw Error{CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "a stream is capturing"};
}

}  // namespace softcuda::driver
