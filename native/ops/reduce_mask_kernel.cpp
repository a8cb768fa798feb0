// max_mask: 1 at the first maximum (or first NaN) of the elements that make one output, 0 at the others.
#include "ops/reduce_max.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

/** 1 at the first of n elements that is top or NaN, 0 at the others; whether there is one. */
bool markFirst(const float* x, float* mask, int n, float top) {
  bool found = false;
  for (int i = 0; i < n; ++i) {
    const bool hit = !found && (x[i] == top || x[i] != x[i]);
    mask[i] = hit ? 1.0f : 0.0f;
    found = found || hit;
  }
  return found;
}

/** Writes at x's place in `mask`; reduceAll's y is not used. */
struct MaskOp {
  static constexpr int tile = narrowTile;
  const float* x;
  float* mask;

  void row(const Reduction& r, const float* from, int64_t, float*) const {
    const float top = maxOfRow(r, from);
    bool found = false;
    for (int64_t q = 0; q < r.runs; ++q) {
      const float* run = from + r.runOffset(q);
      float* to = mask + (run - x);
      int64_t i = 0;
      for (; i + lanes <= r.run; i += lanes) {
        const Float value = load(run + i);
        if (!found && any((value == top) | (value != value)))
          found = markFirst(run + i, to + i, lanes, top);
        else
          store(to + i, Float{});
      }
      for (; i < r.run; ++i) {
        if (found)
          to[i] = 0;
        else
          found = markFirst(run + i, to + i, 1, top);
      }
    }
  }
  template <int T, bool whole>
  void columns(const Reduction& r, const float* from, int64_t, float*, int n) const {
    Float top[T];
    Int found[T];
    maxColumns<T, whole>(top, r, from, n);
    for (int t = 0; t < T; ++t) found[t] = Int{};
    for (int64_t q = 0; q < r.runs; ++q)
      for (int64_t i = 0; i < r.run; ++i)
        for (int t = 0; t < T; ++t) {
          const float* p = from + r.runOffset(q) + i * r.runStride + t * lanes;
          Float value;
          if constexpr (whole)
            value = load(p);
          else
            value = loadPartial(p, n);
          const Int hit = ((value == top[t]) | (value != value)) & ~found[t];
          found[t] |= hit;
          const Float one = select(hit, broadcast(1.0f), Float{});
          if constexpr (whole)
            store(mask + (p - x), one);
          else
            storePartial(mask + (p - x), one, n);
        }
  }
};

void maxMask(const KernelCall& call) {
  const Reduction r(*static_cast<const ReduceParameters*>(call.parameters));
  const MaskOp op{static_cast<const float*>(call.operands[0]), static_cast<float*>(call.operands[1])};
  if (r.reduced > 0) reduceAll(call, r, op.x, nullptr, op);
}

PUSHFORWARD_CPU_KERNEL(max_mask, maxMask, nullptr)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
