// Rows of a table by number, and numbers as rows. Formulas in native/ops/gather.cpp.
import { assertInteger, readOptions } from '../errors.ts';
import { emit } from '../trace/graph.ts';
import type { Operand, Value } from '../trace/value.ts';

/**
 * The rows `indices` (int32, any shape) of `table` along `axis`, by default the first: table [n, ...], indices [...j] → [...j, ...]. An index
 * outside [0, n) gives a row of NaN; of an int32 table, which has no tangent, −2^31.
 */
export function gather(table: Operand, indices: Operand, options?: { axis?: number }): Value {
  const { axis = 0 } = readOptions<{ axis?: number }>('gather', options, ['axis']);
  assertInteger('gather', 'axis', axis, -8, 7);
  return emit('gather', [table, indices], { axis });
}

/** indices (int32) [...] → real [..., classes]: 1 at the index, 0 elsewhere; an index outside [0, classes) gives zeros. No tangent. */
export function oneHot(indices: Operand, options: { classes: number }): Value {
  const { classes } = readOptions<{ classes: number }>('oneHot', options, ['classes']);
  assertInteger('oneHot', 'classes', classes, 1, 2 ** 31 - 1);
  return emit('oneHot', [indices], { classes });
}
