#include "estimators/directions.h"

#include <cmath>

#include "core/builder.h"
#include "core/error.h"

namespace pushforward {

std::vector<AttributeSpec> directionAttributes() {
  return {{"sampler", AttributeKind::text, true},    {"rank", AttributeKind::number},
          {"directions", AttributeKind::number},     {"wrt", AttributeKind::list, true},
          {"parameters", AttributeKind::list, true}, {"losses", AttributeKind::number}};
}

Directions directionsOf(const std::string& op, const Attributes& attributes) {
  Directions directions{attributes.text("sampler", ""), attributes.integer("rank", 1),
                        attributes.integer("directions", 1), *attributes.list("wrt"), *attributes.list("parameters")};
  const std::string& s = directions.sampler;
  if (s != "gaussian" && s != "rademacher" && s != "lowRank" && s != "sphere")
    fail(Code::INVALID_ARGUMENT, op, "sampler gaussian, rademacher, lowRank or sphere", "'" + s.substr(0, 40) + "'");
  if (directions.rank < 1 || directions.rank > 64)
    fail(Code::INVALID_ARGUMENT, op, "a rank from 1 to 64", std::to_string(directions.rank));
  if (directions.count < 1 || directions.count > 1024)
    fail(Code::INVALID_ARGUMENT, op, "1 to 1024 directions", std::to_string(directions.count));
  if (directions.wrt.empty() || directions.wrt.size() != directions.parameters.size())
    fail(Code::INVALID_ARGUMENT, op, "one parameter ordinal for each of at least one input",
         std::to_string(directions.wrt.size()) + " inputs and " + std::to_string(directions.parameters.size()) +
             " ordinals");
  return directions;
}

std::vector<Type> inferLossProgram(const TypeContext& context) {
  const std::string& op = context.op.name;
  if (context.bodies.size() != 1)
    fail(Code::INVALID_ARGUMENT, op, "one program", std::to_string(context.bodies.size()));
  const Program& f = *context.bodies[0];
  const std::vector<ValueId> inputs = f.inputValues();
  if (context.input.size() < inputs.size())
    fail(Code::INVALID_ARGUMENT, op, std::to_string(inputs.size()) + " inputs", std::to_string(context.input.size()));
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!context.input[i] || !(*context.input[i] == f.types[inputs[i]]))
      fail(Code::SHAPE_MISMATCH, op, "input " + std::to_string(i) + " " + f.types[inputs[i]].text(),
           context.input[i] ? context.input[i]->text() : "nothing");
  const double losses = context.attributes.number("losses", 1);
  if (!(losses >= 1 && losses <= 65536 && losses == std::floor(losses)))
    fail(Code::INVALID_ARGUMENT, op, "1 to 65536 losses", std::to_string(losses));
  for (size_t l = 0; double(l) < losses; ++l) {
    const Type* loss = l < f.outputs.size() ? &f.types[f.outputs[l]] : nullptr;
    if (!loss || loss->shape.rank() != 0 || loss->dtype != DType::real)
      fail(Code::SHAPE_MISMATCH, op, "a real scalar loss", loss ? loss->text() : "none");
  }
  std::vector<Type> types;
  for (ValueId output : f.outputs) types.push_back(f.types[output]);
  return types;
}

std::vector<Type> inferWrt(const TypeContext& context, const Directions& directions) {
  const Program& f = *context.bodies[0];
  const std::vector<ValueId> inputs = f.inputValues();
  std::vector<Type> types;
  for (int64_t index : directions.wrt) {
    if (index < 0 || index >= static_cast<int64_t>(inputs.size()) || f.types[inputs[index]].dtype != DType::real)
      fail(Code::INVALID_ARGUMENT, context.op.name, "wrt to list real inputs", std::to_string(index));
    types.push_back(f.types[inputs[index]]);
  }
  return types;
}

namespace {

Attributes lawOf(const Directions& directions, size_t i, const Shape& shape) {
  return {{"shape", shape.dims()},
          {"distribution", std::string(directions.isGaussian() ? "gaussian" : "rademacher")},
          {"parameter", double(directions.parameters[i])},
          {"rank", double(directions.rankOf(shape))}};
}

}  // namespace

ValueId emitTangents(Builder& b, const Directions& directions, size_t i, const Shape& shape) {
  Attributes law = lawOf(directions, i, shape);
  law.set("directions", double(directions.count));
  return b.emit("random", {}, law);
}

ValueId emitTangent(Builder& b, const Directions& directions, size_t i, const Shape& shape, int64_t only,
                    double scale) {
  Attributes law = lawOf(directions, i, shape);
  law.set("firstDirection", double(only));
  law.set("scale", scale);
  return b.emit("random", {}, law);
}

}  // namespace pushforward
