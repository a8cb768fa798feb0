// Random tensors inside a traced function: the public numbers of docs/guide/random.md, from the run's seed and step.
import { assertChoice, assertInteger, readOptions } from '../errors.ts';
import { currentGraph, emit } from '../trace/graph.ts';
import type { Value } from '../trace/value.ts';

/** Options of {@link random}. */
export interface RandomOptions {
  /** Default: 'gaussian' */
  distribution?: 'uniform' | 'gaussian' | 'rademacher';
  /** 16 to 31: the streams that the package itself never draws from. Default: 16 */
  stream?: number;
  /** Counter word 1, 0 to 2^32 − 1: tensors of one stream that must differ. Default: 0 */
  parameter?: number;
}

/**
 * A tensor drawn anew at every step: uniform in (0, 1), gaussian N(0, 1), or rademacher ±1. The step is that of the call (0 for evaluate).
 */
export function random(shape: readonly number[], options?: RandomOptions): Value {
  const {
    distribution = 'gaussian',
    stream = 16,
    parameter = 0,
  } = readOptions<RandomOptions>('random', options, ['distribution', 'stream', 'parameter']);
  assertChoice('random', 'distribution', distribution, ['uniform', 'gaussian', 'rademacher']);
  assertInteger('random', 'stream', stream, 16, 31);
  assertInteger('random', 'parameter', parameter, 0, 2 ** 32 - 1);
  currentGraph('random').nextRandomOrdinal(); // dropout counts these too
  return emit('random', [], { shape, distribution, stream, parameter });
}
