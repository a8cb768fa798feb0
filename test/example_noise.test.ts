// The variance of the estimators with noise for each example, on a 20-32-32-5 ReLU MLP and a batch of 64, five networks: unbiased, as large as
// the closed formulas say, and so much smaller with each step that it is worth it. With G_i = ∂f_i/∂z_i over all noisy pre-activations, g its
// part at one layer, m of those on (all of them without a mask), x the layer's input, n parameters and γ_i = ∇f_i:
//   activities               E‖ĝ − ∇f‖² = (1/B²) Σ_layers Σ_i (‖x_i‖² + 1) (m_i ‖G_i‖² − ‖g_i‖²)      the last layer of exactLast has none
//   per example, rank r      E‖ĝ − ∇f‖² = (1/B²) Σ_i ((n − 1) ‖γ_i‖² + 2 (1 − 1/r) ‖matrices' part of γ_i‖²)
// mean of K: divided by K.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  evaluate,
  type ForwardGradientOptions,
  forwardGrad,
  grad,
  lowRank,
  ops,
  type Tensor,
  tensor,
  type Value,
} from '../src/index.ts';
import { normals, uniforms } from './support/draw.ts';

const widths = [20, 32, 32, 5] as const;
const depth = 3;
const B = 64;
const shapes = [0, 1, 2].flatMap((l) => [[widths[l]!, widths[l + 1]!], [widths[l + 1]!]]);
const n = shapes.reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);

function network(seed: number): { parameters: Tensor[]; x: Tensor; t: Tensor } {
  const next = uniforms(seed);
  return {
    parameters: shapes.map((shape, i) => {
      const count = shape.reduce((a, b) => a * b, 1);
      return tensor(normals(count, 100 * seed + i, shape.length === 2 ? Math.sqrt(2 / shape[0]!) : 0.1), shape);
    }),
    x: tensor(normals(B * widths[0], 100 * seed + 50), [B, widths[0]]),
    t: tensor(Int32Array.from({ length: B }, () => Math.floor(next() * 5))),
  };
}

type P = readonly Value[];
type Activation = (z: Value) => Value;
/** relu, for which no mask is known. */
const unmasked: Activation = (z) => ops.maximum(z, 0);
const pass = (p: P, x: Value, seen: Value[] = [], shift?: P, activation: Activation = ops.relu): Value => {
  let y = x;
  for (let l = 0; l < depth; l++) {
    let z = ops.dense(y, p[2 * l]!, p[2 * l + 1]!);
    if (shift) z = z.add(shift[l]!);
    seen.push(y, z);
    y = l < depth - 1 ? activation(z) : z;
  }
  return y;
};
const loss = (p: P, x: Value, t: Value): Value => ops.softmaxCrossEntropy(pass(p, x), t).mean();
const lossUnmasked = (p: P, x: Value, t: Value): Value =>
  ops.softmaxCrossEntropy(pass(p, x, [], undefined, unmasked), t).mean();

interface Truth {
  readonly gradient: Float64Array;
  /** Of layer l and example i: ‖x‖² + 1, ‖g‖², units on. */
  readonly layers: readonly { input: number[]; g: number[]; on: number[]; width: number }[];
}

const rowSquares = ({ data, shape }: Tensor): number[] =>
  Array.from({ length: B }, (_, i) =>
    Float64Array.from(data.subarray(i * shape[1]!, (i + 1) * shape[1]!)).reduce((s: number, v: number) => s + v * v, 0),
  );

async function truthOf({ parameters, x, t }: ReturnType<typeof network>): Promise<Truth> {
  const wide = ({ data, shape }: Tensor): Tensor => tensor(Float64Array.from(data), shape);
  const [p, input] = [parameters.map(wide), wide(x)];
  const on = { device: 'reference' } as const;
  const call = (f: unknown): ((...args: unknown[]) => Promise<unknown>) =>
    f as (...args: unknown[]) => Promise<unknown>;
  const seen = (await call(
    evaluate(
      ((q: P, y: Value) => {
        const s: Value[] = [];
        pass(q, y, s);
        return s;
      }) as never,
      on,
    ),
  )(p, input)) as Tensor[];
  const sum = (shift: P, q: P, y: Value, u: Value): Value => ops.softmaxCrossEntropy(pass(q, y, [], shift), u).sum();
  const zeros = [0, 1, 2].map((l) => tensor(new Float64Array(B * widths[l + 1]!), [B, widths[l + 1]!]));
  const g = (await call(grad(sum as never, on))(zeros, p, input, t)) as Tensor[];
  const gradient = (await call(grad(loss as never, on))(p, input, t)) as Tensor[];
  return {
    gradient: Float64Array.from(gradient.flatMap(({ data }) => [...data])),
    layers: g.map((each, l) => ({
      input: rowSquares(seen[2 * l]!).map((square) => square + 1),
      g: rowSquares(each),
      on: Array.from({ length: B }, (_, i) =>
        l === depth - 1
          ? widths[depth]
          : seen[2 * l + 1]!.data.subarray(i * widths[l + 1]!, (i + 1) * widths[l + 1]!).filter((z: number) => z > 0)
              .length,
      ),
      width: widths[l + 1]!,
    })),
  };
}

