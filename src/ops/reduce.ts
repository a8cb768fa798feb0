// Reductions over axes, and the softmax family over one axis. Formulas in native/ops/reduce.cpp and native/ops/softmax.cpp.
import { assertBoolean, assertInteger, describe, PushforwardError, readOptions } from '../errors.ts';
import { emit } from '../trace/graph.ts';
import type { Operand, Value } from '../trace/value.ts';

/** Options of a reduction. */
export interface ReduceOptions {
  /** The axes that go away; negative ones count from the end. Default: all */
  axis?: number | readonly number[];
  /** Keeps each reduced axis with size 1. Default: false */
  keepDims?: boolean;
}

function axesOf(where: string, axis: unknown): readonly number[] | undefined {
  if (axis === undefined) return undefined;
  const axes = Array.isArray(axis) ? (axis as readonly unknown[]) : [axis];
  for (const item of axes) assertInteger(where, 'axis', item, -8, 7);
  if (axes.length === 0)
    throw new PushforwardError('INVALID_ARGUMENT', where, 'at least one axis (leave it out for all)', describe(axis));
  return axes as readonly number[];
}

const reduction =
  (name: string) =>
  (x: Operand, options?: ReduceOptions): Value => {
    const { axis, keepDims = false } = readOptions<ReduceOptions>(name, options, ['axis', 'keepDims']);
    assertBoolean(name, 'keepDims', keepDims);
    return emit(name, [x], { axis: axesOf(name, axis), keepDims });
  };

type Reduction = (x: Operand, options?: ReduceOptions) => Value;

/** Σ x @function */
export const sum: Reduction = reduction('sum');
/** (1/n) Σ x @function */
export const mean: Reduction = reduction('mean');
/** The largest; on a tie the derivative goes to the first. @function */
export const max: Reduction = reduction('max');
/** ln Σ eˣ, without overflow @function */
export const logSumExp: Reduction = reduction('logSumExp');

const along =
  (name: string) =>
  (x: Operand, options?: { axis?: number }): Value => {
    const { axis = -1 } = readOptions<{ axis?: number }>(name, options, ['axis']);
    assertInteger(name, 'axis', axis, -8, 7);
    return emit(name, [x], { axis });
  };

/** eˣ / Σ eˣ along `axis`, by default the last @function */
export const softmax: (x: Operand, options?: { axis?: number }) => Value = along('softmax');
/** x − ln Σ eˣ along `axis`, by default the last @function */
export const logSoftmax: (x: Operand, options?: { axis?: number }) => Value = along('logSoftmax');
