// Cases of the elementwise table: every row, broadcasting of every kind, and domains that keep away from kinks.
import type { Input, OpCase } from './case.ts';

/** Values near ±0.25, ±0.75, …: no kink at a multiple of a half is near. */
const offKinks = (shape: readonly number[]): Input => ({
  shape,
  low: -3,
  high: 3,
  lattice: { spacing: 0.5, offset: 0.5 },
});
const onHalves = (shape: readonly number[]): Input => ({
  shape,
  low: -3,
  high: 3,
  lattice: { spacing: 0.5, offset: 0 },
});
const between =
  (low: number, high: number) =>
  (shape: readonly number[]): Input => ({ shape, low, high });

const unary: readonly [
  op: OpCase['op'],
  domain: (shape: readonly number[]) => Input,
  attributes?: OpCase['attributes'],
][] = [
  ['neg', between(-3, 3)],
  ['exp', between(-5, 5)],
  ['log', between(0.3, 8)],
  ['sqrt', between(0.3, 8)],
  ['rsqrt', between(0.3, 8)],
  ['reciprocal', between(0.2, 4)],
  ['square', between(-3, 3)],
  ['sin', between(-12, 12)],
  ['cos', between(-12, 12)],
  ['tanh', between(-5, 5)],
  ['sigmoid', between(-9, 9)],
  ['relu', offKinks],
  ['silu', between(-9, 9)],
  ['softplus', between(-9, 9)],
  ['erf', between(-3, 3)],
  ['abs', offKinks],
  ['gelu', between(-6, 6)],
  ['gelu', between(-6, 6), { approximate: 'none' }],
  ['gelu', between(-6, 6), { approximate: 'tanh' }],
  ['leakyRelu', offKinks],
  ['leakyRelu', offKinks, { slope: 0.2 }],
  ['leakyRelu', offKinks, { slope: -0.5 }],
  ['leakyRelu', offKinks, { slope: 0 }],
  ['elu', offKinks],
  ['elu', offKinks, { alpha: 0.4 }],
  ['clip', offKinks, { min: -1, max: 1.5 }],
  ['clip', offKinks, { min: 0 }],
  ['clip', offKinks, { max: 0.5 }],
];

/** Equal shapes and every way to broadcast. */
export const broadcasts: readonly (readonly [readonly number[], readonly number[]])[] = [
  [
    [3, 5],
    [3, 5],
  ],
  [[3, 5], [5]],
  [
    [3, 1],
    [3, 5],
  ],
  [
    [3, 1],
    [1, 5],
  ],
  [[], [4]],
  [[2, 3, 2], []],
  [
    [2, 1, 3],
    [4, 1],
  ],
  [
    [1, 1],
    [2, 3, 4],
  ],
];

const binary: readonly [
  op: OpCase['op'],
  x: (shape: readonly number[]) => Input,
  y: (shape: readonly number[]) => Input,
][] = [
  ['add', between(-3, 3), between(-3, 3)],
  ['sub', between(-3, 3), between(-3, 3)],
  ['mul', between(-3, 3), between(-3, 3)],
  ['div', between(-3, 3), between(0.3, 3)],
  ['pow', between(0.2, 4), between(-2, 3)],
  ['maximum', offKinks, onHalves],
  ['minimum', offKinks, onHalves],
];

const comparisons = ['less', 'lessEqual', 'greater', 'equal'] as const;

const plain = { attributes: {}, integers: [], kind: 'elementwise' } as const;

/** Cases of the elementwise ops. */
export const elementwiseCases: readonly OpCase[] = [
  ...unary.flatMap(([op, domain, attributes = {}]) =>
    [[4, 9], []].map((shape): OpCase => ({ ...plain, op, attributes, inputs: [domain(shape)] })),
  ),
  ...binary.flatMap(([op, x, y]) => broadcasts.map(([a, b]): OpCase => ({ ...plain, op, inputs: [x(a), y(b)] }))),
  ...comparisons.flatMap((op) =>
    broadcasts.slice(0, 4).map(
      ([a, b]): OpCase => ({
        ...plain,
        op,
        inputs: [onHalves(a), onHalves(b)].map((input) => ({ ...input, low: -1, high: 1 })),
        integer: true,
      }),
    ),
  ),
  ...broadcasts.map(
    ([a, b]): OpCase => ({
      ...plain,
      op: 'where',
      inputs: [between(-3, 3)(a), between(-3, 3)(b)],
      integers: [{ shape: a.length > b.length ? a : b, below: 2 }],
      kind: 'moves',
    }),
  ),
];
