#include "queue.h"

#include <algorithm>

#include "sentences.h"

namespace softcuda::driver {

namespace {

constexpr size_t capacity = 4096;  // operations; a real launch queue is bounded too, and the call then waits

}  // namespace

OperationPointer Queue::submit(std::shared_ptr<const Work> work, const std::vector<OperationPointer>& after) {
  auto operation = std::make_shared<Operation>();
  operation->work = std::move(work);
  if (fault_) {
    operation->done = true;
    return operation;
  }
  for (const OperationPointer& earlier : after) {
    if (!earlier || earlier->done) continue;
    if (std::find(operation->after.begin(), operation->after.end(), earlier) != operation->after.end()) continue;
    operation->after.push_back(earlier);
    earlier->next.push_back(operation);
  }
  ++pending_;
  if (operation->after.empty()) ready_.push_back(operation);

  const Order order = Settings::get().order;
  if (order == Order::eager) waitForAll();
  if (order == Order::random && random_() % 4 == 0) runOne(true, true);
  if (pending_ > capacity)
    while (pending_ > capacity / 2 && runOne(true, true)) {
    }
  return operation;
}

void Queue::want(const OperationPointer& target) {
  ++wait_;
  std::vector<Operation*> open{target.get()};
  while (!open.empty()) {
    Operation* operation = open.back();
    open.pop_back();
    if (operation->wanted == wait_) continue;
    operation->wanted = wait_;
    for (const OperationPointer& earlier : operation->after) open.push_back(earlier.get());
  }
}

void Queue::waitFor(const OperationPointer& target) {
  if (!target || target->done) return;
  want(target);
  Order order = Settings::get().order;
  bool mixed = false;
  if (order == Order::random) {
    const uint64_t draw = random_() % 3;
    order = draw == 0 ? Order::late : Order::needed;
    mixed = draw == 2;
  }
  if (order == Order::late)
    while (runOne(false, true)) {
    }
  while (!target->done && runOne(true, mixed)) {
  }
}

void Queue::waitForAll() {
  while (runOne(true, true)) {
  }
}

void Queue::advance(const OperationPointer& target) {
  if (!target || target->done) return;
  if (random_() % 2) return waitFor(target);
  want(target);
  runOne(true, false);
}

bool Queue::runOne(bool wanted, bool unwanted) {
  std::vector<size_t> choices;
  for (size_t i = 0; i < ready_.size(); ++i)
    if (ready_[i]->wanted == wait_ ? wanted : unwanted) choices.push_back(i);
  if (choices.empty()) return false;
  const size_t choice = choices[random_() % choices.size()];
  const OperationPointer operation = ready_[choice];
  ready_.erase(ready_.begin() + static_cast<std::ptrdiff_t>(choice));
  run(operation);
  return true;
}

void Queue::run(const OperationPointer& operation) {
  try {
    perform(*operation->work, device_, random_() | 1);
  } catch (const DeviceFault& fault) {
    say(fault.sentence);
    append(Settings::get().faultFile, fault.sentence);
    finish(*operation);
    return setFault(fault.code);
  }
  finish(*operation);
}

void Queue::finish(Operation& operation) {
  operation.done = true;
  operation.work.reset();
  --pending_;
  for (const OperationPointer& later : operation.next) {
    auto& after = later->after;
    after.erase(
        std::find_if(after.begin(), after.end(), [&](const auto& earlier) { return earlier.get() == &operation; }));
    if (after.empty()) ready_.push_back(later);
  }
  operation.next.clear();
}

void Queue::setFault(int code) {
  if (!fault_) fault_ = code;
  drop();
}

void Queue::drop() {
  while (!ready_.empty()) {
    const OperationPointer operation = ready_.back();
    ready_.pop_back();
    finish(*operation);
  }
}

}  // namespace softcuda::driver
