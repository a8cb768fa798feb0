// Elementwise ops y = f(x, y, z) with NumPy broadcasting, and `chain`, several of them in one pass.
//   ẏ = Σ_i ∂f/∂x_i ⊙ ẋ_i          x̄_i = ȳ ⊙ ∂f/∂x_i, summed over the axes along which x_i was broadcast
// Everything about an op stands in its row of elementwise_table.h; here rows become ops.
#include "ops/elementwise.h"

#include "core/activation.h"
#include "core/builder.h"
#include "core/error.h"
#include "core/expression.h"
#include "core/fuse.h"
#include "core/op.h"
#include "ops/elementwise_table.h"

namespace pushforward {

// Every row as a function of expressions, for the derivatives. Found by argument-dependent lookup, so in this namespace.
#define FUNCTION_1(name) \
  static inline E name(const E& x) { return apply(#name, {x}); }
#define FUNCTION_2(name) \
  static inline E name(const E& x, const E& y) { return apply(#name, {x, y}); }
#define FUNCTION_3(name) \
  static inline E name(const E& x, const E& y, const E& z) { return apply(#name, {x, y, z}); }
#define FUNCTION(name, arity, ...) FUNCTION_##arity(name)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
PUSHFORWARD_ELEMENTWISE(FUNCTION)
#pragma GCC diagnostic pop

namespace {

struct Zero {};
constexpr Zero zero;

/** A derivative, or zero by structure. */
struct Derivative {
  Derivative(Zero) : isZero(true), expression(0) {}                 // NOLINT
  Derivative(double number) : isZero(false), expression(number) {}  // NOLINT
  Derivative(const E& e) : isZero(false), expression(e) {}          // NOLINT
  bool isZero;
  E expression;
};

using DerivativeFunction = Derivative (*)(const E& x, const E& y, const E& z, const E& r);

#define DERIVATIVES(name, arity, integer, formula, dx, dy, dz)                               \
  {[]([[maybe_unused]] const E& x, [[maybe_unused]] const E& y, [[maybe_unused]] const E& z, \
      [[maybe_unused]] const E& r) -> Derivative { return dx; },                             \
   []([[maybe_unused]] const E& x, [[maybe_unused]] const E& y, [[maybe_unused]] const E& z, \
      [[maybe_unused]] const E& r) -> Derivative { return dy; },                             \
   []([[maybe_unused]] const E& x, [[maybe_unused]] const E& y, [[maybe_unused]] const E& z, \
      [[maybe_unused]] const E& r) -> Derivative { return dz; }},
const DerivativeFunction derivatives[][3] = {PUSHFORWARD_ELEMENTWISE(DERIVATIVES)};

Derivative derivativeOf(Builder& b, int row, int operand, const std::vector<ValueId>& x, ValueId result) {
  auto expression = [&](size_t i) { return i < x.size() ? E(&b, x[i]) : E(0); };
  return derivatives[row][operand](expression(0), expression(1), expression(2), E(&b, result));
}

std::vector<Type> inferElementwise(const TypeContext& context) {
  const ElementwiseRow& row = elementwiseRows[context.op.row];
  bool comparison = row.integer;
  Shape shape;
  for (size_t i = 0; i < context.input.size(); ++i) {
    const Type& type = *context.input[i];
    bool condition = context.op.row == row::where && i == 0;
    bool fits = condition || comparison || type.dtype == DType::real;
    if (!fits || (condition && type.dtype != DType::int32))
      fail(Code::DTYPE_MISMATCH, context.op.name, condition ? "an int32 condition" : "real operands", type.text());
    shape = broadcastShapes(context.op.name, shape, type.shape);
  }
  return {{row.integer ? DType::int32 : DType::real, shape}};
}

void jvpElementwise(JvpContext& context) {
  Builder& b = context.b;
  ValueId y = b.emit(*context.node.op, context.x)[0];
  int rank = b.shape(y).rank();
  ValueId yDot = none;
  for (size_t i = 0; i < context.x.size(); ++i) {
    if (context.xDot[i] == none) continue;
    Derivative d = derivativeOf(b, context.node.op->row, static_cast<int>(i), context.x, y);
    if (d.isZero) continue;
    E term = d.expression.isNumber() && d.expression.number() == -1
                 ? -E(&b, b.alignTangent(context.xDot[i], rank))
                 : d.expression * E(&b, b.alignTangent(context.xDot[i], rank));
    yDot = b.addOrNone(yDot, term.in(b));
  }
  context.y = {y};
  context.yDot = {yDot == none ? none : b.broadcast(yDot, b.shape(y).prepend(context.directions))};
}

void vjpElementwise(VjpContext& context) {
  Builder& b = context.b;
  E yBar(&b, context.yBar[0]);
  for (size_t i = 0; i < context.x.size(); ++i) {
    if (!context.wanted[i]) continue;
    Derivative d = derivativeOf(b, context.node.op->row, static_cast<int>(i), context.x, context.y[0]);
    if (d.isZero) continue;
    E term = d.expression.isNumber() && d.expression.number() == -1 ? -yBar : yBar * d.expression;
    context.xBar[i] = b.unbroadcast(b.broadcast(term.in(b), b.shape(context.y[0])), b.shape(context.x[i]));
  }
}

/** Merges axes that every operand walks through as one. */
void collapse(ChainParameters& p, int inputs) {
  int rank = 0;
  for (int axis = 0; axis < p.rank; ++axis) {
    if (p.shape[axis] == 1) continue;
    bool merge = rank > 0;
    for (int i = 0; i < inputs && merge; ++i) merge = p.stride[i][rank - 1] == p.stride[i][axis] * p.shape[axis];
    int target = merge ? rank - 1 : rank++;
    p.shape[target] = merge ? p.shape[target] * p.shape[axis] : p.shape[axis];
    for (int i = 0; i < inputs; ++i) p.stride[i][target] = p.stride[i][axis];
  }
  if (rank == 0) {
    p.shape[0] = 1;
    for (int i = 0; i < inputs; ++i) p.stride[i][0] = 0;
    rank = 1;
  }
  p.rank = rank;
}

ChainParameters chainParameters(const PlanContext& context, const MicroProgram& program) {
  ChainParameters p{};
  const Shape& shape = context.output[0]->shape;
  p.rank = shape.rank();
  for (int axis = 0; axis < p.rank; ++axis) p.shape[axis] = shape[axis];
  int inputs = static_cast<int>(context.input.size());
  for (int i = 0; i < inputs; ++i) {
    // An operand may have leading axes of size 1 that the chain's own shape has not.
    Shape own = context.input[i]->shape;
    if (own.rank() > shape.rank()) own = own.tail(own.rank() - shape.rank());
    std::vector<int64_t> strides = broadcastStrides(own, shape);
    for (int axis = 0; axis < p.rank; ++axis) p.stride[i][axis] = strides[axis];
    p.integer[i] = context.input[i]->dtype == DType::int32;
  }
  p.integer[inputs] = context.output[0]->dtype == DType::int32;
  p.program = program;
  collapse(p, inputs);
  return p;
}

std::vector<KernelPlan> chainKernels(const PlanContext& context, const MicroProgram& program) {
  return {{"chain", parameterBlock(chainParameters(context, program)), allOperands(context)}};
}

MicroProgram rowProgram(int row) {
  MicroProgram program{};
  program.inputs = elementwiseRows[row].arity;
  program.ops = program.outputs = 1;
  program.op[0] = {static_cast<int16_t>(row), {-1, -1, -1}};
  for (int i = 0; i < program.inputs; ++i) program.op[0].in[i] = static_cast<int16_t>(i);
  program.output[0] = static_cast<int16_t>(program.inputs);
  return program;
}

Cost chainCost(const PlanContext& context, int ops) {
  double n = double(context.output[0]->shape.count()), bytes = 4 * n;
  for (const Type* input : context.input) bytes += 4 * double(input->shape.count());
  return {n * ops, bytes, 0};
}

Op rowOp(int row) {
  Op op;
  op.name = elementwiseRows[row].name;
  op.row = row;
  op.minInputs = op.maxInputs = elementwiseRows[row].arity;
  op.infer = inferElementwise;
  op.jvp = jvpElementwise;
  op.vjp = vjpElementwise;
  op.kernels = [row](const PlanContext& context) { return chainKernels(context, rowProgram(row)); };
  op.cost = [](const PlanContext& context) { return chainCost(context, 1); };
  return op;
}

Op chainOp() {
  Op op;
  op.name = "chain";
  op.fusedOnly = true;
  op.maxInputs = maxMicroInputs;
  op.attributes = {{"shape", AttributeKind::list, true}, {"dtype", AttributeKind::text, true}};
  op.infer = [](const TypeContext& context) -> std::vector<Type> {
    DType dtype = context.attributes.text("dtype", "real") == "int32" ? DType::int32 : DType::real;
    return {{dtype, Shape(*context.attributes.list("shape"))}};
  };
  op.kernels = [](const PlanContext& context) { return chainKernels(context, compileMicro(*context.node.bodies[0])); };
  op.cost = [](const PlanContext& context) { return chainCost(context, compileMicro(*context.node.bodies[0]).ops); };
  return op;
}

struct Registrations {
  Registrations() {
    for (int row = 0; row < elementwiseRowCount; ++row) OpRegistration{rowOp(row)};
    OpRegistration{chainOp()};
  }
} registrations;

/** The row of an activation and the numbers after its first operand: their defaults. */
struct ActivationRow {
  int row;
  std::vector<double> more;
};

ActivationRow activationRow(const std::string& where, const std::string& name) {
  std::string rowName = name == "gelu" ? "geluTanh" : name;
  const Op* op = findOp(rowName);
  if (op && op->row == row::leakyRelu) return {op->row, {0.01}};
  if (op && op->row == row::elu) return {op->row, {1.0}};
  if (op && op->row >= 0 && op->row != row::neg && elementwiseRows[op->row].arity == 1) return {op->row, {}};
  fail(Code::INVALID_ARGUMENT, where, "activation to be 'none' or an elementwise op of one input",
       "'" + name.substr(0, 40) + "'");
}

/** Calls f with a scalar program whose input is z, and compiles what f returns. */
template <class F>
MicroProgram microOf(const F& f) {
  Program body;
  Builder b(body);
  ValueId z = b.emit("input", {}, {{"shape", std::vector<int64_t>{}}});
  body.outputs = {f(b, z)};
  return compileMicro(simplify(body));
}

}  // namespace

void checkActivation(const std::string& where, const std::string& name) {
  if (name != "none") activationRow(where, name);
}

ValueId emitActivation(Builder& b, const std::string& name, ValueId z) {
  if (name == "none") return z;
  ActivationRow activation = activationRow("dense", name);
  std::vector<ValueId> inputs = {z};
  for (double number : activation.more) inputs.push_back(b.scalar(number));
  return b.emit(elementwiseRows[activation.row].name, inputs);
}

ValueId emitSlope(Builder& b, const std::string& name, ValueId z) {
  if (name == "none") return none;
  ActivationRow activation = activationRow("dense", name);
  std::vector<ValueId> inputs = {z};
  for (double number : activation.more) inputs.push_back(b.scalar(number));
  ValueId y = b.emit(elementwiseRows[activation.row].name, inputs);
  Derivative d = derivativeOf(b, activation.row, 0, inputs, y);
  return d.isZero ? b.scalar(0) : d.expression.in(b);
}

bool slopeFromResult(const std::string& name) {
  return name == "relu" || name == "tanh" || name == "sigmoid" || name == "exp";
}

ValueId emitSlopeFromResult(Builder& b, const std::string& name, ValueId y) {
  E r(&b, y);
  if (name == "relu") return isGreater(r, 0).in(b);
  if (name == "tanh") return (1 - square(r)).in(b);
  if (name == "sigmoid") return (r * (1 - r)).in(b);
  return y;
}

MicroProgram activationMicro(const std::string& name) {
  if (name == "none") return MicroProgram{};
  return microOf([&](Builder& b, ValueId z) { return emitActivation(b, name, z); });
}

MicroProgram slopeMicro(const std::string& name) {
  if (name == "none") return MicroProgram{};
  return microOf([&](Builder& b, ValueId z) { return emitSlope(b, name, z); });
}

}  // namespace pushforward
