// Cases of the normalisations: rows of several lengths, with and without scale and shift.
import type { Input, OpCase } from './case.ts';

const normal = (...shape: number[]): Input => ({ shape, low: -2, high: 2 });
const shifted = (...shape: number[]): Input => ({ shape, low: 3, high: 5 });
const plain = { integers: [], kind: 'products' } as const;

const rows: readonly (readonly [rows: Input, attributes: OpCase['attributes']])[] = [
  [normal(4, 6), {}],
  [normal(5), { epsilon: 1e-3 }],
  [normal(2, 3, 4), { epsilon: 0.5 }],
  [shifted(3, 7), {}],
  [normal(2, 33), { epsilon: 1e-6 }],
];

/** Cases of layerNorm and rmsNorm. */
export const normCases: readonly OpCase[] = (['layerNorm', 'rmsNorm'] as const).flatMap((op) =>
  rows.flatMap(([x, attributes]) => {
    const n = x.shape.at(-1) as number;
    const inputs = op === 'layerNorm' ? [x, normal(n), normal(n)] : [x, normal(n)];
    return inputs.map((_, i): OpCase => ({ ...plain, op, attributes, inputs: inputs.slice(0, i + 1) }));
  }),
);
