#pragma once
#include "machine.h"

// Loops over the 32 lanes, written so that the compiler makes vector code of them.
namespace softcuda {

// 8- and 16-bit values live in the low bits of 32-bit registers; their high bits mean nothing.
template <class T>
using SlotOf = std::conditional_t<sizeof(T) == 8, T, std::conditional_t<sizeof(T) == 4, T, uint32_t>>;

template <class T>
inline T value(SlotOf<T> slot) {
  return static_cast<T>(slot);
}
template <class T>
inline SlotOf<T> slot(T value) {
  if constexpr (sizeof(T) >= 4)
    return value;
  else
    return static_cast<uint32_t>(static_cast<int32_t>(value));  // signed ones extended: ld.s8 may fill 32 bits
}

inline bool bit(uint32_t mask, unsigned lane) { return mask >> lane & 1; }

template <class Operation, class D, class A>
void apply(Warp& w, const Instruction& i, uint32_t mask) {
  auto* d = w.lanes<SlotOf<D>>(i.d);
  const auto* a = w.lanes<SlotOf<A>>(i.a);
  if (mask == kAll) {
#pragma GCC ivdep
    for (unsigned l = 0; l < kLanes; ++l) d[l] = slot<D>(Operation::run(value<A>(a[l])));
  } else {
#pragma GCC ivdep
    for (unsigned l = 0; l < kLanes; ++l) {
      auto r = slot<D>(Operation::run(value<A>(a[l])));
      d[l] = bit(mask, l) ? r : d[l];
    }
  }
}

template <class Operation, class D, class A, class B>
void apply(Warp& w, const Instruction& i, uint32_t mask) {
  auto* d = w.lanes<SlotOf<D>>(i.d);
  const auto* a = w.lanes<SlotOf<A>>(i.a);
  const auto* b = w.lanes<SlotOf<B>>(i.b);
  if (mask == kAll) {
#pragma GCC ivdep
    for (unsigned l = 0; l < kLanes; ++l) d[l] = slot<D>(Operation::run(value<A>(a[l]), value<B>(b[l])));
  } else {
#pragma GCC ivdep
    for (unsigned l = 0; l < kLanes; ++l) {
      auto r = slot<D>(Operation::run(value<A>(a[l]), value<B>(b[l])));
      d[l] = bit(mask, l) ? r : d[l];
    }
  }
}

template <class Operation, class D, class A, class B, class C>
void apply(Warp& w, const Instruction& i, uint32_t mask) {
  auto* d = w.lanes<SlotOf<D>>(i.d);
  const auto* a = w.lanes<SlotOf<A>>(i.a);
  const auto* b = w.lanes<SlotOf<B>>(i.b);
  const auto* c = w.lanes<SlotOf<C>>(i.c);
  if (mask == kAll) {
#pragma GCC ivdep
    for (unsigned l = 0; l < kLanes; ++l)
      d[l] = slot<D>(Operation::run(value<A>(a[l]), value<B>(b[l]), value<C>(c[l])));
  } else {
#pragma GCC ivdep
    for (unsigned l = 0; l < kLanes; ++l) {
      auto r = slot<D>(Operation::run(value<A>(a[l]), value<B>(b[l]), value<C>(c[l])));
      d[l] = bit(mask, l) ? r : d[l];
    }
  }
}

}  // namespace softcuda
