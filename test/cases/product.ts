// Cases of matmul and dense: batched and broadcast batches, transposed operands, x of rank 1 to 3, every activation with and without bias.
import type { Activation } from '../../src/index.ts';
import type { Input, OpCase } from './case.ts';

const normal = (...shape: number[]): Input => ({ shape, low: -1.5, high: 1.5 });
const plain = { attributes: {}, integers: [], kind: 'products' } as const;

/** Every activation, its kink (if it has one) at 0. */
export const activations: Readonly<Record<Activation, 'smooth' | 'kink'>> = {
  none: 'smooth',
  relu: 'kink',
  tanh: 'smooth',
  sigmoid: 'smooth',
  gelu: 'smooth',
  silu: 'smooth',
  softplus: 'smooth',
  leakyRelu: 'kink',
  elu: 'kink',
  exp: 'smooth',
  sin: 'smooth',
  square: 'smooth',
};

const matmuls: readonly (readonly [a: number[], b: number[], transposeA?: boolean, transposeB?: boolean])[] = [
  [
    [3, 5],
    [5, 4],
  ],
  [[5, 3], [5, 4], true],
  [[3, 5], [4, 5], false, true],
  [[5, 3], [4, 5], true, true],
  [
    [1, 7],
    [7, 1],
  ],
  [
    [7, 1],
    [1, 7],
  ],
  [
    [2, 3, 5],
    [2, 5, 4],
  ],
  [[2, 5, 3], [2, 4, 5], true, true],
  [
    [2, 3, 5],
    [5, 4],
  ],
  [
    [3, 5],
    [2, 5, 4],
  ],
  [
    [2, 1, 3, 4],
    [3, 4, 2],
  ],
  [[2, 1, 4, 3], [3, 4, 2], true],
  [
    [1, 1, 2],
    [2, 2, 3],
  ],
  [
    [17, 33],
    [33, 9],
  ],
  [[33, 17], [33, 9], true],
  [[17, 33], [9, 33], false, true],
];

const denses: readonly (readonly [x: number[], w: [number, number]])[] = [
  [[5], [5, 4]],
  [
    [3, 5],
    [5, 4],
  ],
  [
    [2, 3, 5],
    [5, 4],
  ],
];

/** Cases of the products. */
export const productCases: readonly OpCase[] = [
  ...matmuls.map(
    ([a, b, transposeA, transposeB]): OpCase => ({
      ...plain,
      op: 'matmul',
      attributes: { ...(transposeA && { transposeA }), ...(transposeB && { transposeB }) },
      inputs: [normal(...a), normal(...b)],
    }),
  ),
  ...Object.keys(activations).flatMap((activation) =>
    denses.flatMap(([x, w], i) =>
      [true, false].map((bias): OpCase => {
        const inputs = [normal(...x), normal(...w), ...(bias ? [normal(w[1])] : [])];
        // One of them leaves the activation to its default.
        return { ...plain, op: 'dense', attributes: activation === 'none' && i === 0 ? {} : { activation }, inputs };
      }),
    ),
  ),
  { ...plain, op: 'dense', attributes: { activation: 'tanh' }, inputs: [normal(17, 33), normal(33, 18), normal(18)] },
  { ...plain, op: 'dense', attributes: { activation: 'relu' }, inputs: [normal(1, 1), normal(1, 1), normal(1)] },
];
