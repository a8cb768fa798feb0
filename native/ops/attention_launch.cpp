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

void attention(const KernelCall& call) {
  const AttentionParameters& p = parametersOf(call);
  const auto in = [&](int i) { return operandOf<const float>(call, i); };
  const AttentionArguments a{p,      in(0), in(1), in(2), in(3), nullptr, nullptr, nullptr, operandOf<float>(call, 4),
                             nullptr};
  launchTiles(call, "attention_kernel", p.batch * tilesOf(p.n, tileRows) * tilesOf(p.e, tileColumns), a);
}

void attentionPushforward(const KernelCall& call) {
  const AttentionParameters& p = parametersOf(call);
  const auto in = [&](int i) { return operandOf<const float>(call, i); };
  const AttentionArguments a{
      p, in(0), in(1), in(2), in(3), in(4), in(5), in(6), operandOf<float>(call, 7), operandOf<float>(call, 8)};
  launchTiles(call, "attention_pushforward_kernel",
              p.directions * p.batch * tilesOf(p.n, tileRows) * tilesOf(p.e, tileColumns), a);
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
  launchTiles(call, "attention_key_pullback_kernel", keys * (d + e), a);
}

PUSHFORWARD_CUDA_KERNEL(attention_primal, attention, nullptr)
PUSHFORWARD_CUDA_KERNEL(attention_pushforward, attentionPushforward, nullptr)
PUSHFORWARD_CUDA_KERNEL(attention_pullback, attentionPullback, pullbackScratch)

}  // namespace

}  // namespace pushforward::cuda
