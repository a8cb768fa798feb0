// Primary contexts and the stack of current ones of each thread.
#include "call.h"

using namespace softcuda;
using namespace softcuda::driver;

namespace {

std::shared_ptr<Context>& primaryOf(CUdevice device) {
  Driver& driver = Driver::get();
  if (device < 0 || static_cast<size_t>(device) >= driver.primary.size())
    throw Error{CUDA_ERROR_INVALID_DEVICE, "no such device"};
  return driver.primary[static_cast<size_t>(device)];
}

void requireLive(CUcontext context) {
  if (!Driver::get().contexts.find(context)) throw Error{CUDA_ERROR_INVALID_CONTEXT, "no such context"};
}

CUresult synchronize(const char* name, const std::function<Context&()>& which) {
  return Call(name, kContext).run([&] {
    Context& context = which();
    for (const auto& capture : Driver::get().captures)
      if (&capture->origin->context == &context) {
        invalidate(*capture);
        throw Error{CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "a stream of the context is capturing"};
      }
    waitForAll(context);
  });
}

}  // namespace

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  return Call(__func__, kInitialised, context, device).run([&] {
    if (!context) throw Error{CUDA_ERROR_INVALID_VALUE, "a null pointer"};
    Driver& driver = Driver::get();
    std::shared_ptr<Context>& primary = primaryOf(device);
    if (primary) {
      ++primary->users;
    } else {
      primary = std::make_shared<Context>(device, *driver.devices[static_cast<size_t>(device)], driver.random);
      primary->handle = driver.contexts.add(primary);
    }
    *context = primary->handle;
  });
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  return Call(__func__, kInitialised, device).run([&] {
    std::shared_ptr<Context>& primary = primaryOf(device);
    if (!primary) throw Error{CUDA_ERROR_INVALID_CONTEXT, "nobody retains the primary context"};
    if (--primary->users > 0) return;
    primary->queue.waitForAll();
    destroy(primary);
    primary = nullptr;
  });
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned* flags, int* active) {
  return Call(__func__, kInitialised, device, flags, active).run([&] {
    if (!flags || !active) throw Error{CUDA_ERROR_INVALID_VALUE, "a null pointer"};
    *active = primaryOf(device) != nullptr;
    *flags = 0;
  });
}

CUresult cuCtxSetCurrent(CUcontext context) {
  return Call(__func__, kInitialised, context).run([&] {
    if (context) requireLive(context);
    auto& stack = contextStack();
    if (!stack.empty()) stack.pop_back();
    if (context) stack.push_back(context);
  });
}

CUresult cuCtxGetCurrent(CUcontext* context) {
  return Call(__func__, kInitialised, context).run([&] {
    if (!context) throw Error{CUDA_ERROR_INVALID_VALUE, "a null pointer"};
    *context = contextStack().empty() ? nullptr : contextStack().back();
  });
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
  return Call(__func__, kInitialised, context).run([&] {
    requireLive(context);
    contextStack().push_back(context);
  });
}

CUresult cuCtxPopCurrent_v2(CUcontext* context) {
  return Call(__func__, kInitialised, context).run([&] {
    if (contextStack().empty()) throw Error{CUDA_ERROR_INVALID_CONTEXT, "this thread has no current context"};
    if (context) *context = contextStack().back();
    contextStack().pop_back();
  });
}

CUresult cuCtxSynchronize() {
  return synchronize(__func__, []() -> Context& { return Driver::get().current(); });
}

CUresult cuCtxSynchronize_v2(CUcontext context) {
  return synchronize(__func__, [&]() -> Context& {
    if (!context) return Driver::get().current();
    requireLive(context);
    return *Driver::get().contexts.get(context);
  });
}
