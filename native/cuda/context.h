// A GPU in use: its primary context, its kernels, its memory. One for each device and process; sessions share it.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "core/memory.h"
#include "cuda/driver.h"

namespace pushforward::cuda {

/** A kernel of the image. */
struct Function {
  FunctionHandle handle = nullptr;
  uint32_t sharedBytes = 48 * 1024;  // dynamic shared memory that it may have so far
};

class Context : public Space, public std::enable_shared_from_this<Context> {
 public:
  /** NO_DEVICE, with the reason. */
  static std::shared_ptr<Context> open(int ordinal);
  ~Context() override;

  const std::string& name() const { return name_; }

  /** Throws the error of a driver call, which must be made on a thread whose current context this is (Current). */
  template <class... Parameters, class... Arguments>
  void call(const Call<Parameters...>& call, Arguments... arguments) {
    expectAlive();
    const Result result = call.function(arguments...);
    if (result != success) failed(call.name, "", result);
  }
  /** The same in a destructor: nothing can be done about an error there. */
  template <class... Parameters, class... Arguments>
  void tidy(const Call<Parameters...>& call, Arguments... arguments) noexcept {
    if (!lost_) call.function(arguments...);
  }
  /** Throws once an error has made the device useless to this process. */
  void expectAlive() const;
  [[noreturn]] void failed(const std::string& call, const std::string& about, Result result);

  /** Looked up once; NO_KERNEL where the image has none of that name, or it cannot have as much dynamic shared memory. */
  const Function& function(const char* name, uint32_t sharedBytes);

  void expect(double bytes) override;
  void* allocate(size_t bytes, bool zero) override;
  void release(void* data, size_t bytes) noexcept override;
  void upload(void* to, const void* from, size_t bytes) override;
  void download(void* to, const void* from, size_t bytes) override;

  const Driver& api;

 private:
  Context(const Driver& driver, int ordinal);
  void loadImage();
  void releaseAll() noexcept;
  template <class Move>
  void throughPinned(size_t bytes, const Move& move);

  const int ordinal_;
  const std::string name_;
  ContextHandle handle_ = nullptr;
  Module module_ = nullptr;
  std::map<std::string, Function> functions_;
  std::mutex functionsMutex_;

  // Uploads and downloads go through pinned memory on a stream of their own, one at a time.
  Stream transfers_ = nullptr;
  void* pinned_ = nullptr;
  std::mutex transfersMutex_;

  std::atomic<bool> lost_{false};
  std::string loss_;  // what happened; written before lost_ is set
  std::mutex lossMutex_;

  friend class Current;
  friend class Finally;
};

/** Makes a context the calling thread's own for as long as it lives. */
class Current {
 public:
  explicit Current(Context& context);
  ~Current();
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  Context& context_;
  bool pushed_ = false;
};

/** The same where nothing may throw: without effect on a device that was lost. */
class Finally {
 public:
  explicit Finally(Context& context) noexcept;
  ~Finally();
  Finally(const Finally&) = delete;
  Finally& operator=(const Finally&) = delete;
  explicit operator bool() const { return pushed_; }

 private:
  Context& context_;
  bool pushed_;
};

/** Host memory that the device reads and writes at full speed while the host goes on. */
class Pinned {
 public:
  Pinned() = default;
  Pinned(std::shared_ptr<Context> context, size_t bytes);
  Pinned(Pinned&& other) noexcept { *this = std::move(other); }
  Pinned& operator=(Pinned&& other) noexcept;
  ~Pinned();
  std::byte* data() const { return static_cast<std::byte*>(data_); }
  size_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<Context> context_;
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

/** A stream that waits for no other, or an event that is waited for asleep. */
template <class Handle>
class Owned {
 public:
  explicit Owned(std::shared_ptr<Context> context);
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned();
  Handle get() const { return handle_; }

 private:
  std::shared_ptr<Context> context_;
  Handle handle_ = nullptr;
};

/** "9.0" */
std::string capabilityOf(const Driver& api, int device);
/** Why no kernel of ours runs there; empty where they do. */
std::string lackOf(const Driver& api, int device);

/** As an address for the driver. */
inline Address addressOf(const void* pointer) { return reinterpret_cast<Address>(pointer); }

}  // namespace pushforward::cuda
