// dropout: stream 2 of the run's seed and step, one tensor per use in the program.
import { assertFinite, describe, PushforwardError, readOptions } from '../errors.ts';
import { currentGraph, emit } from '../trace/graph.ts';
import type { Operand, Value } from '../trace/value.ts';

/** The least of the uniforms (k + ½) 2⁻²³ that is not below `rate`: a comparison with it has the same result in float32 and float64. */
function threshold(rate: number): number {
  return (Math.ceil(rate * 2 ** 23 - 0.5) + 0.5) * 2 ** -23;
}

/**
 * In training, elements of x set to 0 with probability `rate`, from 0 to below 1, and the others divided by 1 − rate; x itself elsewhere. An
 * element is kept where its uniform u ≥ rate; u has x's shape, stream 2, and as parameter the ordinal of this op among the random ops
 * of the program. The mask of a step is one: its value, all of its directions and its pullback see the same.
 */
export function dropout(x: Operand, options: { rate: number }): Value {
  const { rate } = readOptions<{ rate: number }>('dropout', options, ['rate']);
  assertFinite('dropout', 'rate', rate, { min: 0, max: 1, below: true });
  const graph = currentGraph('dropout');
  const value = graph.operand('dropout', x);
  if (value.dtype === 'int32') throw new PushforwardError('DTYPE_MISMATCH', 'dropout', 'a real input', describe(value));
  if (!graph.context.training) return value;
  const parameter = graph.nextRandomOrdinal();
  if (rate === 0) return value;
  const uniform = emit('random', [], { shape: value.shape, distribution: 'uniform', stream: 2, parameter });
  const kept = emit('greaterEqual', [uniform, threshold(rate)], {}, 'dropout');
  return emit('where', [kept, emit('mul', [value, 1 / (1 - rate)], {}, 'dropout'), 0], {}, 'dropout');
}
