// Offsets of buffers from their lifetimes: two that live at the same step never overlap, everything else may.
#pragma once
#include <cstddef>
#include <vector>

namespace pushforward {

struct Lifetime {
  size_t bytes = 0;
  size_t begin = 0, end = 0;  // steps, both included
  size_t offset = 0;
  bool tape = false;
};

/** Largest first, each at the lowest 64-byte aligned offset that is free for all of its life. Returns the bytes needed. */
size_t assignOffsets(const std::vector<Lifetime*>& lives);

}  // namespace pushforward
