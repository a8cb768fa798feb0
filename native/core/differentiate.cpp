#include "core/differentiate.h"

#include <algorithm>

#include "core/error.h"
#include "core/fuse.h"

namespace pushforward {

namespace {

using Values = std::vector<ValueId>;

Values gather(const Values& map, const Values& ids) {
  Values out;
  for (ValueId id : ids) out.push_back(id == none ? none : map[id]);
  return out;
}

void scatter(Values& map, ValueId first, const Values& values) {
  for (size_t i = 0; i < values.size(); ++i) map[first + i] = values[i];
}

/** Maps the `input` nodes of a program, in order of declaration, to values given. */
class Inputs {
 public:
  explicit Inputs(const Values& values) : values_(values) {}
  ValueId next() { return values_[at_++]; }

 private:
  const Values& values_;
  size_t at_ = 0;
};

[[noreturn]] void notDifferentiable(const Node& node, const char* rule) {
  fail(Code::NOT_DIFFERENTIABLE, node.op->name, std::string("an op with a ") + rule + " rule or a lowering", "none");
}

/** A node's lowering as a program of its own. */
Program loweredNode(const Program& program, const Node& node, bool fuse) {
  Program body;
  Builder b(body);
  Values x;
  for (ValueId input : node.inputs) {
    if (input == none) {
      x.push_back(none);
      continue;
    }
    const Type& type = program.types[input];
    x.push_back(b.emit("input", {}, {{"shape", type.shape.dims()}, {"dtype", std::string(dtypeName(type.dtype))}}));
  }
  ExpandContext context{b, node, x, fuse};
  body.outputs = node.op->lower(context);
  return body;
}

Values presentOnly(const Values& ids) {
  Values out;
  for (ValueId id : ids)
    if (id != none) out.push_back(id);
  return out;
}

template <class T>
std::vector<T> presentOnly(const Values& ids, const std::vector<T>& values) {
  std::vector<T> out;
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] != none) out.push_back(values[i]);
  return out;
}

}  // namespace

std::vector<ValueId> inlineProgram(Builder& b, const Program& program, const Values& inputs) {
  Values map(program.types.size(), none);
  Inputs next(inputs);
  Phase before = b.phase;
  for (const Node& node : program.nodes) {
    b.phase = std::max(before, node.phase);
    if (node.op->name == "input")
      map[node.firstOutput] = next.next();
    else
      scatter(map, node.firstOutput, b.clone(node, gather(map, node.inputs)));
  }
  b.phase = before;
  return gather(map, program.outputs);
}

Program expandProgram(const Program& source, bool fuse) {
  Program expanded;
  Builder b(expanded);
  Values map(source.types.size(), none);
  for (const Node& node : source.nodes) {
    Values inputs = gather(map, node.inputs);
    Values outputs;
    b.phase = node.phase;
    Node inner = node;
    for (auto& body : inner.bodies) body = std::make_shared<Program>(expandProgram(*body, fuse));
    if (node.op->expand) {
      ExpandContext context{b, inner, inputs, fuse};
      outputs = node.op->expand(context);
    } else {
      outputs = b.clone(inner, inputs);
    }
    scatter(map, node.firstOutput, outputs);
  }
  expanded.outputs = gather(map, source.outputs);
  return fuse ? fuseDense(expanded) : expanded;
}

JvpResult emitJvp(Builder& b, const Program& program, const Values& x, const Values& xDot, int64_t directions,
                  bool fuse) {
  Values map(program.types.size(), none), dot(program.types.size(), none);
  Inputs nextX(x), nextDot(xDot);
  Phase before = b.phase;
  for (const Node& node : program.nodes) {
    b.phase = std::max(before, node.phase);
    if (node.op->name == "input") {
      map[node.firstOutput] = nextX.next();
      dot[node.firstOutput] = nextDot.next();
      continue;
    }
    Values inputs = gather(map, node.inputs), tangents = gather(dot, node.inputs);
    bool active = false;
    for (ValueId tangent : tangents) active |= tangent != none;
    if (!active || node.op->constantDerivative) {
      scatter(map, node.firstOutput, b.clone(node, inputs));
    } else if (node.op->jvp) {
      JvpContext context{b, node, inputs, tangents, directions, {}, {}};
      node.op->jvp(context);
      scatter(map, node.firstOutput, context.y);
      scatter(dot, node.firstOutput, context.yDot);
    } else if (node.op->lower) {
      Program body = loweredNode(program, node, fuse);
      JvpResult inner = emitJvp(b, body, presentOnly(inputs), presentOnly(node.inputs, tangents), directions, fuse);
      scatter(map, node.firstOutput, inner.outputs);
      scatter(dot, node.firstOutput, inner.tangents);
    } else {
      notDifferentiable(node, "jvp");
    }
  }
  b.phase = before;
  return {gather(map, program.outputs), gather(dot, program.outputs)};
}

