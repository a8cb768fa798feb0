#include "execute.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <numeric>
#include <random>
#include <thread>

#include "machine.h"

namespace softcuda {
namespace {

uint64_t specialValue(Special s, const Block& b, unsigned warp, unsigned lane) {
  const Launch& l = *b.launch;
  unsigned linear = warp * kLanes + lane;
  switch (s) {
    case Special::TidX:
      return linear % l.block.x;
    case Special::TidY:
      return linear / l.block.x % l.block.y;
    case Special::TidZ:
      return linear / (l.block.x * l.block.y);
    case Special::NtidX:
      return l.block.x;
    case Special::NtidY:
      return l.block.y;
    case Special::NtidZ:
      return l.block.z;
    case Special::CtaidX:
      return b.x;
    case Special::CtaidY:
      return b.y;
    case Special::CtaidZ:
      return b.z;
    case Special::NctaidX:
      return l.grid.x;
    case Special::NctaidY:
      return l.grid.y;
    case Special::NctaidZ:
      return l.grid.z;
    case Special::LaneId:
      return lane;
    case Special::WarpId:
      return warp;
    case Special::NwarpId:
      return l.warpsPerBlock;
    case Special::LanemaskEq:
      return 1u << lane;
    case Special::LanemaskLt:
      return (1u << lane) - 1;
    case Special::LanemaskLe:
      return (2u << lane) - 1;
    case Special::LanemaskGt:
      return ~((2u << lane) - 1);
    case Special::LanemaskGe:
      return ~((1u << lane) - 1);
    case Special::NsmId:
      return 1;
    case Special::DynamicSharedSize:
      return l.sharedBytes - l.program->sharedBytes;
    case Special::TotalSharedSize:
      return l.sharedBytes;
    default:
      return 0;
  }
}

bool variesByBlock(Special s) { return s == Special::CtaidX || s == Special::CtaidY || s == Special::CtaidZ; }

void setSpecial(Warp& w, const Program::SpecialRegister& r) {
  for (unsigned l = 0; l < kLanes; ++l) {
    uint64_t v = specialValue(r.which, *w.block, w.index, l);
    if (r.bytes == 8)
      w.lanes<uint64_t>(r.offset)[l] = v;
    else
      w.lanes<uint32_t>(r.offset)[l] = static_cast<uint32_t>(v);
  }
}

void setUniform(Warp& w, const Program::SpecialRegister& r) {
  uint64_t v = specialValue(r.which, *w.block, w.index, 0);
  if (r.bytes == 8)
    std::fill_n(w.lanes<uint64_t>(r.offset), kLanes, v);
  else
    std::fill_n(w.lanes<uint32_t>(r.offset), kLanes, static_cast<uint32_t>(v));
}

// One worker thread: a block at a time.
class Worker {
 public:
  explicit Worker(Launch& launch) : launch_(launch), program_(*launch.program), warps_(launch.warpsPerBlock) {
    block_.launch = &launch;
    size_t words = (launch.sharedBytes + 3) / 4;
    block_.shared.resize(words * 4);
    block_.sharedWrites.resize(words);
    block_.sharedReads.resize(words);
    block_.sharedByteWrites.resize(words * 4);
    block_.sharedByteReads.resize(words * 4);
    if (launch.counting) block_.counts.resize(program_.code.size());
    for (unsigned k = 0; k < warps_.size(); ++k) prepare(warps_[k], k);
  }

  void runBlock(uint64_t index) {
    begin(index);
    for (;;) {
      bool waiting = false;
      for (unsigned k = 0; k < warps_.size(); ++k) {
        Warp& w = warps_[(k + first_) % warps_.size()];
        if (w.state == State::Running) run(w);
        waiting |= w.state == State::AtBarrier;
      }
      if (!waiting) return;
      releaseBarrier();
    }
  }

  const std::vector<InstructionCounts>& counts() const { return block_.counts; }

