// Parameter blocks of softmax, log_softmax, softmax_cross_entropy, pick and unpick.
#pragma once
#include "core/kernel.h"

namespace pushforward {

/** x and y are [outer, size, inner]; the softmax runs along `size`. Operands x, y. */
struct SoftmaxParameters {
  int64_t outer, size, inner;
};

/**
 * Row r < rows of a [rows, classes] tensor belongs to labels[r % labels] (labels repeat over leading axes such as K).
 * Operands: softmax_cross_entropy logits [rows, classes], labels, y [rows]; pick x [rows, classes], labels, y [rows];
 * unpick y [rows], labels, x [rows, classes]. A label outside [0, classes) makes its row NaN: a kernel cannot throw.
 */
struct PickParameters {
  int64_t rows, classes, labels;
};

}  // namespace pushforward
