// Losses, one number per example.
import { emit } from '../trace/graph.ts';
import type { Operand, Value } from '../trace/value.ts';

/** −ln softmax(logits)[label]: logits [..., classes], labels int32 [...] → [...]. A label outside [0, classes) gives NaN. */
export function softmaxCrossEntropy(logits: Operand, labels: Operand): Value {
  return emit('softmaxCrossEntropy', [logits, labels]);
}

/** The mean of (x − target)² over all axes but the first: [B, ...] → [B] */
export function meanSquaredError(x: Operand, target: Operand): Value {
  return emit('meanSquaredError', [x, target]);
}
