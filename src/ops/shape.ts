// Ops that move data and change none of it.
import { assertFinite, assertInteger, describe, PushforwardError, readOptions } from '../errors.ts';
import { sizeOf } from '../tensor.ts';
import { currentGraph, emit } from '../trace/graph.ts';
import type { Operand, Value } from '../trace/value.ts';

function integers(where: string, name: string, value: unknown, min: number): readonly number[] {
  if (!Array.isArray(value))
    throw new PushforwardError('INVALID_ARGUMENT', where, `${name} to be an array of integers`, describe(value));
  for (const item of value) assertInteger(where, name, item, min);
  return value as readonly number[];
}

/** The same elements in another shape; one size may be -1 and is then found. */
export function reshape(x: Operand, shape: readonly number[]): Value {
  return emit('reshape', [x], { shape: integers('reshape', 'shape', shape, -1) });
}

/** [B, …] → [B, product of the rest]. */
export function flatten(x: Operand): Value {
  const graph = currentGraph('flatten');
  const value = graph.operand('flatten', x);
  const [first] = value.shape;
  if (first === undefined)
    throw new PushforwardError('SHAPE_MISMATCH', 'flatten', 'at least one axis', describe(value));
  return emit('reshape', [value], { shape: [first, sizeOf(value.shape.slice(1))] }, 'flatten');
}

/** Axis i of the result is axis `permutation[i]` of x. Default: the axes reversed */
export function transpose(x: Operand, permutation?: readonly number[]): Value {
  return emit('transpose', [x], {
    permutation: permutation === undefined ? undefined : integers('transpose', 'permutation', permutation, -8),
  });
}

/** x repeated to `shape` by NumPy's rule. */
export function broadcast(x: Operand, shape: readonly number[]): Value {
  return emit('broadcast', [x], { shape: integers('broadcast', 'shape', shape, 0) });
}

/** The inputs one behind the other along `axis`. Default: 0 */
export function concat(inputs: readonly Operand[], options?: { axis?: number }): Value {
  if (!Array.isArray(inputs))
    throw new PushforwardError('INVALID_ARGUMENT', 'concat', 'an array of Values', describe(inputs));
  const { axis = 0 } = readOptions<{ axis?: number }>('concat', options, ['axis']);
  assertInteger('concat', 'axis', axis, -8, 7);
  return emit('concat', inputs, { axis });
}

/** The box of `size` whose first element lies at `start`; one number of each per axis. */
export function slice(x: Operand, start: readonly number[], size: readonly number[]): Value {
  return emit('slice', [x], { start: integers('slice', 'start', start, 0), size: integers('slice', 'size', size, 0) });
}

/** `before` and `after` more elements of `value` along each axis. Default value: 0 */
export function pad(
  x: Operand,
  options: { before: readonly number[]; after: readonly number[]; value?: number },
): Value {
  const {
    before,
    after,
    value = 0,
  } = readOptions<{ before: readonly number[]; after: readonly number[]; value?: number }>('pad', options, [
    'before',
    'after',
    'value',
  ]);
  assertFinite('pad', 'value', value);
  return emit('pad', [x], {
    before: integers('pad', 'before', before, 0),
    after: integers('pad', 'after', after, 0),
    value,
  });
}

/** x itself, through which no tangent and no cotangent passes. */
export function stopGradient(x: Operand): Value {
  return emit('stopGradient', [x]);
}
