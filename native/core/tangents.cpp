#include "core/tangents.h"

#include "core/error.h"
#include "core/philox.h"

namespace pushforward {

void writeTangent(const std::string& kind, int rank, const Shape& shape, uint32_t parameter, const uint32_t key[2],
                  uint32_t step, uint32_t direction, float* out) {
  int64_t n = shape.rank() ? shape[shape.rank() - 1] : 1;
  int64_t rows = shape.rank() > 1 ? shape.product(0, shape.rank() - 1) : 1;
  Draw draw{{key[0], key[1]}, parameter, tangentStream, direction, step};
  if (kind == "gaussian") {
    fillGaussian(draw, n, 0, rows, out);
  } else if (kind == "rademacher" || (kind == "lowRank" && shape.rank() < 2)) {
    fillRademacher(draw, n, 0, rows, out);
  } else if (kind == "lowRank" && rank > 0) {
    fillLowRank(draw, rank, rows, n, 0, rows, out);
  } else {
    fail(Code::INVALID_ARGUMENT, "materialise", "gaussian, rademacher or lowRank with a rank",
         "'" + kind.substr(0, 40) + "'");
  }
}

void shuffleExamples(int64_t n, const uint32_t key[2], uint32_t epoch, int32_t* out) {
  shuffle(key, epoch, n, reinterpret_cast<uint32_t*>(out));
}

}  // namespace pushforward
