// gather, scatter_add and one_hot. Elements are words of four bytes in gather.
#include "ops/gather.h"

#include "cpu/parallel.h"
#include "cpu/vector.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

namespace {

constexpr int64_t elementsPerTask = 32768;

int64_t grainOf(int64_t elementsPerItem) {
  return elementsPerItem < 1 ? 1 : 1 + (elementsPerTask - 1) / elementsPerItem;
}

void copyRow(const float* from, float* to, int64_t n) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(to + i, load(from + i));
  const int rest = static_cast<int>(n - i);
  if (rest) storePartial(to + i, loadPartial(from + i, rest), rest);
}

void fillRow(float* to, int64_t n, Float value) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(to + i, value);
  if (i < n) storePartial(to + i, value, static_cast<int>(n - i));
}

void addRow(const float* from, float* to, int64_t n) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(to + i, load(to + i) + load(from + i));
  const int rest = static_cast<int>(n - i);
  if (rest) storePartial(to + i, loadPartial(to + i, rest) + loadPartial(from + i, rest), rest);
}

void gather(const KernelCall& call) {
  const auto& p = *static_cast<const GatherParameters*>(call.parameters);
  const float* table = static_cast<const float*>(call.operands[0]);
  const int32_t* indices = static_cast<const int32_t*>(call.operands[1]);
  float* rows = static_cast<float*>(call.operands[2]);
  const Float outside = p.integer ? asFloat(broadcast(INT32_MIN)) : broadcast(__builtin_nanf(""));
  parallelRanges(call, p.outer * p.count, grainOf(p.inner), 1, [&](int64_t begin, int64_t end, int) {
    int64_t o = begin / p.count, j = begin % p.count;
    for (int64_t row = begin; row < end; ++row) {
      const int32_t index = indices[j];
      if (index >= 0 && index < p.size)
        copyRow(table + (o * p.size + index) * p.inner, rows + row * p.inner, p.inner);
      else
        fillRow(rows + row * p.inner, p.inner, outside);
      if (++j == p.count) {
        j = 0;
        ++o;
      }
    }
  });
}

// Every task owns some rows of the table and takes what belongs to them in order of the indices, of which it reads
// all: a sum has one order whatever the threads, and no two tasks write one row.
void scatterAdd(const KernelCall& call) {
  const auto& p = *static_cast<const GatherParameters*>(call.parameters);
  const float* rows = static_cast<const float*>(call.operands[0]);
  const int32_t* indices = static_cast<const int32_t*>(call.operands[1]);
  float* table = static_cast<float*>(call.operands[2]);
  if (p.size == 0) return;
  const int64_t grain = grainOf(p.inner * (1 + p.count / p.size));
  parallelRanges(call, p.outer * p.size, grain, 1, [&](int64_t begin, int64_t end, int) {
    fillRow(table + begin * p.inner, (end - begin) * p.inner, Float{});
    for (int64_t o = begin / p.size; o * p.size < end; ++o) {
      const int64_t low = begin - o * p.size, high = end - o * p.size;
      for (int64_t j = 0; j < p.count; ++j) {
        const int64_t index = indices[j];
        if (index < 0 || index >= p.size || index < low || index >= high) continue;
        addRow(rows + (o * p.count + j) * p.inner, table + (o * p.size + index) * p.inner, p.inner);
      }
    }
  });
}

void oneHot(const KernelCall& call) {
  const auto& p = *static_cast<const OneHotParameters*>(call.parameters);
  const int32_t* indices = static_cast<const int32_t*>(call.operands[0]);
  float* y = static_cast<float*>(call.operands[1]);
  parallelRanges(call, p.count, grainOf(p.classes), 1, [&](int64_t begin, int64_t end, int) {
    fillRow(y + begin * p.classes, (end - begin) * p.classes, Float{});
    for (int64_t j = begin; j < end; ++j)
      if (indices[j] >= 0 && indices[j] < p.classes) y[j * p.classes + indices[j]] = 1;
  });
}

PUSHFORWARD_CPU_KERNEL(gather, gather, nullptr)
PUSHFORWARD_CPU_KERNEL(scatter_add, scatterAdd, nullptr)
PUSHFORWARD_CPU_KERNEL(one_hot, oneHot, nullptr)

}  // namespace

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