/** E‖ĝ − ∇f‖² of perturbed activities. */
function activities({ layers }: Truth, masked: boolean, exactLast: boolean): number {
  const noisy = exactLast ? layers.slice(0, -1) : layers;
  let total = 0;
  for (let i = 0; i < B; i++) {
    const all = noisy.reduce((sum, { g }) => sum + g[i]!, 0);
    for (const { input, g, on, width } of noisy) total += input[i]! * ((masked ? on[i]! : width) * all - g[i]!);
  }
  return total / B ** 2;
}

/** The same of directions of the weights per example. */
function perExample({ layers }: Truth, rank: number): number {
  let total = 0;
  for (let i = 0; i < B; i++) {
    for (const { input, g } of layers)
      total += (n - 1) * input[i]! * g[i]! + 2 * (1 - 1 / rank) * (input[i]! - 1) * g[i]!;
  }
  return total / B ** 2;
}

/** Mean of ‖ĝ − ∇f‖² over `calls` estimates, and ‖mean of ĝ − ∇f‖² · calls, which has the same mean where ĝ is unbiased. */
async function measured(
  { parameters, x, t }: ReturnType<typeof network>,
  { gradient }: Truth,
  options: ForwardGradientOptions,
  calls: number,
  f: typeof loss = loss,
): Promise<{ variance: number; bias: number }> {
  const run = forwardGrad(f as never, { device: 'cpu', seed: 3, ...options }) as (
    ...args: unknown[]
  ) => Promise<unknown>;
  const mean = new Float64Array(n);
  let variance = 0;
  for (let call = 0; call < calls; call++) {
    const estimate = (await run(parameters, x, t)) as { gradient: Tensor[] };
    let at = 0;
    for (const { data } of estimate.gradient) {
      for (const value of data) {
        const off = value - gradient[at]!;
        variance += off * off;
        mean[at++]! += off;
      }
    }
  }
  return { variance: variance / calls, bias: mean.reduce((sum, off) => sum + off * off, 0) / calls };
}

const seeds = [1, 2, 3, 4, 5];
const within = (what: string, ratio: number, low: number, high: number): void =>
  assert.ok(ratio >= low && ratio <= high, `${what}: ${ratio}, expected ${low} to ${high}`);

interface Law {
  readonly name: string;
  readonly options: ForwardGradientOptions;
  readonly formula: (truth: Truth) => number;
  readonly f?: typeof loss;
}
const laws: readonly Law[] = [
  { name: 'activities', options: { perturb: 'activations' }, formula: (truth) => activities(truth, true, false) },
  {
    name: 'activities, K 3',
    options: { perturb: 'activations', directions: 3 },
    formula: (truth) => activities(truth, true, false) / 3,
  },
  {
    name: 'activities without the mask',
    options: { perturb: 'activations' },
    formula: (truth) => activities(truth, false, false),
    f: lossUnmasked,
  },
  {
    name: 'activities, exactLast',
    options: { perturb: 'activations', exactLast: true },
    formula: (truth) => activities(truth, true, true),
  },
  { name: 'per example, rank 1', options: { perExample: true }, formula: (truth) => perExample(truth, 1) },
  {
    name: 'per example, rank 3, K 2',
    options: { perExample: true, directions: 2, sampler: lowRank({ rank: 3 }) },
    formula: (truth) => perExample(truth, 3) / 2,
  },
];

for (const { name, options, formula, f } of laws) {
  test(`${name}: unbiased, and as large as the formula says`, async () => {
    for (const seed of seeds) {
      const net = network(seed);
      const truth = await truthOf(net);
      const { variance, bias } = await measured(net, truth, options, 1500, f);
      within(`${name}, network ${seed}: variance over its formula`, variance / formula(truth), 0.95, 1.05);
      within(`${name}, network ${seed}: bias`, bias / formula(truth), 0.5, 1.6);
    }
  });
}

test('what each step is worth, in variance', async () => {
  for (const seed of seeds) {
    const truth = await truthOf(network(seed));
    const [masked, unmasked] = [activities(truth, true, false), activities(truth, false, false)];
    within(
      `network ${seed}: per example, rank 1, over activities without the mask`,
      perExample(truth, 1) / unmasked,
      20,
      35,
    );
    within(`network ${seed}: masked over unmasked`, masked / unmasked, 0.5, 0.65);
    within(`network ${seed}: exactLast over that`, activities(truth, true, true) / masked, 0.45, 0.7);
  }
});

test.run();
