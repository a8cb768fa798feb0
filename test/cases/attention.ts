// Cases of attention: one head and several, values wider and narrower than keys, more keys than queries and fewer, lengths around the vectors.
import type { Input, OpCase } from './case.ts';

const normal = (...shape: number[]): Input => ({ shape, low: -1.5, high: 1.5 });

const shapes: readonly (readonly [outer: number[], n: number, m: number, d: number, e: number])[] = [
  [[], 1, 1, 1, 1],
  [[], 3, 5, 4, 2],
  [[2], 4, 4, 3, 5],
  [[2, 3], 3, 3, 2, 2],
  [[], 1, 17, 5, 3],
  [[], 17, 17, 3, 4],
];
const uncausal: typeof shapes = [
  [[2], 5, 3, 4, 4],
  [[], 17, 1, 2, 3],
];

/** Cases of attention. */
export const attentionCases: readonly OpCase[] = [
  ...shapes.flatMap((shape) => [{}, { causal: true }].map((attributes) => ({ shape, attributes }))),
  ...uncausal.map((shape) => ({ shape, attributes: { causal: false } })),
].map(
  ({ shape: [outer, n, m, d, e], attributes }): OpCase => ({
    op: 'attention',
    attributes,
    inputs: [normal(...outer, n, d), normal(...outer, m, d), normal(...outer, m, e)],
    integers: [],
    kind: 'products',
  }),
);
