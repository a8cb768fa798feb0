// A job is on the stack of the thread that runs it; workers take it from a slot of their own, then tasks from its
// counter. A worker that has not come by when the tasks are gone loses the job again, so no run waits for a thread
// that the system has not scheduled yet.
#include "cpu/thread_pool.h"

#include <dlfcn.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "cpu/flush_denormals.h"

namespace pushforward {

namespace {

// Kernels of one step follow each other within a few µs; a wake-up through the kernel costs about 50.
constexpr std::chrono::microseconds spinTime{50};

void pauseCore() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/** Spins until `done()`, false when that took longer than spinTime. */
template <class Done>
bool spin(const Done& done) {
  const auto end = std::chrono::steady_clock::now() + spinTime;
  do {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
      pauseCore();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

/** Spins, then sleeps. The waker makes `done()` true (sequentially consistent) and calls wake(). */
class Sleeper {
 public:
  template <class Done>
  void wait(const Done& done) {
    if (spin(done)) return;
    std::unique_lock<std::mutex> lock(mutex_);
    asleep_.store(true);
    condition_.wait(lock, done);
    asleep_.store(false);
  }
  void wake() {
    if (!asleep_.load()) return;
    std::lock_guard<std::mutex> lock(mutex_);
    condition_.notify_all();
  }

 private:
  std::atomic<bool> asleep_{false};
  std::mutex mutex_;
  std::condition_variable condition_;
};

struct Job {
  void (*task)(void* context, int64_t index, int thread);
  void* context;
  int64_t tasks;
  std::atomic<int64_t> next{0};
  std::atomic<int> working{0};  // workers that hold the job or may still take it

  void work(int thread) {
    for (int64_t index; (index = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) task(context, index, thread);
  }
};

struct alignas(64) Worker {
  std::atomic<Job*> job{nullptr};
  Sleeper sleeper;
};

class Pool {
 public:
  Pool() : workers_(static_cast<size_t>(std::max(0, usableCores() - 1))) {}

  void run(Job& job, int helpers) {
    if (helpers <= 0 || busy_.exchange(true)) {
      job.work(0);
      return;
    }
    helpers = std::min(helpers, start(helpers));
    job.working.store(helpers);
    for (int i = 0; i < helpers; ++i) {
      workers_[static_cast<size_t>(i)].job.store(&job);
      workers_[static_cast<size_t>(i)].sleeper.wake();
    }
    job.work(0);
    for (int i = 0; i < helpers; ++i) {
      Job* expected = &job;
      if (workers_[static_cast<size_t>(i)].job.compare_exchange_strong(expected, nullptr)) job.working.fetch_sub(1);
    }
    caller_.wait([&] { return job.working.load() == 0; });
    busy_.store(false);
  }

 private:
  /** Makes sure that `wanted` workers run; returns how many do: fewer when the system refuses another thread. */
  int start(int wanted) {
    if (started_ == 0 && wanted > 0) stayLoaded();
    wanted = std::min(wanted, static_cast<int>(workers_.size()));
    for (; started_ < wanted; ++started_) {
      // Signals are for the threads of the program that embeds the pool.
      sigset_t all, before;
      sigfillset(&all);
      for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigdelset(&all, fault);
      pthread_sigmask(SIG_SETMASK, &all, &before);
      bool failed = false;
      try {
        std::thread([this, index = started_] { loop(index); }).detach();
      } catch (...) {
        failed = true;
      }
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
      if (failed) break;
    }
    return started_;
  }

  void loop(int index) {
    const FlushDenormals flush;
    Worker& worker = workers_[static_cast<size_t>(index)];
    for (;;) {
      worker.sleeper.wait([&] { return worker.job.load() != nullptr; });
      Job* job = worker.job.exchange(nullptr);
      if (job == nullptr) continue;
      job->work(index + 1);
      // The job may be gone as soon as the counter is zero; the pool stays.
      if (job->working.fetch_sub(1) == 1) caller_.wake();
    }
  }

  /**
   * Node closes an addon together with the last worker_thread that loaded it; code that threads run must not be
   * unmapped.
   */
  static void stayLoaded() {
    Dl_info info;
    if (dladdr(reinterpret_cast<void*>(&poolOf), &info) != 0 && info.dli_fname != nullptr)
      dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
  }

  std::vector<Worker> workers_;
  int started_ = 0;  // guarded by busy_
  std::atomic<bool> busy_{false};
  Sleeper caller_;
};

/** Never destroyed: its workers sleep in it while the process exits. */
Pool& pool() {
  static Pool& instance = *new Pool;
  return instance;
}

void runOnPool(void* threads, int64_t tasks, void (*task)(void*, int64_t, int), void* context) {
  Job job{task, context, tasks};
  const int64_t helpers = std::min<int64_t>(reinterpret_cast<intptr_t>(threads), tasks) - 1;
  if (helpers <= 0)
    job.work(0);
  else
    pool().run(job, static_cast<int>(helpers));
}

}  // namespace

int usableCores() {
  static const int cores = [] {
    int count = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
#if defined(__linux__)
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) count = std::min(count, std::max(1, CPU_COUNT(&set)));
#endif
    return count;
  }();
  return cores;
}

Parallel poolOf(int threads) {
  if (threads <= 0 || threads > usableCores()) threads = usableCores();
  return {threads, reinterpret_cast<void*>(static_cast<intptr_t>(threads)), runOnPool};
}

}  // namespace pushforward
