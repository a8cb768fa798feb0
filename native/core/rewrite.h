// The loop all rewrites share: walk a program in order, emit each node into a new one, and remember where its values went.
#pragma once
#include <vector>

#include "core/builder.h"

namespace pushforward {

class Rewrite {
 public:
  explicit Rewrite(const Program& source) : source(source), b(result_), map_(source.types.size(), none) {}

  const Program& source;

 private:
  Program result_;

 public:
  Builder b;

  ValueId operator[](ValueId value) const { return value == none ? none : map_[value]; }
  std::vector<ValueId> operator()(const std::vector<ValueId>& values) const {
    std::vector<ValueId> out;
    for (ValueId value : values) out.push_back((*this)[value]);
    return out;
  }
  void set(const Node& node, const std::vector<ValueId>& values) {
    for (size_t i = 0; i < values.size(); ++i) map_[node.firstOutput + i] = values[i];
  }
  void set(ValueId value, ValueId to) { map_[value] = to; }
  void keep(const Node& node) {
    b.phase = node.phase;
    set(node, b.clone(node, (*this)(node.inputs)));
  }
  Program finish() { return finish(source.outputs); }
  /** With other values of the source as outputs. */
  Program finish(const std::vector<ValueId>& outputs) {
    result_.outputs = (*this)(outputs);
    return std::move(result_);
  }

 private:
  std::vector<ValueId> map_;
};

}  // namespace pushforward
