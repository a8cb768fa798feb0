// The law of a generated tangent, as attributes of the op that absorbed it and as the operand its kernel sees.
#pragma once
#include <string>
#include <vector>

#include "core/op.h"
#include "core/tangent.h"

namespace pushforward {

/** name.kind (number, a TangentKind), name.parameter, name.rank. */
std::vector<AttributeSpec> generatedAttributes(const std::string& name);
/** zero when nothing was absorbed. */
TangentOperand generatedOperand(const Attributes& attributes, const std::string& name);
/** Whether a `random` node is a tangent that a kernel can generate: stream 0 from direction 0, of the running step, unscaled. */
bool isTangent(const Node& node);
/** Records the law of a `random` node for which isTangent holds. */
void absorbTangent(Attributes& attributes, const std::string& name, const Node& random);

}  // namespace pushforward
