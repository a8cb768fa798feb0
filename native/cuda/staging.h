// Inputs on their way: copied to the device on a stream of their own while a run is in flight, into one of two places.
#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "core/executor.h"
#include "cuda/context.h"

namespace pushforward::cuda {

class Staging : public std::enable_shared_from_this<Staging> {
 public:
  explicit Staging(const std::shared_ptr<Context>& context);
  /** Each of `bytes[i]` bytes; nullptr while both places are taken. */
  std::shared_ptr<Staged> stage(const std::vector<Memory>& inputs, const std::vector<size_t>& bytes);
  /** Enqueues copies of what was staged, aligned behind one another, to `inputs`, when it has arrived. */
  void take(const Staged& staged, Stream stream, void* inputs);
  /** Of the device. */
  size_t bytes() const { return bytes_; }

 private:
  struct Place {
    explicit Place(const std::shared_ptr<Context>& context) : arrived(context) {}
    Memory memory;
    Pinned pinned;
    Owned<Event> arrived;
    bool taken = false;
  };
  struct Ticket;

  std::shared_ptr<Context> context_;
  Owned<Stream> stream_;
  Place places_[2];
  std::atomic<size_t> bytes_{0};
  std::mutex mutex_;
};

}  // namespace pushforward::cuda
