#include "work.h"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "constants.h"
#include "settings.h"

namespace softcuda::driver {

namespace {

// What a real driver reports: a check that no hardware makes counts as a failed launch.
struct {
  FaultKind kind;
  int code;
} constexpr codes[] = {
    {FaultKind::OutOfBounds, CUDA_ERROR_ILLEGAL_ADDRESS},     {FaultKind::Misaligned, CUDA_ERROR_MISALIGNED_ADDRESS},
    {FaultKind::InstructionLimit, CUDA_ERROR_LAUNCH_TIMEOUT}, {FaultKind::Trap, CUDA_ERROR_LAUNCH_FAILED},
    {FaultKind::InvalidFree, CUDA_ERROR_ILLEGAL_ADDRESS},
};

int codeOf(FaultKind kind) {
  for (const auto& row : codes)
    if (row.kind == kind) return row.code;
  return CUDA_ERROR_LAUNCH_FAILED;
}

// A kernel call moves at most 2^31 bytes and IOV_MAX vectors; one vector of at most this is plain.
constexpr size_t chunk = size_t{1} << 30;

template <class Transfer>
bool transfer(std::byte* to, const std::byte* from, size_t bytes, const Transfer& call) {
  for (size_t done = 0; done < bytes;) {
    const ssize_t moved = call(to + done, from + done, std::min(chunk, bytes - done));
    if (moved > 0) {
      done += static_cast<size_t>(moved);
    } else if (errno == EPERM || errno == ENOSYS) {  // forbidden in some containers: then a bad pointer crashes
      std::memcpy(to + done, from + done, bytes - done);
      return true;
    } else {
      return false;
    }
  }
  return true;
}

class Performer {
 public:
  Performer(Device& device, uint64_t seed) : device_(device), seed_(seed) {}

  void operator()(const Launch& launch) const {
    if (launch.module->unloaded)
      throw DeviceFault{CUDA_ERROR_INVALID_PC, "kernel " + launch.kernel->name + " ran after its module was unloaded"};
    Options options;
    options.seed = seed_;
    options.threads = Settings::get().threads;
    options.checks = Settings::get().checks;
    execute(*launch.kernel, launch.grid, launch.block, launch.sharedBytes, launch.parameters.data(), device_.memory,
            options, &device_.counters);
  }

  void operator()(const CopyIn& copy) const {
    if (copy.staged) return device_.memory.copyIn(copy.to, copy.staged->data(), copy.bytes);
    std::vector<std::byte> read(copy.bytes);
    if (!readHost(read.data(), copy.from, copy.bytes)) throw gone("from");
    device_.memory.copyIn(copy.to, read.data(), copy.bytes);
  }

  void operator()(const CopyOut& copy) const {
    std::vector<std::byte> read(copy.bytes);
    device_.memory.copyOut(read.data(), copy.from, copy.bytes, false);  // unwritten bytes arrive as garbage
    if (!writeHost(copy.to, read.data(), copy.bytes)) throw gone("to");
  }

  void operator()(const CopyWithin& copy) const { device_.memory.copy(copy.to, copy.from, copy.bytes); }
  void operator()(const Fill& fill) const { device_.memory.fill(fill.to, fill.value, fill.elementBytes, fill.count); }
  void operator()(const RecordTime& record) const { *record.time = std::chrono::steady_clock::now(); }
  void operator()(const Join&) const {}

 private:
  static DeviceFault gone(const std::string& direction) {
    return {CUDA_ERROR_ILLEGAL_ADDRESS,
            "an asynchronous copy " + direction + " the host ran after its host memory had been freed"};
  }

  Device& device_;
  uint64_t seed_;
};

}  // namespace

bool readHost(void* to, const void* from, size_t bytes) {
  return transfer(static_cast<std::byte*>(to), static_cast<const std::byte*>(from), bytes,
                  [](std::byte* into, const std::byte* out, size_t size) {
                    iovec local{into, size}, remote{const_cast<std::byte*>(out), size};
                    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
                  });
}

bool writeHost(void* to, const void* from, size_t bytes) {
  return transfer(static_cast<std::byte*>(to), static_cast<const std::byte*>(from), bytes,
                  [](std::byte* into, const std::byte* out, size_t size) {
                    iovec local{const_cast<std::byte*>(out), size}, remote{into, size};
                    return process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
                  });
}

void perform(const Work& work, Device& device, uint64_t seed) {
  try {
    std::visit(Performer(device, seed), work);
  } catch (const Fault& fault) {
    throw DeviceFault{codeOf(fault.kind), fault.what()};
  }
}

}  // namespace softcuda::driver
