// An op states, in one place: its shape rule, its jvp and vjp as programs, its lowering, its kernels, operations and bytes.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/panels.h"
#include "core/program.h"

namespace pushforward {

class Builder;

enum class AttributeKind : uint8_t { number, text, list, data };
struct AttributeSpec {
  std::string name;
  AttributeKind kind;
  bool required = false;
};

/** What a shape rule sees. `input[i]` is nullptr when the optional input is absent. */
struct TypeContext {
  const Op& op;
  std::vector<const Type*> input;
  const Attributes& attributes;
  const std::vector<std::shared_ptr<const Program>>& bodies;
};

/** x, xDot: inputs and their tangents [K, …] in the program being built, none where zero. A rule fills y and yDot. */
struct JvpContext {
  Builder& b;
  const Node& node;
  const std::vector<ValueId>& x;
  const std::vector<ValueId>& xDot;
  int64_t directions;
  std::vector<ValueId> y, yDot;
};

/** yBar: cotangents of the outputs, none where zero; a rule fills xBar for the wanted inputs. */
struct VjpContext {
  Builder& b;
  const Node& node;
  const std::vector<ValueId>& x;
  const std::vector<ValueId>& y;
  const std::vector<ValueId>& yBar;
  const std::vector<bool>& wanted;
  std::vector<ValueId> xBar;
};

/** Replaces a node by simpler ones: a lowering, or a transformation that expands the programs a node holds. */
struct ExpandContext {
  Builder& b;
  const Node& node;
  const std::vector<ValueId>& x;
  bool fuse;
};
using ExpandRule = std::function<std::vector<ValueId>(ExpandContext&)>;

/** One kernel call of a node: operand i is the node's input or output `operands[i]` (outputs are numbered after the inputs), -1 absent. */
struct KernelPlan {
  std::string kernel;
  std::vector<std::byte> parameters;
  std::vector<int> operands;
};

/** Of one node; `words` are Philox words. */
struct Cost {
  double operations = 0;
  double bytes = 0;
  double words = 0;
};

/** An input that may be a generated tangent: fusion drops a `random` node there and keeps its law under attributes `name`.… */
struct Absorption {
  int input;
  std::string name;
  bool lowRank;  // whether the kernel takes factors
};

/** The op that besides sets to 0 what it makes where y > 0 is false. y is its last input, or input `y` and no other will do. */
struct Gated {
  std::string op, kernel;
  int y = -1;
};

struct PlanContext {
  const Node& node;
  std::vector<const Type*> input, output;
  std::vector<SlotLayout> layout;  // of each input
  SlotLayout made;                 // of the output, which may be made in a slot
  Precision precision;
};

/** The kernel `name` of a product at the plan's precision: what rounds its operands is a kernel of its own. */
std::string productKernel(const PlanContext& context, const std::string& name);

struct Op {
  std::string name;
  int minInputs = 0;
  int maxInputs = 0;
  std::vector<AttributeSpec> attributes;
  std::function<std::vector<Type>(const TypeContext&)> infer;
  std::function<void(JvpContext&)> jvp;
  std::function<void(VjpContext&)> vjp;
  ExpandRule lower;   // into simpler ops; differentiation and {fuse: false} fall back on it
  ExpandRule expand;  // ops that hold programs: always applied before anything else
  std::function<std::vector<KernelPlan>(const PlanContext&)> kernels;
  std::function<Cost(const PlanContext&)> cost;
  ExpandRule tape;  // the same node with what its vjp rule needs as further outputs; none when `taped` says it has them
  std::function<bool(const Node&)> taped;
  bool loop = false;  // a plan runs its body again and again (scan)
  /** vjp wants this node lowered first (its derivative needs a value that the fused form does not keep). */
  std::function<bool(const Node&)> lowerForVjp;
  int alias = -1;                   // output 0 is input `alias` under another shape
  int row = -1;                     // row of the elementwise table
  bool fusedOnly = false;           // made by fusion: {fuse: false} must not meet it
  bool constantDerivative = false;  // outputs never carry a tangent (comparisons, random numbers, stopGradient)
  std::vector<Absorption> absorbs;
  Gated gated;                   // a pullback's; no op where there is none
  bool makesPanels = false;      // can make its output in panels: initial values
  std::vector<int> takesPanels;  // inputs that may lie in panels
  std::vector<int> writes;    // inputs overwritten in place (updates); such nodes are kept although nothing reads them
  bool betweenSteps = false;  // no step of a plan: an executor takes it between two steps when it must (mergeFactors)
  int guardsFrom = -1;        // inputs from here on are guards: where one is not finite the node writes nothing
};

/** Registers at load; the name is unique. */
struct OpRegistration {
  OpRegistration(Op op);  // NOLINT: `const OpRegistration name = [] { Op op; …; return op; }();`
};

/** nullptr when there is none. */
const Op* findOp(const std::string& name);
/** Throws INVALID_ARGUMENT naming it. */
const Op& getOp(const std::string& name);
std::vector<const Op*> allOps();

template <class P>
std::vector<std::byte> parameterBlock(const P& parameters) {
  const std::byte* begin = reinterpret_cast<const std::byte*>(&parameters);
  return std::vector<std::byte>(begin, begin + sizeof(P));
}

/** [0, 1, …, inputs + outputs − 1]: the operands of a kernel that takes them all in order, -1 for absent inputs. */
std::vector<int> allOperands(const PlanContext& context);

}  // namespace pushforward
