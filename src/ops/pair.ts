// Options with one number per spatial axis.
import { assertInteger, describe, PushforwardError } from '../errors.ts';

/** One number for both spatial axes, or one each: along y, then along x. */
export type Pair = number | readonly [y: number, x: number];

/**
 * Both numbers of a pair. Throws INVALID_ARGUMENT.
 * @internal
 */
export function readPair(where: string, name: string, value: unknown, min: number): [number, number] {
  const pair: readonly unknown[] = Array.isArray(value) ? value : [value, value];
  if (pair.length !== 2) {
    throw new PushforwardError('INVALID_ARGUMENT', where, `${name} to be an integer or two of them`, describe(value));
  }
  for (const each of pair) assertInteger(where, name, each, min, 2 ** 31 - 1);
  return [pair[0] as number, pair[1] as number];
}
