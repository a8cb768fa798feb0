// Cases of the losses, one number per example.
import type { Input, OpCase } from './case.ts';

const normal = (...shape: number[]): Input => ({ shape, low: -2, high: 2 });
const plain = { attributes: {}, integers: [], kind: 'products' } as const;

/** Cases of the losses. */
export const lossCases: readonly OpCase[] = [
  ...[[6, 10], [3], [2, 3, 4], [1, 1]].map(
    (shape): OpCase => ({
      ...plain,
      op: 'softmaxCrossEntropy',
      inputs: [normal(...shape)],
      integers: [{ shape: shape.slice(0, -1), below: shape.at(-1) as number }],
    }),
  ),
  ...[[5, 4], [3], [2, 3, 4], [1, 17]].map(
    (shape): OpCase => ({ ...plain, op: 'meanSquaredError', inputs: [normal(...shape), normal(...shape)] }),
  ),
];
