// A plan: one list of kernel calls over a store and a workspace, made once and run many times.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/op.h"
#include "core/peaks.h"
#include "core/program.h"
#include "core/store.h"

namespace pushforward {

/** Where an operand lives. `pointer` for slots and constants, which never move; an offset or an index for the rest. */
struct Place {
  enum class Kind : uint8_t { absent, fixed, workspace, tape, input } kind = Kind::absent;
  void* pointer = nullptr;
  size_t offset = 0;  // of workspace or tape; index of input
};

class Plan;

/** The body of a scan as a plan of its own: inputs carry, elements of the sequences, constants; outputs carry, elements. */
struct Loop {
  std::shared_ptr<const Plan> body;
  int64_t trips;
  bool reverse;
  int carries, sequences;
};

/** A kernel call, or a loop. */
struct Step {
  const KernelEntry* kernel = nullptr;
  std::shared_ptr<const Loop> loop;
  size_t node;  // of the plan's program
  std::vector<std::byte> parameters;
  std::vector<Place> operands;
  size_t scratch = 0;  // offset in the workspace
  size_t scratchBytes = 0;
};

struct Output {
  Type type;
  Place place;
};

class Plan {
 public:
  /** Expands, lowers, fuses, lays out. Throws when an op has no kernel on the device. */
  Plan(const Program& traced, Store& store, const Device& device, bool fuse);

  const std::vector<Type>& inputs() const { return inputs_; }
  const std::vector<Output>& outputs() const { return outputs_; }
  const std::vector<Output>& guards() const { return guards_; }
  const std::vector<Step>& steps() const { return steps_; }
  /** Of every weight whose updates are kept (core/kept.h): adds them. */
  const std::vector<Step>& merges() const { return merges_; }
  /** Steps from one merge to the next; 1: nothing is kept. */
  int keptSteps() const { return keptSteps_; }
  size_t workspaceBytes() const { return workspaceBytes_; }
  size_t tapeBytes() const { return tapeBytes_; }
  size_t constantBytes() const { return constantBytes_; }
  bool writesStore() const { return writesStore_; }
  /** Steps with their places, bytes, operations, random words, and the least time that each can take at the peaks. */
  std::string describe(const Peaks& peaks) const;

  /** What an executor keeps with a plan for as long as it lives, e.g. a captured graph; used by one run at a time. */
  struct Kept {
    virtual ~Kept() = default;
  };
  mutable std::shared_ptr<Kept> kept;

 private:
  struct Layout;
  void scheduleNodes();
  void placeLeaves(Store& store);
  void placeAssigned();
  void makeSteps(Store& store, const Device& device, bool fuse);
  PlanContext contextOf(const Node& node) const;
  Step makeKernel(size_t n, KernelPlan& kernel, const Device& device) const;
  Step makeLoop(size_t n, Store& store, const Device& device, bool fuse);
  /** The operand that is a value, until layOut knows its place. */
  Place unplaced(ValueId value) const;
  void layOut(const Device& device);

  Program program_;
  std::vector<size_t> order_;           // nodes in order of execution
  std::vector<Place> places_;           // of every value
  std::map<ValueId, SlotLayout> made_;  // of values made in slots that lie in panels
  std::vector<Type> inputs_;
  std::vector<Output> outputs_, guards_;
  std::vector<Step> steps_, merges_;
  std::vector<Memory> constants_;
  size_t workspaceBytes_ = 0, tapeBytes_ = 0, constantBytes_ = 0;
  size_t realBytes_ = 4;
  Precision precision_ = Precision::f32;
  bool writesStore_ = false;
  int keptSteps_ = 1;
};

}  // namespace pushforward
