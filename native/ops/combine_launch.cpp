// combine on CUDA: a launch for each parameter adds to the Gram matrices of the strips, then one block solves.
#include "cuda/elements.h"
#include "cuda/reduction.h"
#include "ops/combine_cuda.h"

namespace pushforward::cuda {

namespace {

int32_t sideOf(const CombineParameters& p) { return powerOfTwo(p.directions, gramSide); }

uint32_t tilesOf(const CombineParameters& p) { return blocksOf(p.directions, sideOf(p)); }

/** 1 of a low-rank tangent, whose factors are added whole. */
int64_t chunksOf(const CombineParameters& p, const DrawnTangent& tangent) {
  if (tangent.law.kind == TangentKind::lowRank) return 1;
  const int64_t columns = tangent.law.kind == TangentKind::gaussian ? 4 : 128;  // of four words
  return blocksOf(tangent.rows * blocksOf(tangent.n, columns), tileWords / 4 / sideOf(p));
}

/** As many as give some thousand blocks, and the largest parameter has chunks. */
int64_t stripsOf(const CombineParameters& p) {
  constexpr int64_t wantedBlocks = 1024;
  int64_t chunks = 1;
  for (int64_t t = 0; t < p.tangents; ++t) {
    const int64_t own = chunksOf(p, tangentsOf(p)[t]);
    if (own > chunks) chunks = own;
  }
  const int64_t wanted = wantedBlocks / (int64_t{tilesOf(p)} * tilesOf(p));
  return wanted < 1 ? 1 : wanted < chunks ? wanted : chunks;
}

int64_t sumsOf(const CombineParameters& p) { return stripsOf(p) * p.directions * p.directions; }

size_t combineScratch(const void* parameters, int) {
  return sizeof(double) * static_cast<size_t>(sumsOf(*static_cast<const CombineParameters*>(parameters)));
}

void addGram(const KernelCall& call, const CombineParameters& p, const DrawnTangent& tangent, double* grams) {
  const uint32_t k = static_cast<uint32_t>(p.directions), tiles = tilesOf(p);
  const int64_t chunks = chunksOf(p, tangent), strips = stripsOf(p);
  const GramArguments a{tangent, stateOf(call), grams, p.directions, sideOf(p), chunks};
  if (tangent.law.kind == TangentKind::lowRank) {
    const int32_t pairs = tangent.law.rank * tangent.law.rank;
    const uint32_t threads = 32 * static_cast<uint32_t>(powerOfTwo(pairs, gramThreads / 32));
    return launch(call, {"combine_low_rank_kernel", {k, k, 1}, threads, 0}, a);
  }
  const char* kernel =
      tangent.law.kind == TangentKind::gaussian ? "combine_gaussian_kernel" : "combine_rademacher_kernel";
  launch(call, {kernel, {tiles, tiles, static_cast<uint32_t>(chunks < strips ? chunks : strips)}, gramThreads, 0}, a);
}

void combine(const KernelCall& call) {
  const auto& p = *static_cast<const CombineParameters*>(call.parameters);
  double* grams = static_cast<double*>(call.scratch);
  launchElements(call, "combine_clear_kernel", sumsOf(p), ClearArguments{sumsOf(p), grams});
  for (int64_t t = 0; t < p.tangents; ++t) addGram(call, p, tangentsOf(p)[t], grams);
  const int32_t threads = powerOfTwo(int64_t{p.directions} * p.directions, solveThreads);
  launch(call, {"combine_solve_kernel", {1, 1, 1}, static_cast<uint32_t>(threads < 32 ? 32 : threads), 0},
         SolveArguments{p.directions, p.project, static_cast<int32_t>(stripsOf(p)), p.clip, grams,
                        operandOf<const float>(call, 0), operandOf<float>(call, 1)});
}

PUSHFORWARD_CUDA_KERNEL(combine, combine, combineScratch)

}  // namespace

}  // namespace pushforward::cuda
