// chain in float64, element by element.
#include "ops/elementwise_reference.h"

#include <cmath>

#include "core/kernel.h"
#include "ops/elementwise.h"
#include "ops/elementwise_table.h"

namespace pushforward::reference {

namespace {

using std::abs, std::cos, std::erf, std::exp, std::log, std::pow, std::sin, std::sqrt, std::tanh;

double select(bool mask, double x, double y) { return mask ? x : y; }
double sigmoid(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }
double elu(double x, double alpha) { return x > 0 ? x : alpha * std::expm1(x); }
double softplus(double x) { return (x > 0 ? x : 0) + std::log1p(exp(-abs(x))); }
// The limit at −∞ is 0, which the formulas miss.
double gelu(double x) { return x < -100 ? -0.0 : 0.5 * x * std::erfc(x * -0.70710678118654752440); }
double silu(double x) { return x < -1000 ? -0.0 : x / (1 + exp(-x)); }
double geluTanh(double x) {
  return x < -100 ? -0.0 : x / (1 + exp(-x * (1.59576912160573071176 + 0.07135481627160024875 * x * x)));
}

#define PUSHFORWARD_ROW(name, arity, integer, formula, ...) \
  double name##Row([[maybe_unused]] double x, [[maybe_unused]] double y, [[maybe_unused]] double z) { return formula; }
PUSHFORWARD_ELEMENTWISE(PUSHFORWARD_ROW)
#undef PUSHFORWARD_ROW

using RowFunction = double (*)(double, double, double);
#define PUSHFORWARD_ROW(name, ...) name##Row,
constexpr RowFunction rowFunctions[] = {PUSHFORWARD_ELEMENTWISE(PUSHFORWARD_ROW)};
#undef PUSHFORWARD_ROW

}  // namespace

void evaluateMicroProgram(const MicroProgram& program, const double* inputs, double* outputs) {
  double registers[maxMicroInputs + maxMicroImmediates + maxMicroOps];
  double* next = registers;
  for (int i = 0; i < program.inputs; ++i) *next++ = inputs[i];
  for (int i = 0; i < program.immediates; ++i) *next++ = program.immediate[i];
  for (int i = 0; i < program.ops; ++i) {
    const MicroOp& op = program.op[i];
    double in[3] = {0, 0, 0};
    for (int k = 0; k < 3 && op.in[k] >= 0; ++k) in[k] = registers[op.in[k]];
    *next++ = rowFunctions[op.row](in[0], in[1], in[2]);
  }
  for (int o = 0; o < program.outputs; ++o) outputs[o] = registers[program.output[o]];
}

double evaluateMicroProgram(const MicroProgram& program, double input) {
  double output;
  evaluateMicroProgram(program, &input, &output);
  return output;
}

static void chain(const KernelCall& call) {
  const ChainParameters& p = *static_cast<const ChainParameters*>(call.parameters);
  const MicroProgram& program = p.program;
  int64_t count = 1;
  for (int axis = 0; axis < p.rank; ++axis) count *= p.shape[axis];
  for (int64_t element = 0; element < count; ++element) {
    double inputs[maxMicroInputs], outputs[maxMicroOutputs];
    for (int i = 0; i < program.inputs; ++i) {
      int64_t offset = 0, rest = element;
      for (int axis = p.rank - 1; axis >= 0; --axis) {
        offset += rest % p.shape[axis] * p.stride[i][axis];
        rest /= p.shape[axis];
      }
      inputs[i] = p.integer[i] ? static_cast<const int32_t*>(call.operands[i])[offset]
                               : static_cast<const double*>(call.operands[i])[offset];
    }
    evaluateMicroProgram(program, inputs, outputs);
    for (int o = 0; o < program.outputs; ++o) {
      void* to = call.operands[program.inputs + o];
      if (p.integer[program.inputs + o])
        static_cast<int32_t*>(to)[element] = static_cast<int32_t>(outputs[o]);
      else
        static_cast<double*>(to)[element] = outputs[o];
    }
  }
}

PUSHFORWARD_REFERENCE_KERNEL(chain, chain)

}  // namespace pushforward::reference
