// Cases of the reductions and of the softmax family: one axis, several, all, negative ones, kept and dropped.
import type { Input, OpCase } from './case.ts';

const normal = (...shape: number[]): Input => ({ shape, low: -2, high: 2 });
const distinct = (...shape: number[]): Input => ({ shape, low: -2, high: 2, apart: 0.05 });
const plain = { integers: [], kind: 'products' } as const;

const axes: readonly (readonly [shape: number[], axis?: number | number[]])[] = [
  [[4, 6]],
  [[4, 6], 0],
  [[4, 6], 1],
  [[4, 6], -2],
  [
    [3, 2, 4],
    [0, 2],
  ],
  [
    [3, 2, 4],
    [1, -1],
  ],
  [[3, 2, 4], 1],
  [
    [2, 3, 2, 3],
    [1, 2],
  ],
  [[5], 0],
  [[1, 3], 0],
  [[2, 17], 1],
];

/** Cases of the reductions. */
export const reduceCases: readonly OpCase[] = [
  ...(['sum', 'mean', 'max', 'logSumExp'] as const).flatMap((op) =>
    axes.flatMap(([shape, axis], i) =>
      // keepDims either way, its default left out where i is even
      [true, ...(i % 2 === 0 ? [undefined] : [false])].map(
        (keepDims): OpCase => ({
          ...plain,
          op,
          attributes: { ...(axis !== undefined && { axis }), ...(keepDims !== undefined && { keepDims }) },
          inputs: [op === 'max' ? distinct(...shape) : normal(...shape)],
          kind: op === 'max' ? 'moves' : 'products',
        }),
      ),
    ),
  ),
  ...(['softmax', 'logSoftmax'] as const).flatMap((op) =>
    ([[[4, 9]], [[4, 9], 0], [[3, 2, 4], 1], [[3, 2, 4], -3], [[5]], [[1, 1]], [[2, 33], 1]] as const).map(
      ([shape, axis]): OpCase => ({
        ...plain,
        op,
        attributes: axis === undefined ? {} : { axis },
        inputs: [normal(...shape)],
      }),
    ),
  ),
];
