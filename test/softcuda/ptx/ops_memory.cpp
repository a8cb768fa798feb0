#include "access.h"
#include "builder.h"

namespace softcuda {
namespace {

// The registers of a vector access.
const uint32_t* elements(const Warp& w, const Instruction& i) {
  return i.count == 1 ? &i.d : w.program->extras.data() + i.extra;
}

template <class T>
inline void put(Warp& w, uint32_t offset, unsigned lane, const std::byte* from) {
  T x;
  std::memcpy(&x, from, sizeof(T));
  w.lanes<SlotOf<T>>(offset)[lane] = slot<T>(x);
}

template <class T, Access access, class Stamp>
void loadAt(Warp& w, const Instruction& i, uint32_t mask, const uint64_t* a) {
  View<Stamp>& v = view<Stamp>(w);
  const uint32_t* to = elements(w, i);
  uint32_t bytes = sizeof(T) * i.count;
  count<Stamp>(w, a, bytes, mask);
  if constexpr (access == Access::Read && sizeof(T) >= 4) {
    if (mask == kAll && contiguous(a, bytes) && quickWarp<false>(w, v, a, bytes / 4)) {
      const std::byte* from = v.data + (a[0] - v.base);
      if (i.count == 1) {
        std::memcpy(w.registers + to[0], from, sizeof(T) * kLanes);
      } else {
        for (unsigned l = 0; l < kLanes; ++l)
          for (unsigned k = 0; k < i.count; ++k) put<T>(w, to[k], l, from + l * bytes + k * sizeof(T));
      }
      return;
    }
    if (mask == kAll && contiguous(a, 0)) {  // one address: two readers stand for 32
      const std::byte* from = check<access>(w, v, a[0], bytes, 0);
      check<access>(w, v, a[0], bytes, 1);
      for (unsigned k = 0; k < i.count; ++k) {
        T x;
        std::memcpy(&x, from + k * sizeof(T), sizeof(T));
        T* d = w.lanes<T>(to[k]);
        for (unsigned l = 0; l < kLanes; ++l) d[l] = x;
      }
      return;
    }
  }
  for (unsigned l = 0; l < kLanes; ++l) {
    if (!bit(mask, l)) continue;
    const std::byte* from = check<access>(w, v, a[l], bytes, l);
    for (unsigned k = 0; k < i.count; ++k) put<T>(w, to[k], l, from + k * sizeof(T));
  }
}

template <class T, Access access, class Stamp>
void storeAt(Warp& w, const Instruction& i, uint32_t mask, const uint64_t* a) {
  View<Stamp>& v = view<Stamp>(w);
  const uint32_t* from = elements(w, i);
  uint32_t bytes = sizeof(T) * i.count;
  count<Stamp>(w, a, bytes, mask);
  if constexpr (access == Access::Write && sizeof(T) >= 4) {
    if (mask == kAll && contiguous(a, bytes) && quickWarp<true>(w, v, a, bytes / 4)) {
      std::byte* to = v.data + (a[0] - v.base);
      if (i.count == 1) {
        std::memcpy(to, w.registers + from[0], sizeof(T) * kLanes);
      } else {
        for (unsigned l = 0; l < kLanes; ++l)
          for (unsigned k = 0; k < i.count; ++k)
            std::memcpy(to + l * bytes + k * sizeof(T), &w.lanes<T>(from[k])[l], sizeof(T));
      }
      return;
    }
  }
  w.writing = 0;
  for (unsigned l = 0; l < kLanes; ++l) {
    if (!bit(mask, l)) continue;
    std::byte data[16];
    for (unsigned k = 0; k < i.count; ++k)
      std::memcpy(data + k * sizeof(T), &w.lanes<SlotOf<T>>(from[k])[l], sizeof(T));
    std::memcpy(check<access>(w, v, a[l], bytes, l, data), data, bytes);
    w.writing |= 1u << l;
  }
}

// Local memory: one region a lane.
[[noreturn]] void faultLocal(Warp& w, FaultKind kind, const char* what, uint64_t address, uint32_t lane) {
  fault(w, kind, lane,
        std::string(what) + " at local address " + std::to_string(address) + " of " +
            std::to_string(w.program->localBytes) + " bytes");
}

std::byte* localAt(Warp& w, uint64_t address, uint32_t bytes, uint32_t lane, bool write) {
  uint64_t size = w.program->localBytes;
  if (address > size || bytes > size - address)
    faultLocal(w, FaultKind::OutOfBounds, write ? "a write" : "a read", address, lane);
  if (address % bytes) faultLocal(w, FaultKind::Misaligned, write ? "a write" : "a read", address, lane);
  uint8_t* written = w.localWritten.data() + lane * size + address;
  if (write)
    std::memset(written, 1, bytes);
  else if (w.checks && std::memchr(written, 0, bytes))
    faultLocal(w, FaultKind::Unwritten, "a read of memory that nothing has written", address, lane);
  return w.local.data() + lane * size + address;
}

template <class T>
void loadLocalAt(Warp& w, const Instruction& i, uint32_t mask, const uint64_t* a) {
  const uint32_t* to = elements(w, i);
  for (unsigned l = 0; l < kLanes; ++l) {
    if (!bit(mask, l)) continue;
    const std::byte* from = localAt(w, a[l], sizeof(T) * i.count, l, false);
    for (unsigned k = 0; k < i.count; ++k) put<T>(w, to[k], l, from + k * sizeof(T));
  }
}
template <class T>
void storeLocalAt(Warp& w, const Instruction& i, uint32_t mask, const uint64_t* a) {
  const uint32_t* from = elements(w, i);
  for (unsigned l = 0; l < kLanes; ++l) {
    if (!bit(mask, l)) continue;
    std::byte* to = localAt(w, a[l], sizeof(T) * i.count, l, true);
    for (unsigned k = 0; k < i.count; ++k) std::memcpy(to + k * sizeof(T), &w.lanes<SlotOf<T>>(from[k])[l], sizeof(T));
  }
}

template <class T, Access access>
void loadGlobal(Warp& w, const Instruction& i, uint32_t mask) {
  uint64_t a[kLanes];
  addresses(w, i, false, a);
  loadAt<T, access, uint64_t>(w, i, mask, a);
}
template <class T, Access access>
void loadShared(Warp& w, const Instruction& i, uint32_t mask) {
  uint64_t a[kLanes];
  addresses(w, i, true, a);
  loadAt<T, access, uint32_t>(w, i, mask, a);
}
template <class T, Access access>
void storeGlobal(Warp& w, const Instruction& i, uint32_t mask) {
  uint64_t a[kLanes];
  addresses(w, i, false, a);
  storeAt<T, access, uint64_t>(w, i, mask, a);
}
template <class T, Access access>
void storeShared(Warp& w, const Instruction& i, uint32_t mask) {
  uint64_t a[kLanes];
  addresses(w, i, true, a);
  storeAt<T, access, uint32_t>(w, i, mask, a);
}
template <class T>
void loadLocal(Warp& w, const Instruction& i, uint32_t mask) {
  uint64_t a[kLanes];
  addresses(w, i, false, a);
  loadLocalAt<T>(w, i, mask, a);
}
template <class T>
void storeLocal(Warp& w, const Instruction& i, uint32_t mask) {
  uint64_t a[kLanes];
  addresses(w, i, false, a);
  storeLocalAt<T>(w, i, mask, a);
}
template <class T>
void loadParameter(Warp& w, const Instruction& i, uint32_t mask) {
  uint64_t a[kLanes], size = w.program->parameterBytes;
  addresses(w, i, false, a);
  const uint32_t* to = elements(w, i);
  uint64_t bytes = sizeof(T) * i.count;
  if (mask == kAll && contiguous(a, 0) && a[0] <= size && bytes <= size - a[0]) {
    for (unsigned k = 0; k < i.count; ++k) {
      T x;
      std::memcpy(&x, w.block->launch->parameters + a[0] + k * sizeof(T), sizeof(T));
      std::fill_n(w.lanes<SlotOf<T>>(to[k]), kLanes, slot<T>(x));
    }
    return;
  }
  for (unsigned l = 0; l < kLanes; ++l) {
    if (!bit(mask, l)) continue;
    if (a[l] > size || bytes > size - a[l])
      fault(w, FaultKind::OutOfBounds, l,
            "a read at byte " + std::to_string(a[l]) + " of the " + std::to_string(size) + " bytes of parameters");
    for (unsigned k = 0; k < i.count; ++k) put<T>(w, to[k], l, w.block->launch->parameters + a[l] + k * sizeof(T));
  }
}

// Generic addresses: each lane's by the window that holds it.
struct Windows {
  uint32_t global = 0, shared = 0, local = 0;
};
Windows sortLanes(uint64_t* a, uint32_t mask) {
  Windows s;
  for (unsigned l = 0; l < kLanes; ++l) {
    if (a[l] >= kSharedWindow && a[l] < kSharedWindow + kWindowBytes)
      s.shared |= 1u << l, a[l] -= kSharedWindow;
    else if (a[l] >= kLocalWindow && a[l] < kLocalWindow + kWindowBytes)
      s.local |= 1u << l, a[l] -= kLocalWindow;
    else
      s.global |= 1u << l;
  }
  s.global &= mask, s.shared &= mask, s.local &= mask;
  return s;
}
template <class T, Access access>
void loadGeneric(Warp& w, const Instruction& i, uint32_t mask) {
  uint64_t a[kLanes];
  addresses(w, i, false, a);
  Windows s = sortLanes(a, mask);
  if (s.global) loadAt<T, access, uint64_t>(w, i, s.global, a);
  if (s.shared) loadAt<T, access, uint32_t>(w, i, s.shared, a);
  if (s.local) loadLocalAt<T>(w, i, s.local, a);
}
template <class T, Access access>
void storeGeneric(Warp& w, const Instruction& i, uint32_t mask) {
  uint64_t a[kLanes];
  addresses(w, i, false, a);
  Windows s = sortLanes(a, mask);
  if (s.global) storeAt<T, access, uint64_t>(w, i, s.global, a);
  if (s.shared) storeAt<T, access, uint32_t>(w, i, s.shared, a);
  if (s.local) storeLocalAt<T>(w, i, s.local, a);
}

enum Where { kGeneric, kGlobal, kShared, kLocal, kParameter };

template <class T>
Handler chooseLoad(Where where, bool strong) {
  switch (where) {
    case kGeneric:
      return strong ? loadGeneric<T, Access::StrongRead> : loadGeneric<T, Access::Read>;
    case kGlobal:
      return strong ? loadGlobal<T, Access::StrongRead> : loadGlobal<T, Access::Read>;
    case kShared:
      return strong ? loadShared<T, Access::StrongRead> : loadShared<T, Access::Read>;
    case kLocal:
      return loadLocal<T>;
    default:
      return loadParameter<T>;
  }
}
template <class T>
Handler chooseStore(Where where, bool strong) {
  switch (where) {
    case kGeneric:
      return strong ? storeGeneric<T, Access::StrongWrite> : storeGeneric<T, Access::Write>;
    case kGlobal:
      return strong ? storeGlobal<T, Access::StrongWrite> : storeGlobal<T, Access::Write>;
    case kShared:
      return strong ? storeShared<T, Access::StrongWrite> : storeShared<T, Access::Write>;
    default:
      return storeLocal<T>;
  }
}

struct Decoded {
  Where where;
  Space space;
  bool strong;
  unsigned count;
  Type type;
};

Decoded decodeModifiers(Builder& b, Opcode& o, bool load) {
  Decoded d{kGeneric, Space::Register, false, 1, b.type(o.takeLast())};
  std::string_view count = o.takeOne({"v2", "v4"});
  if (!count.empty()) d.count = count == "v2" ? 2 : 4;
  std::string_view order = o.takeOne({"weak", "volatile", "relaxed", "acquire", "release", "mmio"});
  if (order == "mmio") b.fail("softcuda does not know the modifier '.mmio'");
  d.strong = !order.empty() && order != "weak";
  if (d.strong && order != "volatile") o.takeOne({"cta", "cluster", "gpu", "sys"});
  std::string_view space =
      o.takeOne({"global", "shared", "shared::cta", "local", "param", "param::entry", "param::func", "const"});
  if (space == "global" || (space == "const" && load))
    d.where = kGlobal, d.space = Space::Global;
  else if (space.substr(0, 6) == "shared")
    d.where = kShared, d.space = Space::Shared;
  else if (space == "local")
    d.where = kLocal, d.space = Space::Local;
  else if (space.substr(0, 5) == "param")
    d.where = kParameter, d.space = Space::Param;
  else if (!space.empty())
    b.failModifier(o);
  // Hints to the caches, without effect on values.
  o.takeOne({"ca", "cg", "cs", "lu", "cv", "wb", "wt"});
  if (load && d.where == kGlobal) o.take("nc");
  o.takeOne({"L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last", "L1::no_allocate"});
  o.takeOne({"L2::64B", "L2::128B", "L2::256B"});
  b.finish(o);
  if (d.type.bits == 1 || d.type.bytes() * d.count > 16) b.fail("unsupported vector");
  return d;
}

// In functions .param variables live in local memory; in kernels the parameters are read only.
void resolveParameter(Builder& b, Decoded& d, const Operand& address, bool load) {
  if (d.where != kParameter) return;
  bool ofKernel = address.symbol ? address.symbol->kind == Symbol::KernelParam : b.kernel;
  if (ofKernel && !load) b.fail("parameters of a kernel are read only");
  if (!ofKernel) d.where = kLocal, d.space = Space::Local;
}

void decodeLoad(Builder& b, Opcode o) {
  Decoded d = decodeModifiers(b, o, true);
  b.expectOperands(2, 2);
  resolveParameter(b, d, b.operand(1), true);
  Instruction i;
  b.address(b.operand(1), i, d.space);
  const Type& t = d.type;
  bool s = t.isSigned();
  i.run = t.bits == 64   ? chooseLoad<uint64_t>(d.where, d.strong)
          : t.bits == 32 ? chooseLoad<uint32_t>(d.where, d.strong)
          : t.bits == 16 ? (s ? chooseLoad<int16_t>(d.where, d.strong) : chooseLoad<uint16_t>(d.where, d.strong))
                         : (s ? chooseLoad<int8_t>(d.where, d.strong) : chooseLoad<uint8_t>(d.where, d.strong));
  i.count = static_cast<uint8_t>(d.count);
  const Operand& to = b.operand(0);
  if (d.count == 1) {
    const Operand& one = to.kind == Operand::Vector && to.items.size() == 1 ? to.items[0] : to;
    i.d = b.destination(one, t.slot(), s);
  } else {
    if (to.kind != Operand::Vector || to.items.size() != d.count) b.fail("expected a vector of registers");
    std::vector<uint32_t> offsets;
    for (const Operand& item : to.items) offsets.push_back(b.destination(item, t.slot(), s));
    i.extra = b.extra(offsets);
  }
  b.emit(i);
}

void decodeStore(Builder& b, Opcode o) {
  Decoded d = decodeModifiers(b, o, false);
  b.expectOperands(2, 2);
  resolveParameter(b, d, b.operand(0), false);
  Instruction i;
  b.address(b.operand(0), i, d.space);
  const Type& t = d.type;
  i.run = t.bits == 64   ? chooseStore<uint64_t>(d.where, d.strong)
          : t.bits == 32 ? chooseStore<uint32_t>(d.where, d.strong)
          : t.bits == 16 ? chooseStore<uint16_t>(d.where, d.strong)
                         : chooseStore<uint8_t>(d.where, d.strong);
  i.count = static_cast<uint8_t>(d.count);
  const Operand& from = b.operand(1);
  bool floating = t.kind == 'f';
  if (d.count == 1) {
    i.d = b.source(from.kind == Operand::Vector && from.items.size() == 1 ? from.items[0] : from, t.slot(), floating);
  } else {
    if (from.kind != Operand::Vector || from.items.size() != d.count) b.fail("expected a vector of registers");
    std::vector<uint32_t> offsets;
    for (const Operand& item : from.items) offsets.push_back(b.source(item, t.slot(), floating));
    i.extra = b.extra(offsets);
  }
  b.emit(i);
}

void nothing(Warp&, const Instruction&, uint32_t) {}

void decodePrefetch(Builder& b, Opcode o) {
  o.take("global");
  if (o.takeOne({"L1", "L2"}).empty()) b.failModifier(o);
  b.finish(o);
  Instruction i;
  i.run = nothing;
  b.emit(i);
}

}  // namespace

void addMemoryDecoders(Decoders& d) {
  d["ld"] = d["ldu"] = decodeLoad;
  d["st"] = decodeStore;
  d["prefetch"] = decodePrefetch;
}

}  // namespace softcuda
