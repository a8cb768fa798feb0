#include "core/plan.h"

#include <algorithm>
#include <cstring>

#include "core/differentiate.h"
#include "core/error.h"
#include "core/fuse.h"
#include "core/kept.h"
#include "core/liveness.h"
#include "core/packed.h"
#include "core/panels.h"

namespace pushforward {

namespace {

Program prepare(const Program& traced, bool fuse, const Device& device) {
  Program program = simplify(expandProgram(traced, fuse));
  if (!fuse) return simplify(lowerProgram(program, true));
  return fuseChains(fusePullbacks(simplify(lowerProgram(absorbGenerated(program), false)), device));
}

Program layOutFor(const Program& program, const Device& device) {
  const Program laidOut = layOutPanels(program, device.panelColumns, device.precision == Precision::bf16);
  return packActivations(keepUpdates(laidOut, device), device);
}

/** The value whose buffer an alias shows. */
ValueId rootOf(const Program& program, ValueId value) {
  while (program.producerOf(value).op->alias >= 0) {
    const Node& node = program.producerOf(value);
    value = node.inputs[node.op->alias];
  }
  return value;
}

bool isLeaf(const Node& node) {
  const std::string& name = node.op->name;
  return name == "input" || name == "parameter" || name == "constant" || name == "full";
}

}  // namespace

Plan::Plan(const Program& traced, Store& store, const Device& device, bool fuse)
    : program_(layOutFor(prepare(traced, fuse, device), device)),
      realBytes_(device.realBytes),
      precision_(device.precision),
      keptSteps_(pushforward::keptSteps(program_)) {
  scheduleNodes();
  placeLeaves(store);
  placeAssigned();
  makeSteps(store, device, fuse);
  layOut(device);
}

// Updates move up to right behind the last reader of what they write, so that the operands of their gradients die early.
void Plan::scheduleNodes() {
  size_t count = program_.nodes.size();
  std::vector<size_t> lastReader(program_.types.size(), 0);
  for (size_t n = 0; n < count; ++n) {
    if (!program_.nodes[n].op->writes.empty()) continue;
    for (ValueId input : program_.nodes[n].inputs)
      if (input != none) lastReader[rootOf(program_, input)] = n;
  }
  for (ValueId output : program_.outputs) {
    ValueId root = rootOf(program_, output);
    if (program_.producerOf(root).op->name == "parameter") lastReader[root] = count;
  }
  std::vector<std::vector<size_t>> after(count + 1);
  for (size_t n = 0; n < count; ++n) {
    const Node& node = program_.nodes[n];
    if (node.op->writes.empty() || node.op->betweenSteps) continue;
    writesStore_ = true;
    size_t at = 0;
    for (ValueId input : node.inputs) {
      if (input == none) continue;
      const ValueId root = rootOf(program_, input);  // leaves are there from the first step on, wherever they stand
      if (!isLeaf(program_.producerOf(root))) at = std::max<size_t>(at, program_.producer[root]);
    }
    for (int written : node.op->writes)
      if (written < static_cast<int>(node.inputs.size()) && node.inputs[written] != none)
        at = std::max(at, lastReader[rootOf(program_, node.inputs[written])]);
    after[std::min(at, count)].push_back(n);
    for (ValueId input : node.inputs)  // an update reads too: what it reads is written behind it
      if (input != none) lastReader[rootOf(program_, input)] = std::max(lastReader[rootOf(program_, input)], at);
  }
  for (size_t n = 0; n <= count; ++n) {
    if (n < count && program_.nodes[n].op->writes.empty()) order_.push_back(n);
    for (size_t update : after[n]) order_.push_back(update);
  }
}

namespace {

template <class T>
void fill(std::vector<std::byte>& bytes, const std::vector<double>* list, double value) {
  T* data = reinterpret_cast<T*>(bytes.data());
  const size_t count = bytes.size() / sizeof(T);
  for (size_t i = 0; i < count; ++i) data[i] = static_cast<T>(list ? (*list)[i] : value);
}

/** A `full` or `constant`, where the store lies. */
Memory constantOf(const Node& node, const Type& type, const Store& store) {
  std::vector<std::byte> bytes(store.bytesOf(type));
  const AttributeValue* found = node.attributes.find("data");
  const std::vector<double>* list = found ? &std::get<std::vector<double>>(*found) : nullptr;
  const double value = node.attributes.number("value", 0);
  auto fillAs = type.dtype == DType::int32 ? fill<int32_t> : store.realBytes() == 8 ? fill<double> : fill<float>;
  fillAs(bytes, list, value);
  Memory memory(bytes.size(), false, store.space());
  memory.write(bytes.data(), bytes.size());
  return memory;
}

}  // namespace

void Plan::placeLeaves(Store& store) {
  places_.resize(program_.types.size());
  double fresh = 0;
  for (const Node& node : program_.nodes) {
    bool slot = node.op->name == "parameter", value = node.op->name == "constant" || node.op->name == "full";
    if (value || (slot && !store.has(node.attributes.text("name", ""))))
      fresh += double(store.bytesOf(program_.types[node.firstOutput]));
  }
  store.space()->expect(fresh);  // all or nothing: what would not fit is not begun
  for (const Node& node : program_.nodes) {
    Place& place = places_[node.outputs ? node.firstOutput : 0];
    if (node.op->name == "input") {
      place = {Place::Kind::input, nullptr, inputs_.size()};
      inputs_.push_back(program_.types[node.firstOutput]);
    } else if (node.op->name == "parameter") {
      std::string name = node.attributes.text("name", "");
      Region region = name.rfind("state/", 0) == 0 ? Region::state : Region::parameters;
      ValueId value = node.firstOutput;
      Slot& slot = store.declare(name, program_.types[value], region, layoutOf(program_, value));
      place = {Place::Kind::fixed, slot.memory.data(), 0};
    } else if (node.op->name == "constant" || node.op->name == "full") {
      const Type& type = program_.types[node.firstOutput];
      constants_.push_back(constantOf(node, type, store));
      constantBytes_ += store.bytesOf(type);
      place = {Place::Kind::fixed, constants_.back().data(), 0};
    }
  }
}

// A value that is made to be assigned, and for nothing else, is made in the slot itself: initial values need no workspace.
void Plan::placeAssigned() {
  for (const Node& node : program_.nodes)
    for (int written : node.op->writes)
      if (written < static_cast<int>(node.inputs.size()) && node.inputs[written] != none &&
          program_.producerOf(node.inputs[written]).op->name != "parameter")
        fail(Code::INVALID_ARGUMENT, node.op->name, "a parameter as input " + std::to_string(written), "another value");
  std::vector<int> uses = countUses(program_);
  for (const Node& node : program_.nodes) {
    if (node.op->name != "assign" || node.inputs.size() > 2) continue;  // under guards nothing may be written too early
    ValueId slot = node.inputs[0], value = node.inputs[1];
    const Op& maker = *program_.producerOf(value).op;
    SlotLayout layout = layoutOf(program_, slot);
    bool made = places_[value].kind == Place::Kind::absent && maker.alias < 0 &&
                (!layout.inPanels() || (maker.makesPanels && layout.layout == WeightLayout::panels));
    if (!made || uses[value] != 1 || uses[slot] != 1) continue;
    places_[value] = places_[slot];
    if (layout.inPanels()) made_[value] = layout;
  }
}

Place Plan::unplaced(ValueId value) const {
  if (value == none) return {};
  return {Place::Kind::workspace, nullptr, rootOf(program_, value)};
}

PlanContext Plan::contextOf(const Node& node) const {
  PlanContext context{node, {}, {}, {}, {}, precision_};
  auto made = made_.find(node.firstOutput);
  if (node.outputs > 0 && made != made_.end()) context.made = made->second;
  for (ValueId input : node.inputs) {
    context.input.push_back(input == none ? nullptr : &program_.types[input]);
    context.layout.push_back(layoutOf(program_, input));
  }
  for (uint32_t i = 0; i < node.outputs; ++i) context.output.push_back(&program_.types[node.firstOutput + i]);
  return context;
}

Step Plan::makeLoop(size_t n, Store& store, const Device& device, bool fuse) {
  const Node& node = program_.nodes[n];
  const Attributes& a = node.attributes;
  auto body = std::make_shared<Plan>(*node.bodies[0], store, device, fuse);
  Loop loop{body, a.integer("length", 0), a.flag("reverse"), static_cast<int>(a.integer("carries", 0)),
            static_cast<int>(a.integer("sequences", 0))};
  Step step;
  step.node = n;
  for (ValueId input : node.inputs) step.operands.push_back(unplaced(input));
  for (uint32_t i = 0; i < node.outputs; ++i) step.operands.push_back(unplaced(node.firstOutput + i));
  step.scratchBytes = aligned(body->workspaceBytes()) + aligned(body->tapeBytes());
  for (int c = 0; c < loop.carries; ++c)
    step.scratchBytes += 2 * aligned(store.bytesOf(body->inputs()[static_cast<size_t>(c)]));
  step.loop = std::make_shared<Loop>(std::move(loop));
  return step;
}

Step Plan::makeKernel(size_t n, KernelPlan& kernel, const Device& device) const {
  const Node& node = program_.nodes[n];
  Step step;
  step.kernel = findKernel(device.set, kernel.kernel);
  if (!step.kernel)
    fail(Code::NO_KERNEL, node.op->name, "the kernel " + kernel.kernel + " on " + device.name,
         "none for " + device.set);
  step.node = n;
  step.parameters = std::move(kernel.parameters);
  if (step.kernel->scratch) step.scratchBytes = step.kernel->scratch(step.parameters.data(), device.threads);
  for (int operand : kernel.operands) {
    size_t inputs = node.inputs.size(), index = static_cast<size_t>(operand);
    ValueId output = node.firstOutput + static_cast<ValueId>(index - inputs);
    step.operands.push_back(unplaced(operand < 0 ? none : index < inputs ? node.inputs[index] : output));
  }
  return step;
}

void Plan::makeSteps(Store& store, const Device& device, bool fuse) {
  for (size_t n : order_) {
    const Node& node = program_.nodes[n];
    if (node.op->loop) {
      steps_.push_back(makeLoop(n, store, device, fuse));
      continue;
    }
    if (isLeaf(node) || node.op->alias >= 0) continue;
    if (node.op->name == "assign" && places_[node.inputs[1]].pointer == places_[node.inputs[0]].pointer) continue;
    if (!node.op->kernels) fail(Code::NO_KERNEL, node.op->name, "a kernel or a lowering", "an op that has neither");
    for (KernelPlan& kernel : node.op->kernels(contextOf(node))) steps_.push_back(makeKernel(n, kernel, device));
  }
  for (size_t n = 0; n < program_.nodes.size(); ++n)
    if (program_.nodes[n].op->betweenSteps)
      for (KernelPlan& kernel : program_.nodes[n].op->kernels(contextOf(program_.nodes[n])))
        merges_.push_back(makeKernel(n, kernel, device));
}

void Plan::layOut(const Device& device) {
  size_t values = program_.types.size(), last = steps_.size();
  std::vector<Lifetime> lives(values);
  auto bytesOf = [&](ValueId value) {
    const Type& type = program_.types[value];
    return static_cast<size_t>(type.shape.count()) * (type.dtype == DType::int32 ? sizeof(int32_t) : device.realBytes);
  };
  auto touch = [&](ValueId value, size_t step) {
    if (places_[value].kind != Place::Kind::absent) return;
    Lifetime& life = lives[value];
    if (!life.bytes) {
      life.bytes = std::max<size_t>(1, bytesOf(value));
      life.begin = step;
    }
    life.end = step;
  };
  for (size_t s = 0; s < steps_.size(); ++s)
    for (const Place& operand : steps_[s].operands)
      if (operand.kind == Place::Kind::workspace) {
        ValueId value = static_cast<ValueId>(operand.offset);
        touch(value, s);
        const Node &maker = program_.producerOf(value), &user = program_.nodes[steps_[s].node];
        if (maker.phase == Phase::forward && user.phase == Phase::backward) lives[value].tape = true;
      }
  auto keep = [&](ValueId value) {
    ValueId root = rootOf(program_, value);
    if (places_[root].kind == Place::Kind::absent) touch(root, last);
    return root;
  };
  std::vector<ValueId> outputRoots, guardRoots, guardValues;
  for (ValueId output : program_.outputs) outputRoots.push_back(keep(output));
  for (const Node& node : program_.nodes)
    if (node.op->guardsFrom >= 0)
      for (size_t i = static_cast<size_t>(node.op->guardsFrom); i < node.inputs.size(); ++i)
        if (node.inputs[i] != none &&
            std::find(guardValues.begin(), guardValues.end(), node.inputs[i]) == guardValues.end()) {
          guardValues.push_back(node.inputs[i]);
          guardRoots.push_back(keep(node.inputs[i]));
        }

  std::vector<Lifetime> scratch;
  for (size_t s = 0; s < steps_.size(); ++s) {
    Lifetime life;
    life.bytes = steps_[s].scratchBytes;
    life.begin = life.end = s;
    scratch.push_back(life);
  }
  std::vector<Lifetime*> workspace, tape;
  for (Lifetime& life : lives)
    if (life.bytes) (life.tape ? tape : workspace).push_back(&life);
  for (Lifetime& life : scratch)
    if (life.bytes) workspace.push_back(&life);
  workspaceBytes_ = assignOffsets(workspace);
  tapeBytes_ = assignOffsets(tape);

  for (ValueId value = 0; value < values; ++value)
    if (lives[value].bytes)
      places_[value] = {lives[value].tape ? Place::Kind::tape : Place::Kind::workspace, nullptr, lives[value].offset};
  for (size_t s = 0; s < steps_.size(); ++s) {
    steps_[s].scratch = scratch[s].offset;
    for (Place& operand : steps_[s].operands)
      if (operand.kind == Place::Kind::workspace) operand = places_[operand.offset];
  }
  for (Step& merge : merges_)  // of slots alone
    for (Place& operand : merge.operands) operand = places_[operand.offset];
  for (size_t i = 0; i < outputRoots.size(); ++i)
    outputs_.push_back({program_.types[program_.outputs[i]], places_[outputRoots[i]]});
  for (size_t i = 0; i < guardRoots.size(); ++i)
    guards_.push_back({program_.types[guardValues[i]], places_[guardRoots[i]]});
}

}  // namespace pushforward
