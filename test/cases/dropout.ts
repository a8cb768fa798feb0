// Cases of dropout, which is the identity outside of training. What it does in training is judged in test/layers.test.ts.
import type { OpCase } from './case.ts';

/** Cases of dropout. */
export const dropoutCases: readonly OpCase[] = [0, 0.3].map((rate) => ({
  op: 'dropout',
  attributes: { rate },
  inputs: [{ shape: [3, 4], low: -2, high: 2 }],
  integers: [],
  kind: 'moves',
}));
