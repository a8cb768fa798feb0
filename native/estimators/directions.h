// What the estimators with directions in the space of the parameters share: which inputs of a loss program they perturb, and by what law.
#pragma once
#include <string>
#include <vector>

#include "core/op.h"

namespace pushforward {

/** {sampler, rank, directions, wrt, parameters, losses?}: wrt[i] has the parameter ordinal parameters[i] (DESIGN section 4). */
struct Directions {
  std::string sampler;
  int64_t rank, count;
  std::vector<int64_t> wrt, parameters;
  bool isGaussian() const { return sampler == "gaussian" || sampler == "sphere"; }
  /** The rank of the tangent of a parameter, 0 where it has no factors. */
  int64_t rankOf(const Shape& shape) const { return sampler == "lowRank" && shape.rank() >= 2 ? rank : 0; }
};

std::vector<AttributeSpec> directionAttributes();
/** INVALID_ARGUMENT, in the name of `op`, for what is out of its range. */
Directions directionsOf(const std::string& op, const Attributes& attributes);

/** The types of the outputs of the program that a node holds, whose first are the losses; its inputs must be the node's first. */
std::vector<Type> inferLossProgram(const TypeContext& context);
/** Those of the inputs in wrt. */
std::vector<Type> inferWrt(const TypeContext& context, const Directions& directions);

/** Numbers of wrt[i], of `shape`, before sphere's scale: [count, shape] from direction 0, or of direction `only` alone times `scale`. */
ValueId emitTangents(Builder& b, const Directions& directions, size_t i, const Shape& shape);
ValueId emitTangent(Builder& b, const Directions& directions, size_t i, const Shape& shape, int64_t only, double scale);

}  // namespace pushforward