namespace {

/** Lowers what has no vjp rule, or whose rule needs values that the fused form does not keep, until every node has one. */
Program lowerForVjp(const Program& source, bool fuse) {
  Program lowered;
  Builder b(lowered);
  Values map(source.types.size(), none);
  bool changed = false;
  for (const Node& node : source.nodes) {
    Values inputs = gather(map, node.inputs);
    b.phase = node.phase;
    bool lower = node.op->lower && (!node.op->vjp || (node.op->lowerForVjp && node.op->lowerForVjp(node)));
    bool tape = node.op->tape && !node.op->taped(node);
    if (lower || tape) {
      ExpandContext context{b, node, inputs, fuse};
      scatter(map, node.firstOutput, tape ? node.op->tape(context) : node.op->lower(context));
      changed = true;
    } else {
      scatter(map, node.firstOutput, b.clone(node, inputs));
    }
  }
  lowered.outputs = gather(map, source.outputs);
  return changed ? lowerForVjp(lowered, fuse) : lowered;
}

}  // namespace

VjpResult emitVjp(Builder& b, const Program& given, const Values& x, const std::vector<bool>& wanted,
                  const std::function<Values(const Values& outputs)>& yBar, bool fuse) {
  Program program = lowerForVjp(given, fuse);
  Values map(program.types.size(), none);
  std::vector<bool> active(program.types.size(), false);
  Values inputIds = program.inputValues();
  for (size_t i = 0; i < inputIds.size(); ++i) {
    map[inputIds[i]] = x[i];
    active[inputIds[i]] = wanted[i];
  }
  Phase before = b.phase;
  for (const Node& node : program.nodes) {
    if (node.op->name == "input") continue;
    b.phase = std::max(before, node.phase);
    scatter(map, node.firstOutput, b.clone(node, gather(map, node.inputs)));
    if (node.op->constantDerivative) continue;
    for (ValueId input : node.inputs)
      if (input != none && active[input])
        for (uint32_t i = 0; i < node.outputs; ++i)
          active[node.firstOutput + i] = program.types[node.firstOutput + i].dtype == DType::real;
  }

  Values outputs = gather(map, program.outputs);
  Values seeds = yBar(outputs);
  Values bar(program.types.size(), none);
  b.phase = Phase::backward;
  for (size_t i = 0; i < program.outputs.size(); ++i)
    if (active[program.outputs[i]]) bar[program.outputs[i]] = b.addOrNone(bar[program.outputs[i]], seeds[i]);

  for (size_t n = program.nodes.size(); n-- > 0;) {
    const Node& node = program.nodes[n];
    if (node.op->name == "input") continue;
    bool reached = false;
    Values cotangents;
    for (uint32_t i = 0; i < node.outputs; ++i) {
      ValueId out = node.firstOutput + i;
      cotangents.push_back(active[out] ? bar[out] : none);
      reached |= cotangents.back() != none;
    }
    std::vector<bool> inputsWanted;
    bool any = false;
    for (ValueId input : node.inputs) {
      inputsWanted.push_back(input != none && active[input]);
      any |= inputsWanted.back();
    }
    if (!reached || !any) continue;
    if (!node.op->vjp) notDifferentiable(node, "vjp");
    Values inputs = gather(map, node.inputs), nodeOutputs;
    for (uint32_t i = 0; i < node.outputs; ++i) nodeOutputs.push_back(map[node.firstOutput + i]);
    VjpContext context{b, node, inputs, nodeOutputs, cotangents, inputsWanted, Values(node.inputs.size(), none)};
    node.op->vjp(context);
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (inputsWanted[i]) bar[node.inputs[i]] = b.addOrNone(bar[node.inputs[i]], context.xBar[i]);
  }
  b.phase = before;
  VjpResult result{outputs, {}};
  for (size_t i = 0; i < inputIds.size(); ++i) result.cotangents.push_back(wanted[i] ? bar[inputIds[i]] : none);
  return result;
}

}  // namespace pushforward
