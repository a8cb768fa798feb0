// Cases of gather, oneHot, cumsum and argmax: every axis, scalars and matrices of indices, rows picked twice.
import type { Input, Integers, OpCase } from './case.ts';

const normal = (...shape: number[]): Input => ({ shape, low: -3, high: 3 });
const below = (limit: number, ...shape: number[]): Integers => ({ shape, below: limit });

const picks: readonly (readonly [table: Input, indices: Integers, axis?: number])[] = [
  [normal(7, 5), below(7, 4, 3)],
  [normal(7, 5), below(7), 0],
  [normal(3, 4, 2), below(4, 9), 1],
  [normal(3, 4), below(4, 2, 2), -1],
  [normal(6), below(6, 5)],
  [normal(2, 17), below(2, 11)],
];

const lines: readonly (readonly [x: number[], axis?: number])[] = [
  [[4, 6]],
  [[4, 6], 0],
  [[3, 5, 4], 1],
  [[3, 2, 4], -3],
  [[9]],
  [[2, 1], 1],
  [[3, 33], 0],
];
const along = (axis: number | undefined): { axis?: number } => (axis === undefined ? {} : { axis });

/** Cases of the ops that count. */
export const gatherCases: readonly OpCase[] = [
  ...picks.map(
    ([table, indices, axis]): OpCase => ({
      op: 'gather',
      attributes: along(axis),
      inputs: [table],
      integers: [indices],
      kind: 'moves',
    }),
  ),
  ...[below(4, 5), below(3, 2, 3), below(17)].map(
    (indices): OpCase => ({
      op: 'oneHot',
      attributes: { classes: indices.below },
      inputs: [],
      integers: [indices],
      kind: 'moves',
      integer: true, // no tangent
    }),
  ),
  ...lines.flatMap(([shape, axis]) =>
    [undefined, false, true].map(
      (reverse): OpCase => ({
        op: 'cumsum',
        attributes: { ...along(axis), ...(reverse === undefined ? {} : { reverse }) },
        inputs: [normal(...shape)],
        integers: [],
        kind: 'products',
      }),
    ),
  ),
  ...lines.map(
    ([shape, axis]): OpCase => ({
      op: 'argmax',
      attributes: along(axis),
      inputs: [{ ...normal(...shape), apart: 0.05 }],
      integers: [],
      kind: 'moves',
      integer: true,
    }),
  ),
];