 private:
  void prepare(Warp& w, unsigned index) {
    w.index = index;
    w.block = &block_;
    w.program = &program_;
    w.checks = launch_.options.checks;
    w.counting = launch_.counting;
    w.registerStore.resize(program_.registerBytes + 64);
    size_t misaligned = reinterpret_cast<uintptr_t>(w.registerStore.data()) % 64;
    w.registers = w.registerStore.data() + (misaligned ? 64 - misaligned : 0);
    w.predicateStore.assign(program_.predicates, 0);
    w.predicates = w.predicateStore.data();
    w.predicates[0] = kAll;
    w.local.resize(program_.localBytes * kLanes);
    w.localWritten.resize(w.local.size());
    unsigned threads = std::min(kLanes, launch_.threadsPerBlock - index * kLanes);
    w.existing = threads == kLanes ? kAll : (1u << threads) - 1;
    const Memory& m = *launch_.memory;
    w.global.data = m.data();
    w.global.base = Memory::kBase;
    w.global.extent = m.extent();
    w.global.writes = m.writeStamps(), w.global.reads = m.readStamps();
    w.global.byteWrites = m.byteWriteStamps(), w.global.byteReads = m.byteReadStamps();
    w.shared.data = block_.shared.data();
    w.shared.extent = launch_.sharedBytes;
    w.shared.writes = block_.sharedWrites.data(), w.shared.reads = block_.sharedReads.data();
    w.shared.byteWrites = block_.sharedByteWrites.data(), w.shared.byteReads = block_.sharedByteReads.data();
    for (const Program::Constant& c : program_.constants) {
      uint64_t bits = c.bits + (c.variable >= 0 ? (*program_.addresses)[static_cast<size_t>(c.variable)] : 0);
      if (c.bytes == 8)
        std::fill_n(w.lanes<uint64_t>(c.offset), kLanes, bits);
      else
        std::fill_n(w.lanes<uint32_t>(c.offset), kLanes, static_cast<uint32_t>(bits));
    }
    for (const auto& s : program_.specials)
      if (!variesByBlock(s.which)) setSpecial(w, s);
  }

  void begin(uint64_t index) {
    Block& b = block_;
    b.index = index;
    b.x = static_cast<unsigned>(index % launch_.grid.x);
    b.y = static_cast<unsigned>(index / launch_.grid.x % launch_.grid.y);
    b.z = static_cast<unsigned>(index / (uint64_t{launch_.grid.x} * launch_.grid.y));
    b.time = b.barrierTime = 1;
    b.acquired = false;
    b.instructions = 0;
    std::fill(b.sharedWrites.begin(), b.sharedWrites.end(), 0);
    std::fill(b.sharedReads.begin(), b.sharedReads.end(), 0);
    std::memset(b.shared.data(), 0xCB, b.shared.size());
    first_ = launch_.options.seed ? static_cast<unsigned>((launch_.options.seed + index) % warps_.size()) : 0;
    for (Warp& w : warps_) {
      w.pc = program_.entry;
      w.live = w.active = w.existing;
      w.stop = kAll;
      w.carry = 0;
      w.syncTime = 0;
      w.state = State::Running;
      w.groups.clear();
      w.copies.clear();
      std::fill_n(w.committed, kLanes, 0);
      std::fill(w.localWritten.begin(), w.localWritten.end(), 0);
      for (const auto& s : program_.specials)
        if (variesByBlock(s.which)) setUniform(w, s);
    }
  }

  void releaseBarrier() {
    Warp* leader = nullptr;
    for (Warp& w : warps_)
      if (w.state == State::AtBarrier && !leader) leader = &w;
    unsigned count = 0;
    bool all = true, any = false;
    for (Warp& w : warps_) {
      if (w.state == State::Done)
        divergent(*leader,
                  "that the threads of warp " + std::to_string(w.index) + " do not reach, because they have ended");
      if (w.barrierInstruction != leader->barrierInstruction)
        divergent(*leader, "while warp " + std::to_string(w.index) + " waits at another, at " +
                               where(program_, w.barrierInstruction));
      count += static_cast<unsigned>(__builtin_popcount(w.barrierValue));
      all &= w.barrierValue == w.existing;
      any |= w.barrierValue != 0;
    }
    const Instruction& i = program_.code[leader->barrierInstruction];
    for (Warp& w : warps_) {
      w.state = State::Running;
      if (i.flags == 1)
        std::fill_n(w.lanes<uint32_t>(i.d), kLanes, count);
      else if (i.flags)
        w.predicates[i.d] = (i.flags == 2 ? all : any) ? kAll : 0;
    }
    if (block_.time < kMaxTime) ++block_.time;
    block_.barrierTime = block_.time;
  }

