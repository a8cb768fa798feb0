// Along one axis: running sums, and the place of the largest. Formulas in native/ops/cumsum.cpp.
import { assertBoolean, assertInteger, readOptions } from '../errors.ts';
import { emit } from '../trace/graph.ts';
import type { Operand, Value } from '../trace/value.ts';

/** Options of {@link cumsum}. */
export interface CumsumOptions {
  /** Default: -1, the last */
  axis?: number;
  /** Sums from the end. Default: false */
  reverse?: boolean;
}

/** x₀, x₀ + x₁, … along `axis` */
export function cumsum(x: Operand, options?: CumsumOptions): Value {
  const { axis = -1, reverse = false } = readOptions<CumsumOptions>('cumsum', options, ['axis', 'reverse']);
  assertInteger('cumsum', 'axis', axis, -8, 7);
  assertBoolean('cumsum', 'reverse', reverse);
  return emit('cumsum', [x], { axis, reverse });
}

/** The place of the largest along `axis` (by default the last), which goes away: int32, the first on a tie, the first NaN if there is one. */
export function argmax(x: Operand, options?: { axis?: number }): Value {
  const { axis = -1 } = readOptions<{ axis?: number }>('argmax', options, ['axis']);
  assertInteger('argmax', 'axis', axis, -8, 7);
  return emit('argmax', [x], { axis });
}
