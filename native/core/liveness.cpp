#include "core/liveness.h"

#include <algorithm>

#include "core/memory.h"

namespace pushforward {

size_t assignOffsets(const std::vector<Lifetime*>& lives) {
  std::vector<Lifetime*> bySize = lives;
  std::stable_sort(bySize.begin(), bySize.end(),
                   [](const Lifetime* a, const Lifetime* b) { return a->bytes > b->bytes; });
  std::vector<Lifetime*> placed;  // by offset
  size_t total = 0;
  for (Lifetime* life : bySize) {
    size_t bytes = aligned(life->bytes), offset = 0;
    for (const Lifetime* other : placed) {
      if (other->end < life->begin || other->begin > life->end) continue;
      if (offset + bytes <= other->offset) break;
      offset = std::max(offset, other->offset + aligned(other->bytes));
    }
    life->offset = offset;
    auto at = std::upper_bound(placed.begin(), placed.end(), offset,
                               [](size_t o, const Lifetime* l) { return o < l->offset; });
    placed.insert(at, life);
    total = std::max(total, offset + bytes);
  }
  return total;
}

}  // namespace pushforward