  [[noreturn]] void divergent(Warp& w, const std::string& why) {
    w.current = w.barrierInstruction;
    fault(w, FaultKind::DivergentBarrier, static_cast<uint32_t>(__builtin_ctz(w.existing)),
          "'" + program_.opcodes[w.barrierInstruction] + "' " + why);
  }

  Launch& launch_;
  const Program& program_;
  Block block_;
  std::vector<Warp> warps_;
  unsigned first_ = 0;
};

void checkLaunch(const Kernel& k, Dim3 grid, Dim3 block, size_t dynamicSharedBytes) {
  auto refuse = [&](const std::string& why) {
    throw Fault(FaultKind::InvalidLaunch, "kernel '" + k.name + "': " + why);
  };
  if (!grid.count() || !block.count()) refuse("an empty grid or block");
  if (block.count() > k.maxThreads || block.z > 64)
    refuse("a block of " + std::to_string(block.count()) + " threads, but at most " + std::to_string(k.maxThreads));
  if (grid.y > 65535 || grid.z > 65535 || grid.x > 0x7FFFFFFF) refuse("a grid that is too large");
  if (k.sharedBytes + dynamicSharedBytes > 227 * 1024)
    refuse(std::to_string(k.sharedBytes + dynamicSharedBytes) + " bytes of shared memory, but at most 232448");
}

std::vector<uint64_t> blockOrder(uint64_t blocks, uint64_t seed) {
  std::vector<uint64_t> order(blocks);
  std::iota(order.begin(), order.end(), uint64_t{0});
  if (!seed) return order;
  std::mt19937_64 random(seed);
  for (uint64_t n = blocks; n > 1; --n) std::swap(order[n - 1], order[random() % n]);
  return order;
}

void addCounts(Counters& counters, const Program& p, const std::vector<InstructionCounts>& counts) {
  KernelCounts& k = counters.kernels[p.name];
  for (size_t n = 0; n < counts.size(); ++n) {
    const InstructionCounts& c = counts[n];
    if (!c.executed) continue;
    bool mma = p.opcodes[n].rfind("mma.", 0) == 0;
    k.lines[where(p, static_cast<uint32_t>(n))].add(
        {c.executed, c.lanes, c.sectors, c.idealSectors, c.wavefronts, c.idealWavefronts, mma ? c.executed : 0});
  }
}

}  // namespace

void execute(const Kernel& kernel, Dim3 grid, Dim3 block, size_t dynamicSharedBytes, const std::byte* parameters,
             Memory& memory, const Options& options, Counters* counters) {
  checkLaunch(kernel, grid, block, dynamicSharedBytes);
  uint64_t blocks = grid.count();
  Launch launch(blocks);
  launch.program = kernel.program.get();
  launch.grid = grid;
  launch.block = block;
  launch.threadsPerBlock = static_cast<unsigned>(block.count());
  launch.warpsPerBlock = (launch.threadsPerBlock + kLanes - 1) / kLanes;
  launch.sharedBytes = kernel.sharedBytes + dynamicSharedBytes;
  launch.parameters = parameters;
  launch.memory = &memory;
  launch.options = options;
  launch.firstBlock = memory.numberBlocks(blocks);
  launch.counting = counters != nullptr;

  std::vector<uint64_t> order = blockOrder(blocks, options.seed);
  std::atomic<uint64_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  auto work = [&] {
    try {
      Worker worker(launch);
      for (uint64_t n; (n = next++) < blocks && !launch.stop;) worker.runBlock(order[n]);
      if (counters) {
        std::lock_guard lock(mutex);
        addCounts(*counters, *launch.program, worker.counts());
      }
    } catch (...) {
      std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      launch.stop = true;
    }
  };
  unsigned threads = static_cast<unsigned>(std::min<uint64_t>(std::max(1u, options.threads), blocks));
  std::vector<std::thread> others;
  for (unsigned t = 1; t < threads; ++t) others.emplace_back(work);
  work();
  for (std::thread& t : others) t.join();
  if (failure) std::rethrow_exception(failure);
  if (counters) {
    KernelCounts& k = counters->kernels[kernel.name];
    ++k.launches;
    k.blocks += blocks;
  }
}

}  // namespace softcuda
