// scan {length T, carries, sequences, reverse} holds one program f: (carry, x_t, constants) → (carry', y_t), and runs it for t = 0 … T − 1
// (T − 1 … 0 in reverse): inputs carry, sequences [T, …], constants; outputs the last carry, then every y stacked to [T, …].
//   jvp  a scan of the jvp of f: carries and tangents only, memory constant in time; a generated tangent of a constant moves into f,
//        where it is generated again in every step and never stored whole
//   vjp  the primal scan also stacks the carry that enters each step (attribute taped); then a scan in the opposite direction computes
//        f again from it and goes back: c̄ and the sums of the constants' cotangents are its carry, x̄_t its outputs
#include "core/builder.h"
#include "core/differentiate.h"
#include "core/error.h"
#include "core/generated.h"
#include "core/op.h"

namespace pushforward {

namespace {

using Values = std::vector<ValueId>;

/** A node's inputs and f's inputs and outputs by what they are. */
struct Parts {
  size_t carries, sequences, constants, stacks;  // stacks: the outputs of f beyond the carry
  int64_t length;

  explicit Parts(const Attributes& a, const Program& f)
      : carries(static_cast<size_t>(a.integer("carries", 0))),
        sequences(static_cast<size_t>(a.integer("sequences", 0))),
        constants(0),
        stacks(0),
        length(a.integer("length", 0)) {
    size_t inputs = f.inputValues().size();
    if (a.number("carries", 0) < 0 || a.number("sequences", 0) < 0 || carries + sequences > inputs ||
        carries > f.outputs.size())
      fail(Code::INVALID_ARGUMENT, "scan",
           "carries and sequences among the " + std::to_string(inputs) + " inputs of its body",
           std::to_string(carries) + " and " + std::to_string(sequences));
    constants = inputs - carries - sequences;
    stacks = f.outputs.size() - carries;
  }
};

bool isReal(const Type& type) { return type.dtype == DType::real; }

ValueId inputLike(Builder& b, const Type& type) {
  return b.emit("input", {}, {{"shape", type.shape.dims()}, {"dtype", std::string(dtypeName(type.dtype))}});
}

std::vector<Type> inferScan(const TypeContext& context) {
  if (context.bodies.size() != 1)
    fail(Code::INVALID_ARGUMENT, "scan", "one program", std::to_string(context.bodies.size()));
  const Program& f = *context.bodies[0];
  Parts parts(context.attributes, f);
  if (parts.length < 1 || parts.length > (int64_t{1} << 31))
    fail(Code::INVALID_ARGUMENT, "scan", "a length of at least 1", std::to_string(parts.length));
  Values inputs = f.inputValues();
  if (context.input.size() != inputs.size())
    fail(Code::INVALID_ARGUMENT, "scan", std::to_string(inputs.size()) + " inputs",
         std::to_string(context.input.size()));
  for (size_t i = 0; i < inputs.size(); ++i) {
    Type wanted = f.types[inputs[i]];
    if (i >= parts.carries && i < parts.carries + parts.sequences) wanted.shape = wanted.shape.prepend(parts.length);
    if (!context.input[i] || !(*context.input[i] == wanted))
      fail(Code::SHAPE_MISMATCH, "scan", "input " + std::to_string(i) + " " + wanted.text(),
           context.input[i] ? context.input[i]->text() : "nothing");
  }
  std::vector<Type> types;
  for (size_t o = 0; o < f.outputs.size(); ++o) {
    Type type = f.types[f.outputs[o]];
    if (o < parts.carries && !(type == f.types[inputs[o]]))
      fail(Code::SHAPE_MISMATCH, "scan", "carry " + std::to_string(o) + " to stay " + f.types[inputs[o]].text(),
           type.text());
    if (o >= parts.carries) type.shape = type.shape.prepend(parts.length);
    types.push_back(type);
  }
  for (const Node& node : f.nodes)
    if (node.op->name == "random" && !isTangent(node))
      fail(Code::INVALID_ARGUMENT, "scan", "a body without random numbers (pass them in as a sequence)", "'random'");
  return types;
}

Attributes scanAttributes(int64_t length, size_t carries, size_t sequences, bool reverse, bool taped) {
  return {{"length", double(length)},
          {"carries", double(carries)},
          {"sequences", double(sequences)},
          {"reverse", reverse ? 1.0 : 0.0},
          {"taped", taped ? 1.0 : 0.0}};
}

/** [K, T, …] ↔ [T, K, …]. */
ValueId swapLeading(Builder& b, ValueId x) {
  std::vector<int64_t> permutation(static_cast<size_t>(b.shape(x).rank()));
  for (size_t i = 0; i < permutation.size(); ++i) permutation[i] = static_cast<int64_t>(i);
  std::swap(permutation[0], permutation[1]);
  return b.emit("transpose", {x}, {{"permutation", permutation}});
}

/** The jvp of f for given active inputs, as a program, and which of f's outputs have a tangent. */
struct Pushed {
  std::shared_ptr<Program> body = std::make_shared<Program>();
  std::vector<bool> carryTangent, stackTangent;
};

/** drawn[i]: the `random` node that is constant i's tangent, or nullptr. */
Pushed pushBody(const Program& f, const Parts& parts, const std::vector<bool>& active,
                const std::vector<const Node*>& drawn, int64_t directions) {
  Pushed pushed;
  Builder b(*pushed.body);
  Values inputs = f.inputValues(), x(inputs.size()), xDot(inputs.size(), none);
  auto declare = [&](size_t from, size_t to) {
    for (size_t i = from; i < to; ++i) x[i] = inputLike(b, f.types[inputs[i]]);
    for (size_t i = from; i < to; ++i) {
      if (!active[i]) continue;
      if (drawn[i])
        xDot[i] = b.clone(*drawn[i], {})[0];
      else
        xDot[i] = inputLike(b, {DType::real, f.types[inputs[i]].shape.prepend(directions)});
    }
  };
  declare(0, parts.carries);
  declare(parts.carries, parts.carries + parts.sequences);
  declare(parts.carries + parts.sequences, inputs.size());
  JvpResult result = emitJvp(b, f, x, xDot, directions, true);
  auto deliver = [&](size_t from, size_t to, std::vector<bool>& has, bool all) {
    for (size_t o = from; o < to; ++o) pushed.body->outputs.push_back(result.outputs[o]);
    for (size_t o = from; o < to; ++o) {
      bool wanted = result.tangents[o] != none || (all && active[o]);
      has.push_back(wanted);
      if (!wanted) continue;
      ValueId tangent = result.tangents[o];
      if (tangent == none) tangent = b.full(b.shape(result.outputs[o]).prepend(directions), 0);
      pushed.body->outputs.push_back(tangent);
    }
  };
  deliver(0, parts.carries, pushed.carryTangent, true);
  deliver(parts.carries, f.outputs.size(), pushed.stackTangent, false);
  return pushed;
}

void jvpScan(JvpContext& context) {
  Builder& b = context.b;
  const Program& f = *context.node.bodies[0];
  Parts parts(context.node.attributes, f);
  size_t sequencesEnd = parts.carries + parts.sequences, count = context.x.size();
  std::vector<bool> active(count);
  std::vector<const Node*> drawn(count, nullptr);
  std::vector<Node> copies;
  copies.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    active[i] = context.xDot[i] != none;
    if (!active[i] || i < sequencesEnd) continue;
    const Node& producer = b.program().producerOf(context.xDot[i]);
    if (!isTangent(producer)) continue;
    copies.push_back(producer);
    drawn[i] = &copies.back();
  }
  // A carry that gets a tangent from f has one from then on.
  Pushed pushed = pushBody(f, parts, active, drawn, context.directions);
  for (bool grown = true; grown;) {
    grown = false;
    for (size_t c = 0; c < parts.carries; ++c)
      if (pushed.carryTangent[c] && !active[c]) active[c] = grown = true;
    if (grown) pushed = pushBody(f, parts, active, drawn, context.directions);
  }

