// What the estimators with noise for each example share: the loss program in layers, the pass with noise on their pre-activations, and the
// directional derivative of each example.
#pragma once
#include <vector>

#include "core/op.h"
#include "core/rewrite.h"
#include "estimators/batch_axis.h"
#include "estimators/losses.h"

namespace pushforward {

/**
 * A loss program whose dense and conv2d have their activation as a node of its own. A value that depends on parameters and not on data is a
 * weight; an op that meets data with a weight is a layer, its output a pre-activation.
 */
struct Examples {
  Program program;
  size_t losses;  // its first outputs
  Batch batch;
  LossReach reach;
  std::vector<int64_t> parameter;  // of every value: the first parameter (its ordinal) that it depends on, −1 for none

  /** {wrt, parameters, batched, losses} of a node that holds the loss program. */
  explicit Examples(const Node& node);
  Examples(const Examples&) = delete;  // reach refers to program
  bool isWeight(ValueId value) const { return value != none && parameter[value] >= 0 && !batch.axes[value]; }
  bool isLayer(const Node& node) const;
  /** The smallest ordinal among the parameters of a layer's weights. */
  int64_t firstParameter(const Node& layer) const;
  ExampleView view(ValueId value) const {
    return exampleView(program.types[value].shape, batch.axes[value], batch.size);
  }
};

/** Op, inputs besides z, and attributes of the noise on a layer's pre-activation; op nullptr: none. Inputs are values of the program. */
struct Noise {
  const Op* op = nullptr;
  std::vector<ValueId> inputs;
  Attributes attributes;
};

/**
 * A noise op (z, marker, …) → z has a jvp rule that adds its noise to ż. The marker is an input with a tangent that nobody reads: it makes
 * the rule run where z has no tangent yet.
 */
Op noiseOp(const char* name, std::vector<AttributeSpec> attributes, void (*jvp)(JvpContext&));

struct ExamplePass {
  std::vector<ValueId> outputs;  // of the loss program
  std::vector<ValueId> c;        // of each loss, [K]
  std::vector<ValueId>
      shares;  // of each loss, [K, B]: each example's part of c, by the mean or sum that makes it; none for zero
  std::vector<ValueId> values;  // of `kept`, in order
};
ExamplePass emitExamplePass(ExpandContext& context, const Examples& examples, const std::vector<Noise>& noise,
                            const std::vector<ValueId>& kept);

/** Cotangents of the inputs in wrt, from cotangents of weights (none: zero): what made the weights of the parameters is pulled back. */
std::vector<ValueId> emitParameterCotangents(ExpandContext& context, const Examples& examples,
                                             const std::vector<ValueId>& weightBar);

}  // namespace pushforward
