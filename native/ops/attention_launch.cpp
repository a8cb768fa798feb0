// attention_primal, attention_pushforward and attention_pullback on CUDA.
#include "cuda/launch.h"
#include "ops/attention_cuda.h"

namespace pushforward::cuda {

namespace {

const AttentionParameters& parametersOf(const KernelCall& call) {
  return *static_cast<const AttentionParameters*>(call.parameters);
}

template <class Arguments>
void launchTiles(const KernelCall& call, const char* kernel, int64_t blocks, const Arguments& arguments) {
  if (blocks > 0) launch(call, {kernel, {static_cast<uint32_t>(blocks), 1, 1}, productThreads, 0}, arguments);
}

int64_t tilesOfResult(const AttentionParameters& p) {
  return p.batch * tilesOf(p.n, tileRows) * tilesOf(p.e, tileColumns);
}

void attention(const KernelCall& call) {
  const AttentionParameters& p = parametersOf(call);
  const auto in = [&](int i) { return operandOf<const float>(call, i); };
  launchTiles(call, "attention_kernel", tilesOfResult(p),
              AttentionArguments{p, in(0), in(1), in(2), in(3), nullptr, nullptr, nullptr, operandOf<float>(call, 4),
                                 nullptr, nullptr});
}

size_t pushforwardScratch(const void* parameters, int) {
  const auto& p = *static_cast<const AttentionParameters*>(parameters);
  return 2 * sizeof(float) * static_cast<size_t>(p.batch * p.n);
}

void attentionPushforward(const KernelCall& call) {
  const AttentionParameters& p = parametersOf(call);
  const auto in = [&](int i) { return operandOf<const float>(call, i); };
  const AttentionArguments a{p,
                             in(0),
                             in(1),
                             in(2),
                             in(3),
                             in(4),
                             in(5),
                             in(6),
                             operandOf<float>(call, 7),
                             operandOf<float>(call, 8),
                             static_cast<float*>(call.scratch)};
  launchTiles(call, "attention_kernel", tilesOfResult(p), a);
  launchTiles(call, "attention_tangent_kernel", p.directions * tilesOfResult(p), a);
}

size_t pullbackScratch(const void* parameters, int) {
  const auto& p = *static_cast<const AttentionParameters*>(parameters);
  return 3 * sizeof(float) * static_cast<size_t>(p.batch * p.n);
}

void attentionPullback(const KernelCall& call) {
  const AttentionParameters& p = parametersOf(call);
  const auto in = [&](int i) { return operandOf<const float>(call, i); };
  const auto out = [&](int i) { return operandOf<float>(call, i); };
  const AttentionPullbackArguments a{p,     in(0),  in(1),  in(2),  in(3),
                                     in(4), out(5), out(6), out(7), static_cast<float*>(call.scratch)};
  const int64_t queries = p.batch * tilesOf(p.n, tileRows), keys = p.batch * tilesOf(p.m, tileRows);
  const int64_t d = tilesOf(p.d, tileColumns), e = tilesOf(p.e, tileColumns);
  launchTiles(call, "attention_rows_kernel", queries, a);
  launchTiles(call, "attention_query_pullback_kernel", queries * d, a);
  launchTiles(call, "attention_key_pullback_kernel", keys * d, a);
  launchTiles(call, "attention_value_pullback_kernel", keys * e, a);
}

PUSHFORWARD_CUDA_KERNEL(attention_primal, attention, nullptr)
PUSHFORWARD_CUDA_KERNEL(attention_pushforward, attentionPushforward, pushforwardScratch)
PUSHFORWARD_CUDA_KERNEL(attention_pullback, attentionPullback, pullbackScratch)

}  // namespace

}  // namespace pushforward::cuda
