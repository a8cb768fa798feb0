// A program with several losses, its first outputs: which of them a value has a derivative in. Each estimator multiplies the noise of a value by
// the directional derivatives of those losses, and of no other: the rest has derivative zero there, and would be variance alone.
#pragma once
#include <vector>

#include "core/builder.h"
#include "core/program.h"

namespace pushforward {

using Losses = std::vector<size_t>;

/** Places start … start + size − 1 along a last axis, and the losses that they reach. */
struct LossRun {
  int64_t start, size;
  Losses losses;
};

/**
 * A value reaches a loss where a path of ops with a derivative leads there. Too many losses do no harm but variance; too few would be a bias, so
 * an op of which nothing is known leads from all of its inputs to all of its outputs. One loss is reached by every value.
 */
class LossReach {
 public:
  LossReach(const Program& program, size_t losses);
  Losses of(ValueId value) const;
  /** The last axis in runs, in order, neighbours of the same losses together; a scalar is one run of one. */
  std::vector<LossRun> runs(ValueId value) const;

 private:
  const Program& program_;
  /** Of each loss and value: whether a place along the last axis reaches it; empty for none of them. */
  std::vector<std::vector<std::vector<bool>>> channels_;
};

/** Attribute `losses` of an estimator: how many of the first outputs of its program are losses. */
int64_t lossCount(const Attributes& attributes);

/** Σ of terms[l] over the losses listed, none where nothing is there to be summed. */
ValueId sumOver(Builder& b, const std::vector<ValueId>& terms, const Losses& losses);

}  // namespace pushforward
