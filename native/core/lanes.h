// Threads on which runs go: of this package's own, since the four of libuv are the file system's too, and a worker that is terminated
// would wait for whatever it has there.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace pushforward {

/** Threads made when all others are at work, at most `most`; further tasks wait. The destructor waits for what was begun. */
class Lanes {
 public:
  explicit Lanes(size_t most) : most_(most) {}
  ~Lanes();
  void post(std::function<void()> task);

 private:
  void work();

  const size_t most_;
  std::vector<std::thread> threads_;
  std::deque<std::function<void()>> tasks_;
  size_t idle_ = 0;
  bool ending_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace pushforward
