// The state of the driver: one per process, never destroyed.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "errors.h"
#include "objects.h"

namespace softcuda::driver {

inline uint64_t kinds = 0;

/** Live objects by handle. A handle is a number that was never an address and never comes again. */
template <class Handle, class Object>
class Registry {
 public:
  Handle add(std::shared_ptr<Object> object) {
    const Handle handle = fresh();
    objects_.emplace(handle, std::move(object));
    return handle;
  }
  std::shared_ptr<Object> find(Handle handle) const {
    const auto found = objects_.find(handle);
    return found == objects_.end() ? nullptr : found->second;
  }
  /** Throws CUDA_ERROR_INVALID_HANDLE. */
  std::shared_ptr<Object> get(Handle handle) const {
    auto object = find(handle);
    if (!object) throw Error{CUDA_ERROR_INVALID_HANDLE, "no such handle"};
    return object;
  }
  std::shared_ptr<Object> remove(Handle handle) {
    auto object = get(handle);
    objects_.erase(handle);
    return object;
  }
  template <class Predicate>
  size_t removeIf(const Predicate& predicate) {
    size_t removed = 0;
    for (auto i = objects_.begin(); i != objects_.end();) {
      const bool drop = predicate(*i->second);
      removed += drop;
      i = drop ? objects_.erase(i) : std::next(i);
    }
    return removed;
  }
  const std::map<Handle, std::shared_ptr<Object>>& all() const { return objects_; }

  static Handle fresh() {
    static uint64_t count = 0;
    static const uint64_t base =
        (uint64_t{0x5c} << 56) + (uint64_t{++kinds} << 40);  // not canonical: following it crashes
    return reinterpret_cast<Handle>(base + 16 * ++count);
  }

 private:
  std::map<Handle, std::shared_ptr<Object>> objects_;
};
struct HostBlock {
  size_t bytes, mapped;
  Context* context;
};

struct Driver {
  static Driver& get();
  static bool exists();  // whether any call has been made

  std::mutex mutex;
  bool initialised = false;
  std::mt19937_64 random;
  std::vector<std::unique_ptr<Device>> devices;
  std::vector<std::shared_ptr<Context>> primary;  // by device, null while nobody retains it
  Registry<CUcontext, Context> contexts;
  Registry<CUstream, Stream> streams;
  Registry<CUevent, Event> events;
  Registry<CUmodule, ModuleObject> modules;
  Registry<CUfunction, Function> functions;
  Registry<CUgraph, Graph> graphs;
  Registry<CUgraphExec, GraphExec> execs;
  std::map<uintptr_t, HostBlock> hostBlocks;  // pinned, by address
  std::vector<std::shared_ptr<Capture>> captures;
  std::map<std::string, uint64_t> calls;  // by plain name
  std::vector<std::string> leaks;         // of contexts that are gone

  /** Of the calling thread. Throws CUDA_ERROR_INVALID_CONTEXT, CUDA_ERROR_CONTEXT_IS_DESTROYED. */
  Context& current() const;
  /** 0 and CU_STREAM_LEGACY are the current context's default stream. */
  std::shared_ptr<Stream> stream(CUstream handle) const;
  bool coin() { return random() % 2; }

 private:
  Driver();
};

/** Contexts of the calling thread, the current one last. */
std::vector<CUcontext>& contextStack();

/** Ends a context: what still lives in it is a leak and goes with it. */
void destroy(const std::shared_ptr<Context>& context);

/** Queues the work, or adds it to the capture that the stream takes part in. */
void enqueue(const std::shared_ptr<Stream>& stream, Work work);
/** Throws unless the stream can be used now: a legacy stream beside a capturing blocking one cannot. */
void requireUsable(const Stream& stream);
/** What new work on the stream comes after. */
std::vector<OperationPointer> predecessors(const Stream& stream);
void invalidate(Capture& capture);

/** Queue::waitFor and the like, and then throws the context's fault if there is one. */
void waitFor(Context& context, const OperationPointer& target);
void waitForAll(Context& context);

}  // namespace softcuda::driver
