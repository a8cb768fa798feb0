// Leaves and identities.
//   input      {shape, dtype}          an argument of the program, in order of declaration
//   parameter  {name, shape, weight}   a slot of the store: read in place, written by updates only. weight: a product
//                                      reads it, and it may lie in panels (core/panels.h)
//   constant   {shape, dtype, data}    data of the program
//   full       {shape, value}          a real tensor of one value
//   stopGradient(x) → x                ẏ = 0, x̄ = 0 by structure
#include "core/builder.h"
#include "core/error.h"
#include "core/op.h"

namespace pushforward {

namespace {

Shape shapeAttribute(const TypeContext& context) { return Shape(*context.attributes.list("shape")); }

DType dtypeAttribute(const TypeContext& context) {
  std::string text = context.attributes.text("dtype", "real");
  if (text != "real" && text != "int32")
    fail(Code::DTYPE_MISMATCH, context.op.name, "dtype real or int32", "'" + text.substr(0, 40) + "'");
  return text == "real" ? DType::real : DType::int32;
}

std::vector<Type> typed(const TypeContext& context) { return {{dtypeAttribute(context), shapeAttribute(context)}}; }

std::vector<Type> constantType(const TypeContext& context) {
  Type type{dtypeAttribute(context), shapeAttribute(context)};
  int64_t size = static_cast<int64_t>(std::get<std::vector<double>>(*context.attributes.find("data")).size());
  if (size != type.shape.count())
    fail(Code::SHAPE_MISMATCH, "constant", std::to_string(type.shape.count()) + " values for " + type.shape.text(),
         std::to_string(size));
  return {type};
}

const OpRegistration input = [] {
  Op op;
  op.name = "input";
  op.attributes = {{"shape", AttributeKind::list, true}, {"dtype", AttributeKind::text}};
  op.infer = typed;
  return op;
}();

const OpRegistration parameter = [] {
  Op op;
  op.name = "parameter";
  op.attributes = {{"name", AttributeKind::text, true},      {"shape", AttributeKind::list, true},
                   {"dtype", AttributeKind::text},           {"weight", AttributeKind::number},
                   {"panels.layout", AttributeKind::number}, {"panels.columns", AttributeKind::number}};
  op.infer = typed;
  return op;
}();

const OpRegistration constant = [] {
  Op op;
  op.name = "constant";
  op.attributes = {
      {"shape", AttributeKind::list, true}, {"dtype", AttributeKind::text}, {"data", AttributeKind::data, true}};
  op.infer = constantType;
  return op;
}();

const OpRegistration full = [] {
  Op op;
  op.name = "full";
  op.attributes = {{"shape", AttributeKind::list, true}, {"value", AttributeKind::number, true}};
  op.infer = [](const TypeContext& context) -> std::vector<Type> { return {{DType::real, shapeAttribute(context)}}; };
  return op;
}();

const OpRegistration stopGradient = [] {
  Op op;
  op.name = "stopGradient";
  op.minInputs = op.maxInputs = 1;
  op.alias = 0;
  op.constantDerivative = true;
  op.infer = [](const TypeContext& context) -> std::vector<Type> { return {*context.input[0]}; };
  return op;
}();

}  // namespace

}  // namespace pushforward