  Values inputs;
  auto pass = [&](size_t from, size_t to) {
    size_t before = inputs.size();
    for (size_t i = from; i < to; ++i) inputs.push_back(context.x[i]);
    for (size_t i = from; i < to; ++i) {
      if (!active[i] || drawn[i]) continue;
      ValueId tangent = context.xDot[i];
      if (tangent == none)
        tangent = b.full(b.shape(context.x[i]).prepend(context.directions), 0);
      else if (i >= parts.carries && i < sequencesEnd)
        tangent = swapLeading(b, tangent);
      inputs.push_back(tangent);
    }
    return inputs.size() - before;
  };
  size_t carries = pass(0, parts.carries), sequences = pass(parts.carries, sequencesEnd);
  pass(sequencesEnd, count);
  bool reverse = context.node.attributes.flag("reverse");
  Values out =
      b.emit(getOp("scan"), inputs, scanAttributes(parts.length, carries, sequences, reverse, false), {pushed.body});
  size_t at = 0;
  for (size_t c = 0; c < parts.carries; ++c) context.y.push_back(out[at++]);
  for (size_t c = 0; c < parts.carries; ++c) context.yDot.push_back(pushed.carryTangent[c] ? out[at++] : none);
  for (size_t s = 0; s < parts.stacks; ++s) context.y.push_back(out[at++]);
  for (size_t s = 0; s < parts.stacks; ++s)
    context.yDot.push_back(pushed.stackTangent[s] ? swapLeading(b, out[at++]) : none);
}

/** The same scan with the carry that enters each step as further stacks. */
Values tapeScan(ExpandContext& context) {
  const Program& f = *context.node.bodies[0];
  Parts parts(context.node.attributes, f);
  auto body = std::make_shared<Program>(f);
  Values inputs = f.inputValues();
  for (size_t c = 0; c < parts.carries; ++c) body->outputs.push_back(inputs[c]);
  bool reverse = context.node.attributes.flag("reverse");
  Values out = context.b.emit(getOp("scan"), context.x,
                              scanAttributes(parts.length, parts.carries, parts.sequences, reverse, true), {body});
  out.resize(parts.carries + parts.stacks);
  return out;
}

void vjpScan(VjpContext& context) {
  Builder& b = context.b;
  const Program& taped = *context.node.bodies[0];
  Parts parts(context.node.attributes, taped);
  parts.stacks -= parts.carries;
  size_t sequencesEnd = parts.carries + parts.sequences, count = context.x.size();
  Program f = taped;
  f.outputs.resize(parts.carries + parts.stacks);
  Values own = f.inputValues();

  auto body = std::make_shared<Program>();
  Builder inner(*body);
  Values inputs;  // of the backward scan
  Values cBar(parts.carries, none), sums(count, none), x(count), yBar(f.outputs.size(), none);
  std::vector<bool> wanted(count);
  for (size_t i = 0; i < count; ++i) wanted[i] = isReal(f.types[own[i]]) && (i < parts.carries || context.wanted[i]);
  auto orZeros = [&](ValueId value, const Shape& shape) { return value == none ? b.full(shape, 0) : value; };

  for (size_t c = 0; c < parts.carries; ++c) {
    if (!wanted[c]) continue;
    cBar[c] = yBar[c] = inputLike(inner, f.types[own[c]]);
    inputs.push_back(orZeros(context.yBar[c], f.types[own[c]].shape));
  }
  for (size_t i = sequencesEnd; i < count; ++i) {
    if (!wanted[i]) continue;
    sums[i] = inputLike(inner, f.types[own[i]]);
    inputs.push_back(b.full(f.types[own[i]].shape, 0));
  }
  size_t carries = inputs.size();
  for (size_t c = 0; c < parts.carries; ++c) {
    x[c] = inputLike(inner, f.types[own[c]]);
    inputs.push_back(context.y[parts.carries + parts.stacks + c]);
  }
  for (size_t i = parts.carries; i < sequencesEnd; ++i) {
    x[i] = inputLike(inner, f.types[own[i]]);
    inputs.push_back(context.x[i]);
  }
  for (size_t s = parts.carries; s < f.outputs.size(); ++s) {
    if (context.yBar[s] == none) continue;
    yBar[s] = inputLike(inner, f.types[f.outputs[s]]);
    inputs.push_back(context.yBar[s]);
  }
  size_t sequences = inputs.size() - carries;
  for (size_t i = sequencesEnd; i < count; ++i) {
    x[i] = inputLike(inner, f.types[own[i]]);
    inputs.push_back(context.x[i]);
  }
  VjpResult back = emitVjp(inner, f, x, wanted, [&](const Values&) { return yBar; }, true);

  for (size_t c = 0; c < parts.carries; ++c) {
    if (!wanted[c]) continue;
    ValueId cotangent = back.cotangents[c];
    body->outputs.push_back(cotangent == none ? inner.full(f.types[own[c]].shape, 0) : cotangent);
  }
  for (size_t i = sequencesEnd; i < count; ++i)
    if (wanted[i]) body->outputs.push_back(inner.addOrNone(sums[i], back.cotangents[i]));
  for (size_t i = parts.carries; i < sequencesEnd; ++i) {
    if (!wanted[i]) continue;
    ValueId cotangent = back.cotangents[i];
    body->outputs.push_back(cotangent == none ? inner.full(f.types[own[i]].shape, 0) : cotangent);
  }
  bool reverse = !context.node.attributes.flag("reverse");
  Values out = b.emit(getOp("scan"), inputs, scanAttributes(parts.length, carries, sequences, reverse, false), {body});
  size_t at = 0;
  for (size_t c = 0; c < parts.carries; ++c)
    if (wanted[c]) context.xBar[c] = out[at++];
  for (size_t i = sequencesEnd; i < count; ++i)
    if (wanted[i]) context.xBar[i] = out[at++];
  for (size_t i = parts.carries; i < sequencesEnd; ++i)
    if (wanted[i]) context.xBar[i] = out[at++];
}

const OpRegistration scan = [] {
  Op op;
  op.name = "scan";
  op.maxInputs = 1 << 12;
  op.attributes = {{"length", AttributeKind::number, true},
                   {"carries", AttributeKind::number, true},
                   {"sequences", AttributeKind::number},
                   {"reverse", AttributeKind::number},
                   {"taped", AttributeKind::number}};
  op.infer = inferScan;
  op.jvp = jvpScan;
  op.vjp = vjpScan;
  op.tape = tapeScan;
  op.taped = [](const Node& node) { return node.attributes.flag("taped"); };
  op.loop = true;
  return op;
}();

}  // namespace

}  // namespace pushforward
