// The objects behind the handles of the API.
#pragma once
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "api.h"
#include "queue.h"

namespace softcuda::driver {

struct Context;
struct Stream;

struct Node {
  std::shared_ptr<const Work> work;
  std::vector<size_t> after;  // nodes before this one in the list
};

/** A capture sequence: the nodes so far and the streams that take part. */
struct Capture {
  int mode;
  std::thread::id thread;
  const Stream* origin;
  bool invalid = false;
  bool ended = false;
  std::vector<Node> nodes;
  std::vector<std::shared_ptr<Stream>> streams;
};

struct Stream {
  Context& context;
  bool blocking;        // synchronises with the legacy stream
  bool legacy = false;  // the default stream itself
  OperationPointer last;
  std::shared_ptr<Capture> capture;
  std::set<size_t> tips;  // nodes that the next captured one comes after
};

struct Event {
  Context& context;
  unsigned flags;
  OperationPointer last;       // its last record
  std::shared_ptr<Time> time;  // of that record
  std::shared_ptr<Capture> capture;
  std::set<size_t> tips;  // of the capturing stream at the record
};

struct Function {
  std::shared_ptr<const LoadedModule> module;
  const Kernel* kernel;
  Context& context;
  int maxDynamicShared;
  int carveout = -1;
};

struct ModuleObject {
  std::shared_ptr<LoadedModule> loaded;
  Context& context;
  std::vector<CUfunction> functions;
  std::vector<uint64_t> allocations;  // of its variables
};

struct Graph {
  std::vector<Node> nodes;
  std::vector<CUgraphNode> handles;
};

struct GraphExec {
  std::vector<Node> nodes;
  OperationPointer last;  // end of its last launch: launches of one graph follow each other
};

struct Context {
  Context(int ordinal, Device& device, std::mt19937_64& random)
      : ordinal(ordinal), device(device), queue(device, random) {}
  const int ordinal;
  Device& device;
  Queue queue;
  int users = 1;
  CUcontext handle = nullptr;
  std::shared_ptr<Stream> defaultStream = std::make_shared<Stream>(Stream{*this, false, true, {}, {}, {}});
  std::vector<std::shared_ptr<Stream>> streams;
  std::vector<OperationPointer> orphans;  // last operations of destroyed blocking streams
  std::set<uint64_t> allocations;         // by cuMemAlloc
};

}  // namespace softcuda::driver
