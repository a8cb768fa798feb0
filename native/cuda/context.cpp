#include "cuda/context.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "core/error.h"
#include "cuda/image.h"

namespace pushforward::cuda {

namespace {

constexpr size_t pinnedBytes = size_t{1} << 20;

Code codeOf(Result result) {
  switch (result) {
    case outOfMemory:
      return Code::OUT_OF_MEMORY;
    case invalidFunction:
    case notFound:
    case outOfResources:
      return Code::NO_KERNEL;
    default:
      return Code::NO_DEVICE;
  }
}

int attributeOf(const Driver& api, int which, int device) {
  int value = 0;
  return api.cuDeviceGetAttribute.function(&value, which, device) == success ? value : 0;
}

}  // namespace

std::string capabilityOf(const Driver& api, int device) {
  return std::to_string(attributeOf(api, attributeMajor, device)) + "." +
         std::to_string(attributeOf(api, attributeMinor, device));
}

std::string lackOf(const Driver& api, int device) {
  constexpr int oldestMajor = 8;  // of the image
  if (attributeOf(api, attributeMajor, device) >= oldestMajor) return "";
  return "its compute capability is " + capabilityOf(api, device) + ", needed is " + std::to_string(oldestMajor) +
         ".0 or later";
}

std::shared_ptr<Context> Context::open(int ordinal) {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<Context>>& known = *new std::map<int, std::weak_ptr<Context>>;
  static std::map<int, std::shared_ptr<Context>>& lost = *new std::map<int, std::shared_ptr<Context>>;
  const std::string name = "cuda:" + std::to_string(ordinal);
  const Driver& api = driver();
  if (!api.absence.empty()) fail(Code::NO_DEVICE, "device", "'" + name + "' to be there", "none: " + api.absence);
  std::lock_guard<std::mutex> lock(mutex);
  std::shared_ptr<Context> context = known[ordinal].lock();
  if (!context) {
    int count = 0;
    const Result counted = api.cuDeviceGetCount.function(&count);
    if (counted != success) fail(Code::NO_DEVICE, "device", "the driver to count devices", wordsOf(api, counted));
    if (ordinal >= count)
      fail(Code::NO_DEVICE, "device",
           count ? "an index below " + std::to_string(count) + ", the number of NVIDIA GPUs" : "an NVIDIA GPU",
           count ? "'" + name + "'" : "a driver without one");
    context = std::shared_ptr<Context>(new Context(api, ordinal));
    known[ordinal] = context;
  }
  if (context->lost_) lost[ordinal] = context;  // for the life of the process
  context->expectAlive();
  return context;
}

Context::Context(const Driver& driver, int ordinal)
    : api(driver), ordinal_(ordinal), name_("cuda:" + std::to_string(ordinal)) {
  int device = 0;
  call(api.cuDeviceGet, &device, ordinal);
  const std::string lack = lackOf(api, device);
  if (!lack.empty()) fail(Code::NO_DEVICE, "device", "a GPU that there are kernels for", name_ + ": " + lack);
  call(api.cuDevicePrimaryCtxRetain, &handle_, device);
  try {
    Current current(*this);
    loadImage();
    call(api.cuStreamCreate, &transfers_, nonBlockingStream);
    call(api.cuMemHostAlloc, &pinned_, pinnedBytes, 0u);
  } catch (...) {
    releaseAll();
    throw;
  }
}

Context::~Context() { releaseAll(); }

void Context::releaseAll() noexcept {
  if (!handle_) return;
  if (Finally current(*this); current) {
    if (pinned_) tidy(api.cuMemFreeHost, pinned_);
    if (transfers_) tidy(api.cuStreamDestroy, transfers_);
    if (module_) tidy(api.cuModuleUnload, module_);
  }
  tidy(api.cuDevicePrimaryCtxRelease, ordinal_);
  handle_ = nullptr;
}

void Context::loadImage() {
  std::string reasons;
  for (const std::string& file : imageFiles()) {
    const std::string image = readImage(file);
    const Result result = api.cuModuleLoadData.function(&module_, image.c_str());
    if (result == success) return;
    if (result == outOfMemory || isSticky(result)) failed("cuModuleLoadData", file, result);
    reasons += (reasons.empty() ? "" : "; ") + file + ": " + wordsOf(api, result);
  }
  fail(Code::NO_DEVICE, "device", "an image of kernels that " + name_ + " can run", reasons);
}

void Context::expectAlive() const {
  if (lost_) fail(Code::NO_DEVICE, name_, "a device that works", "one that this process lost: " + loss_);
}

void Context::failed(const std::string& call, const std::string& about, Result result) {
  // A wait learns of an error long after the launch.
  const bool late = isSticky(result) && about.empty();
  const std::string where = late ? "in one of the kernels in flight; PUSHFORWARD_CUDA_SYNC=1 tells in which" : about;
  const std::string words = wordsOf(api, result) + (where.empty() ? "" : " (" + where + ")");
  if (isSticky(result)) {
    std::lock_guard<std::mutex> lock(lossMutex_);
    if (!lost_) loss_ = call + ": " + words;
    lost_ = true;
  }
  fail(codeOf(result), name_, call + " to succeed", words);
}

const Function& Context::function(const char* name, uint32_t sharedBytes) {
  std::lock_guard<std::mutex> lock(functionsMutex_);
  Function& function = functions_[name];
  if (!function.handle) {
    expectAlive();
    const Result result = api.cuModuleGetFunction.function(&function.handle, module_, name);
    if (result == notFound)
      fail(Code::NO_KERNEL, name_, std::string("the kernel ") + name + " in the image", "an image without it");
    if (result != success) failed("cuModuleGetFunction", name, result);
  }
  if (sharedBytes > function.sharedBytes) {
    const Result result =
        api.cuFuncSetAttribute.function(function.handle, maxDynamicShared, static_cast<int>(sharedBytes));
    if (result == invalidValue)
      fail(Code::NO_KERNEL, name_, "room in shared memory for " + std::to_string(sharedBytes) + " bytes of " + name,
           "less");
    if (result != success) failed("cuFuncSetAttribute", name, result);
    function.sharedBytes = sharedBytes;
  }
  return function;
}

void Context::expect(double bytes) {
  Current current(*this);
  size_t free = 0, total = 0;
  call(api.cuMemGetInfo, &free, &total);
  if (bytes <= static_cast<double>(free)) return;
  char more[32];
  std::snprintf(more, sizeof more, "%.0f more", bytes);
  fail(Code::OUT_OF_MEMORY, "memory", "at most " + std::to_string(free) + " bytes, which are free on " + name_, more);
}

void* Context::allocate(size_t bytes, bool zero) {
  Current current(*this);
  Address address = 0;
  const Result result = api.cuMemAlloc.function(&address, bytes);
  if (result != success) failed("cuMemAlloc", std::to_string(bytes) + " bytes", result);
  void* data = reinterpret_cast<void*>(address);
  try {
    if (zero) {
      std::lock_guard<std::mutex> lock(transfersMutex_);
      call(api.cuMemsetD8Async, address, static_cast<unsigned char>(0), bytes, transfers_);
      call(api.cuStreamSynchronize, transfers_);
    }
  } catch (...) {
    release(data, bytes);
    throw;
  }
  return data;
}

void Context::release(void* data, size_t) noexcept {
  if (Finally current(*this); current) tidy(api.cuMemFree, addressOf(data));
}

/** move(offset, bytes) for pieces as large as the pinned memory. */
template <class Move>
void Context::throughPinned(size_t bytes, const Move& move) {
  Current current(*this);
  std::lock_guard<std::mutex> lock(transfersMutex_);
  for (size_t offset = 0; offset < bytes; offset += pinnedBytes) move(offset, std::min(pinnedBytes, bytes - offset));
}

void Context::upload(void* to, const void* from, size_t bytes) {
  throughPinned(bytes, [&](size_t offset, size_t piece) {
    std::memcpy(pinned_, static_cast<const std::byte*>(from) + offset, piece);
    call(api.cuMemcpyHtoDAsync, addressOf(to) + offset, pinned_, piece, transfers_);
    call(api.cuStreamSynchronize, transfers_);
  });
}

void Context::download(void* to, const void* from, size_t bytes) {
  throughPinned(bytes, [&](size_t offset, size_t piece) {
    call(api.cuMemcpyDtoHAsync, pinned_, addressOf(from) + offset, piece, transfers_);
    call(api.cuStreamSynchronize, transfers_);
    std::memcpy(static_cast<std::byte*>(to) + offset, pinned_, piece);
  });
}

Current::Current(Context& context) : context_(context) {
  context.call(context.api.cuCtxPushCurrent, context.handle_);
  pushed_ = true;
}

Current::~Current() {
  ContextHandle popped = nullptr;
  if (pushed_) context_.tidy(context_.api.cuCtxPopCurrent, &popped);
}

Finally::Finally(Context& context) noexcept
    : context_(context), pushed_(!context.lost_ && context.api.cuCtxPushCurrent.function(context.handle_) == success) {}

Finally::~Finally() {
  ContextHandle popped = nullptr;
  if (pushed_) context_.tidy(context_.api.cuCtxPopCurrent, &popped);
}

Pinned::Pinned(std::shared_ptr<Context> context, size_t bytes) : context_(std::move(context)), bytes_(bytes) {
  Current current(*context_);
  context_->call(context_->api.cuMemHostAlloc, &data_, std::max<size_t>(1, bytes), 0u);
}

Pinned& Pinned::operator=(Pinned&& other) noexcept {
  std::swap(context_, other.context_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Pinned::~Pinned() {
  if (!data_) return;
  if (Finally current(*context_); current) context_->tidy(context_->api.cuMemFreeHost, data_);
}

template <>
Owned<Stream>::Owned(std::shared_ptr<Context> context) : context_(std::move(context)) {
  Current current(*context_);
  context_->call(context_->api.cuStreamCreate, &handle_, nonBlockingStream);
}

template <>
Owned<Stream>::~Owned() {
  if (Finally current(*context_); current) context_->tidy(context_->api.cuStreamDestroy, handle_);
}

template <>
Owned<Event>::Owned(std::shared_ptr<Context> context) : context_(std::move(context)) {
  Current current(*context_);
  context_->call(context_->api.cuEventCreate, &handle_, waitingEvent);
}

template <>
Owned<Event>::~Owned() {
  if (Finally current(*context_); current) context_->tidy(context_->api.cuEventDestroy, handle_);
}

}  // namespace pushforward::cuda
