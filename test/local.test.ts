// Local losses: each estimator on a model in blocks against the gradients of the losses one by one, against tangents, noise and pullbacks
// written out here; their mean; what is refused. It is long because all of them are held against the same two networks, written out once.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Batch,
  backprop,
  checkpoint,
  Dataset,
  evaluate,
  type FitEvent,
  forwardGradient,
  type GradientDiagnosis,
  type GradientEstimator,
  gaussian,
  grad,
  lowRank,
  type Model,
  nn,
  ops,
  rademacher,
  type Sampler,
  sgd,
  sphere,
  spsa,
  type Tensor,
  Trainer,
  type TrainerOptions,
  tensor,
  type Value,
} from '../src/index.ts';
import { normals } from './support/draw.ts';
import { signs } from './support/random.ts';
import { type Misuse, refuses } from './support/refusal.ts';

const float64 = { device: 'reference' } as const;
const B = 5;
const seed = 11;
const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
const values = (shape: readonly number[], from: number, scale = 1): Tensor =>
  tensor(Float64Array.from(normals(sizeOf(shape), from, scale)), shape);
const labels = tensor(Int32Array.of(0, 3, 1, 2, 2));

// ---- models in blocks, and the same written as functions, whose layers can be taken apart ------------------------------------------

/** at: what goes on from pre-activation l. cut: what a layer reads. between: what a block passes on. */
interface Parts {
  at(l: number, z: Value): Value;
  cut(x: Value): Value;
  between(x: Value): Value;
}
const whole: Parts = { at: (_l, z) => z, cut: (x) => x, between: (x) => ops.stopGradient(x) };

interface Net {
  readonly name: string;
  readonly model: () => Model;
  readonly input: readonly number[];
  readonly parameters: readonly (readonly [name: string, shape: readonly number[], losses: readonly number[]])[];
  /** Of each layer: its first parameter, whether relu follows, and the losses of each channel; exact: the last layer of its losses. */
  readonly layers: readonly {
    readonly parameter: number;
    readonly relu?: boolean;
    readonly losses: readonly (readonly number[])[];
    readonly exact?: boolean;
  }[];
  /** The final losses [B], then those of the heads. */
  readonly losses: (p: readonly Value[], x: Value, t: Value, parts: Parts) => Value[];
}

const all = (channels: number, ...losses: number[]): number[][] => Array.from({ length: channels }, () => losses);
const part = (y: Value, start: number, size: number): Value =>
  ops.slice(y, [...y.shape.slice(0, -1).map(() => 0), start], [...y.shape.slice(0, -1), size]);

const mlp: Net = {
  name: 'mlp',
  model: () =>
    nn.sequential(
      nn.block(nn.dense(7, { activation: 'tanh' }), nn.dense(6, { activation: 'relu' }), {
        loss: nn.localHead({ outputs: 4, groups: 3 }),
      }),
      nn.block(nn.dense(9, { activation: 'tanh' }), { loss: nn.localHead({ model: nn.dense(4) }) }),
      nn.dense(4),
    ),
  input: [3],
  parameters: [
    ['0.0.w', [3, 7], [1, 2, 3]],
    ['0.0.b', [7], [1, 2, 3]],
    ['0.1.w', [7, 6], [1, 2, 3]],
    ['0.1.b', [6], [1, 2, 3]],
    ['0.head.0.w', [2, 4], [1]],
    ['0.head.0.b', [4], [1]],
    ['0.head.1.w', [2, 4], [2]],
    ['0.head.1.b', [4], [2]],
    ['0.head.2.w', [2, 4], [3]],
    ['0.head.2.b', [4], [3]],
    ['1.0.w', [6, 9], [4]],
    ['1.0.b', [9], [4]],
    ['1.head.w', [9, 4], [4]],
    ['1.head.b', [4], [4]],
    ['2.w', [9, 4], [0]],
    ['2.b', [4], [0]],
  ],
  layers: [
    { parameter: 0, losses: all(7, 1, 2, 3) },
    { parameter: 2, relu: true, losses: [[1], [1], [2], [2], [3], [3]] },
    { parameter: 4, losses: all(4, 1), exact: true },
    { parameter: 6, losses: all(4, 2), exact: true },
    { parameter: 8, losses: all(4, 3), exact: true },
    { parameter: 10, losses: all(9, 4) },
    { parameter: 12, losses: all(4, 4), exact: true },
    { parameter: 14, losses: all(4, 0), exact: true },
  ],
  losses: (p, x, t, { at, cut, between }) => {
    const layer = (l: number, i: number, input: Value): Value => at(l, ops.dense(cut(input), p[i]!, p[i + 1]!));
    const y = ops.relu(layer(1, 2, ops.tanh(layer(0, 0, x))));
    const heads = [0, 1, 2].map((q) => layer(2 + q, 4 + 2 * q, part(y, 2 * q, 2)));
    const z = ops.tanh(layer(5, 10, between(y)));
    return [layer(7, 14, between(z)), ...heads, layer(6, 12, z)].map((each) => ops.softmaxCrossEntropy(each, t));
  },
};

const cnn: Net = {
  name: 'cnn',
  model: () =>
    nn.sequential(
      nn.block(nn.conv2d(4, { padding: 1, activation: 'relu' }), nn.maxPool2d({ window: 2 }), {
        loss: nn.localHead({ outputs: 4, groups: 2 }),
      }),
      nn.flatten(),
      nn.dense(4),
    ),
  input: [4, 4, 2],
  parameters: [
    ['0.0.w', [3, 3, 2, 4], [1, 2]],
    ['0.0.b', [4], [1, 2]],
    ['0.head.0.w', [2, 4], [1]],
    ['0.head.0.b', [4], [1]],
    ['0.head.1.w', [2, 4], [2]],
    ['0.head.1.b', [4], [2]],
    ['2.w', [16, 4], [0]],
    ['2.b', [4], [0]],
  ],
  layers: [
    { parameter: 0, relu: true, losses: [[1], [1], [2], [2]] },
    { parameter: 2, losses: all(4, 1), exact: true },
    { parameter: 4, losses: all(4, 2), exact: true },
    { parameter: 6, losses: all(4, 0), exact: true },
  ],
  losses: (p, x, t, { at, cut, between }) => {
    const z = at(0, ops.conv2d(cut(x), p[0]!, p[1]!, { padding: 1 }));
    const y = ops.maxPool2d(ops.relu(z), { window: 2 });
    const dense = (l: number, i: number, input: Value): Value => at(l, ops.dense(cut(input), p[i]!, p[i + 1]!));
    const heads = [0, 1].map((q) => dense(1 + q, 2 + 2 * q, part(y, 2 * q, 2).mean({ axis: [1, 2] })));
    const final = dense(3, 6, ops.reshape(between(y), [x.shape[0]!, 16]));
    return [final, ...heads].map((each) => ops.softmaxCrossEntropy(each, t));
  },
};

const countOf = (net: Net): number => 1 + Math.max(...net.layers.flatMap(({ losses }) => losses.flat()));
const parametersOf = ({ parameters }: Net): Tensor[] => parameters.map(([, shape], i) => values(shape, 40 + i, 0.6));
const inputsOf = ({ input }: Net): Tensor => values([B, ...input], 3);
const call = async (f: unknown, ...args: unknown[]): Promise<Tensor[]> =>
  (await (f as (...a: unknown[]) => Promise<unknown>)(...args)) as Tensor[];

/** ∂(mean of loss l)/∂θ, a list of parameters for each loss; of the examples listed. */
async function gradients(net: Net, examples = Array.from({ length: B }, (_, i) => i)): Promise<Tensor[][]> {
  const rows = ({ data, shape }: Tensor): Tensor => {
    const width = sizeOf(shape.slice(1));
    const chosen = examples.flatMap((i) => [...data.subarray(i * width, (i + 1) * width)]);
    const into = data instanceof Int32Array ? Int32Array.from(chosen) : Float64Array.from(chosen);
    return tensor(into, [examples.length, ...shape.slice(1)]);
  };
  const found: Tensor[][] = [];
  for (let l = 0; l < countOf(net); l++) {
    const f = (p: readonly Value[], x: Value, t: Value): Value => net.losses(p, x, t, whole)[l]!.mean();
    found.push(await call(grad(f as never, float64), parametersOf(net), rows(inputsOf(net)), rows(labels)));
  }
  return found;
}

// ---- a training step of rate 1: θ − θ′ is the estimate -----------------------------------------------------------------------------

interface Taken {
  readonly loss: number;
  readonly localLosses: readonly number[];
  readonly c: readonly number[];
  readonly estimate: readonly Float64Array[];
}

function trainerOf(net: Net, gradient: GradientEstimator, change: Partial<TrainerOptions> = {}): Trainer {
  return new Trainer({
    model: net.model(),
    inputShape: net.input,
    loss: ops.softmaxCrossEntropy,
    gradient,
    optimizer: sgd({ learningRate: 1 }),
    seed,
    device: 'reference',
    ...change,
  });
}

async function initialise(trainer: Trainer, net: Net): Promise<Batch> {
  const single = ({ data, shape }: Tensor): Tensor =>
    trainer.device === 'cpu' && data instanceof Float64Array
      ? tensor(Float32Array.from(data), shape)
      : tensor(data, shape);
  const start = parametersOf(net).map(single);
  assert.equal(
    Object.entries(await trainer.parameters()).map(([name, { shape }]) => [name, [...shape]]),
    net.parameters.map(([name, shape]) => [name, [...shape]]),
  );
  await trainer.setParameters(Object.fromEntries(net.parameters.map(([name], i) => [name, start[i]!])));
  return { inputs: single(inputsOf(net)), targets: labels };
}

async function stepOf(net: Net, gradient: GradientEstimator, change: Partial<TrainerOptions> = {}): Promise<Taken> {
  using trainer = trainerOf(net, gradient, change);
  const batch = await initialise(trainer, net);
  const before = Object.values(await trainer.parameters());
  const { loss, localLosses = [], directionalDerivatives: c = [] } = await trainer.step(batch);
  const after = Object.values(await trainer.parameters());
  const estimate = before.map(({ data }, i) => Float64Array.from(data, (theta, j) => theta - after[i]!.data[j]!));
  return { loss, localLosses, c, estimate };
}

const places: readonly Partial<TrainerOptions>[] = [
  { device: 'reference' },
  { device: 'cpu' },
  { device: 'cpu', fuse: false },
];

async function agrees(
  net: Net,
  gradient: GradientEstimator,
  expected: { readonly c: readonly number[]; readonly estimate: readonly Float64Array[] },
  exactness = 1e-12,
): Promise<void> {
  for (const place of places) {
    const found = await stepOf(net, gradient, place);
    const tolerance = place.device === 'cpu' ? 4e-5 : exactness;
    const close = (a: number, b: number, what: string): void =>
      assert.ok(Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b)), `${net.name}, ${what}: ${a} for ${b}`);
    assert.is(found.c.length, expected.c.length);
    for (const [k, value] of expected.c.entries()) close(found.c[k]!, value, `${JSON.stringify(place)} c ${k}`);
    for (const [i, row] of expected.estimate.entries())
      for (const [j, value] of row.entries())
        close(found.estimate[i]![j]!, value, `${JSON.stringify(place)} ${net.parameters[i]![0]}[${j}]`);
  }
}

const zerosLike = (net: Net): Float64Array[] => net.parameters.map(([, shape]) => new Float64Array(sizeOf(shape)));

/** Adds scale · row to a row. */
function add(to: Float64Array, row: ArrayLike<number>, scale = 1): void {
  for (let i = 0; i < to.length; i++) to[i]! += scale * row[i]!;
}
const dot = (a: readonly ArrayLike<number>[], b: readonly ArrayLike<number>[]): number =>
  a.reduce((sum, row, i) => Array.from(row).reduce((s, value, j) => s + value * b[i]![j]!, sum), 0);

test('backprop: the gradient is that of each loss by itself, of what goes into its block as data', async () => {
  const estimate = zerosLike(mlp);
  // Block by block: what the blocks before give is computed first, and enters as numbers.
  const outputs = (p: readonly Value[], x: Value): Value[] => {
    const given: Value[] = [];
    const between = (y: Value): Value => {
      given.push(y);
      return y;
    };
    mlp.losses(p, x, x.mul(0).sum({ axis: 1 }).greater(0), { ...whole, between });
    return given;
  };
  const given = await call(evaluate(outputs as never, float64), parametersOf(mlp), inputsOf(mlp));
  const losses: number[] = [];
  for (let l = 0; l < countOf(mlp); l++) {
    const f = (p: readonly Value[], x: Value, t: Value, ...between: Value[]): Value => {
      let at = 0;
      return mlp.losses(p, x, t, { ...whole, between: () => between[at++]! })[l]!.mean();
    };
    const args = [parametersOf(mlp), inputsOf(mlp), labels, ...given];
    losses.push(Number(((await call(evaluate(f as never, float64), ...args)) as unknown as Tensor).data[0]));
    const rows = await call(grad(f as never, float64), ...args);
    for (const [i, { data }] of rows.entries()) {
      add(estimate[i]!, data);
      assert.is(
        data.some((value) => value !== 0),
        mlp.parameters[i]![2].includes(l),
        `${mlp.parameters[i]![0]} and loss ${l}`,
      );
    }
  }
  const found = await stepOf(mlp, backprop());
  for (const [l, value] of [found.loss, ...found.localLosses].entries())
    assert.ok(Math.abs(value - losses[l]!) < 1e-12);
  for (const gradient of [backprop(), backprop({ checkpoint: 3 }), backprop({ checkpoint: true })])
    await agrees(mlp, gradient, { c: [], estimate });
});

test('backprop: images', async () => {
  const estimate = zerosLike(cnn);
  for (const rows of await gradients(cnn)) for (const [i, { data }] of rows.entries()) add(estimate[i]!, data);
  await agrees(cnn, backprop(), { c: [], estimate });
});

for (const sampler of [gaussian(), rademacher(), sphere(), lowRank({ rank: 1 }), lowRank({ rank: 3 })] as Sampler[])
  test(`weights, ${sampler.kind} ${sampler.rank ?? ''}: c of each loss, and of each parameter the c of its losses`, async () => {
    const directions = 2;
    for (const net of [mlp, cnn]) {
      const g = await gradients(net);
      const estimate = zerosLike(net);
      const c: number[][] = g.map(() => []);
      for (let direction = 0; direction < directions; direction++) {
        const v = net.parameters.map(([, shape], parameter) =>
          Float64Array.from(sampler.materialise({ shape, parameter, seed, step: 0, direction }).data),
        );
        const n = v.reduce((sum, row) => sum + row.length, 0);
        const scale = sampler.kind === 'sphere' ? Math.sqrt(n / dot(v, v)) : 1;
        for (const row of v) for (let j = 0; j < row.length; j++) row[j]! *= scale;
        for (const [l, rows] of g.entries())
          c[l]!.push(
            dot(
              rows.map(({ data }) => data),
              v,
            ),
          );
        for (const [i, [, , losses]] of net.parameters.entries())
          for (const l of losses) add(estimate[i]!, v[i]!, c[l]![direction]! / directions);
      }
      // What is written out is float32: signs are exact, gaussians within 1e-6 of those that `reference` draws.
      const exactness = sampler.kind === 'rademacher' || sampler.rank === 1 ? 1e-12 : 1e-5;
      await agrees(net, forwardGradient({ sampler, directions }), { c: c.flat(), estimate }, exactness);
    }
  });

for (const sampler of [rademacher(), sphere(), lowRank({ rank: 1 })] as Sampler[])
  test(`spsa, ${sampler.kind}: in the first block what forward gradients give, within the bias of a difference`, async () => {
    const directions = 2;
    const exact = await stepOf(mlp, forwardGradient({ sampler, directions }), { device: 'reference' });
    const found = await stepOf(mlp, spsa({ sampler, directions, perturbation: 1e-4 }), { device: 'reference' });
    assert.is(found.c.length, exact.c.length);
    const first = [1, 2, 3]; // what later blocks lose depends on the first one's parameters, which a difference sees and a tangent does not
    const close = (a: number, b: number): void =>
      assert.ok(Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(b)), `${a}, ${b}`);
    for (const l of first)
      for (let k = 0; k < directions; k++) close(found.c[l * directions + k]!, exact.c[l * directions + k]!);
    for (const [i, [, , losses]] of mlp.parameters.entries())
      if (losses.every((l) => first.includes(l)))
        for (const [j, value] of exact.estimate[i]!.entries()) close(found.estimate[i]![j]!, value);
  });

test('weights, per example: c_i of each loss, and of each parameter the c_i of its losses', async () => {
  const [directions, rank] = [2, 2];
  const estimate = zerosLike(mlp);
  const c = Array.from({ length: countOf(mlp) }, () => new Float64Array(directions));
  for (let i = 0; i < B; i++) {
    const g = await gradients(mlp, [i]);
    for (let k = 0; k < directions; k++) {
      const v = mlp.parameters.map(([, shape], p) => {
        const row = (stream: number, n: number, at: number): number[] =>
          signs(B, n, [p, stream, at, 0], [seed, 0]).slice(i * n, (i + 1) * n);
        const [rows, columns] = shape as [number, number | undefined];
        if (columns === undefined) return Float64Array.from(row(7, rows, k));
        const matrix = new Float64Array(rows * columns);
        for (let q = 0; q < rank; q++) {
          const [a, b] = [row(7, rows, k * rank + q), row(8, columns, k * rank + q)];
          for (const [j] of matrix.entries())
            matrix[j]! += (a[Math.floor(j / columns)]! * b[j % columns]!) / Math.sqrt(rank);
        }
        return matrix;
      });
      const own = g.map((rows) =>
        dot(
          rows.map(({ data }) => data),
          v,
        ),
      );
      for (const [l, value] of own.entries()) c[l]![k]! += value / B;
      for (const [p, [, , losses]] of mlp.parameters.entries())
        for (const l of losses) add(estimate[p]!, v[p]!, own[l]! / (B * directions));
    }
  }
  const gradient = forwardGradient({ perExample: true, sampler: lowRank({ rank }), directions });
  await agrees(mlp, gradient, { c: c.flatMap((row) => [...row]), estimate });
});

/** z and the input of every layer, and ∂f_li/∂z_i of each loss l and layer. */
async function layersOf(net: Net): Promise<{ z: Tensor[]; x: Tensor[]; slopes: Tensor[][] }> {
  const args = [parametersOf(net), inputsOf(net), labels];
  const seen = (p: readonly Value[], input: Value, t: Value): Value[][] => {
    const [z, x]: [Value[], Value[]] = [[], []];
    let read = input;
    const at = (l: number, value: Value): Value => {
      [z[l], x[l]] = [value, read];
      return value;
    };
    const cut = (value: Value): Value => {
      read = value;
      return value;
    };
    net.losses(p, input, t, { ...whole, at, cut });
    return [z, x];
  };
  const [z, x] = (await call(evaluate(seen as never, float64), ...args)) as unknown as [Tensor[], Tensor[]];
  const zeros = z.map(({ shape }) => tensor(new Float64Array(sizeOf(shape)), shape));
  const slopes: Tensor[][] = [];
  for (let l = 0; l < countOf(net); l++) {
    const f = (e: readonly Value[], p: readonly Value[], input: Value, t: Value): Value =>
      net.losses(p, input, t, { ...whole, at: (layer, value) => value.add(e[layer]!) })[l]!.sum();
    slopes.push(await call(grad(f as never, float64), zeros, ...args));
  }
  return { z, x, slopes };
}

/** The estimate by perturbed activities, by its definition. */
async function activities(net: Net, directions: number, exactLast: boolean) {
  const { z, slopes } = await layersOf(net);
  const bars = z.map(({ shape }) => new Float64Array(sizeOf(shape)));
  const c: number[][] = slopes.map(() => []);
  for (let k = 0; k < directions; k++) {
    const u = z.map(({ shape, data }, layer) => {
      const { parameter, relu = false, exact = false } = net.layers[layer]!;
      const columns = shape.at(-1)!;
      const drawn = signs(sizeOf(shape) / columns, columns, [parameter, 4, k, 0], [seed, 0]);
      return Float64Array.from(drawn, (sign, i) => ((relu && data[i]! <= 0) || (exact && exactLast) ? 0 : sign));
    });
    const example = (i: number, count: number): number => Math.floor((i * B) / count);
    const share = slopes.map((rows) => {
      const own = new Float64Array(B);
      for (const [layer, row] of u.entries())
        for (const [i, sign] of row.entries()) own[example(i, row.length)]! += (sign * rows[layer]!.data[i]!) / B;
      return own;
    });
    for (const [l, own] of share.entries()) c[l]!.push(own.reduce((sum, value) => sum + value, 0));
    for (const [layer, row] of u.entries())
      for (const [i, sign] of row.entries()) {
        const losses = net.layers[layer]!.losses;
        for (const l of losses[i % losses.length]!)
          bars[layer]![i]! += (sign * share[l]![example(i, row.length)]!) / directions;
      }
  }
  for (const [layer, { exact = false }] of net.layers.entries())
    if (exact && exactLast) for (const rows of slopes) add(bars[layer]!, rows[layer]!.data, 1 / B);
  // Each layer's own pullback of its z̄, and nothing else.
  const f = (p: readonly Value[], bar: readonly Value[], x: Value, t: Value): Value => {
    const terms: Value[] = [];
    const at = (l: number, value: Value): Value => {
      terms[l] = value.mul(bar[l]!).sum();
      return value;
    };
    net.losses(p, x, t, { ...whole, at, cut: (value) => ops.stopGradient(value) });
    return terms.reduce((sum, term) => sum.add(term));
  };
  const pulled = await call(
    grad(f as never, float64),
    parametersOf(net),
    z.map(({ shape }, l) => tensor(bars[l]!, shape)),
    inputsOf(net),
    labels,
  );
  return { c: c.flat(), estimate: pulled.map(({ data }) => Float64Array.from(data)) };
}

for (const exactLast of [false, true])
  for (const directions of [1, 3])
    test(`activities${exactLast ? ', exactLast' : ''}, K ${directions}: each channel has the noise of its losses`, async () => {
      for (const net of [mlp, cnn]) {
        const gradient = forwardGradient({ perturb: 'activations', directions, exactLast });
        await agrees(net, gradient, await activities(net, directions, exactLast));
      }
    });

test('weights: the variance of a block with one head is (n_b − 1) ‖g_b‖² for rademacher', async () => {
  using trainer = trainerOf(mlp, forwardGradient({ sampler: rademacher() }), { device: 'cpu' });
  const { parameters } = await trainer.diagnose(await initialise(trainer, mlp), { samples: 20_000 });
  for (const prefix of ['1.', '2.']) {
    const block = Object.entries(parameters).flatMap(([name, each]) => (name.startsWith(prefix) ? [each] : []));
    const sum = (of: (each: GradientDiagnosis) => number): number => block.reduce((total, each) => total + of(each), 0);
    const square = sum(({ gradientNorm }) => gradientNorm ** 2);
    const variance = sum(({ gradientNorm, relativeVariance }) => relativeVariance * gradientNorm ** 2);
    const ratio = variance / ((sum(({ size }) => size) - 1) * square);
    assert.ok(ratio > 0.95 && ratio < 1.05, `block ${prefix} ${ratio} of the formula`);
  }
});

test('activities: the variance is (1/B²) Σ_layers Σ_i (‖x_i‖² + 1) Σ_j (‖G_Sj,i‖² − g_ij²) / K, j over units that are on', async () => {
  const { z, x, slopes } = await layersOf(mlp);
  const losses = [0, 1, 2, 3, 4];
  for (const exactLast of [false, true]) {
    const noisy = mlp.layers.flatMap(({ exact = false }, l) => (exact && exactLast ? [] : [l]));
    /** Σ over the noisy layers, the losses of a unit given. */
    const formula = (lossesOf: (layer: number, j: number) => readonly number[]): number => {
      let total = 0;
      for (let i = 0; i < B; i++)
        for (const layer of noisy) {
          const [width, fanIn] = [z[layer]!.shape[1]!, x[layer]!.shape[1]!];
          const row = x[layer]!.data.slice(i * fanIn, (i + 1) * fanIn);
          const input = 1 + Array.from(row).reduce((sum, value) => sum + value * value, 0);
          const slope = (l: number, at: number): number =>
            lossesOf(layer, at % width).reduce((sum, each) => sum + slopes[each]![l]!.data[at]!, 0);
          for (let j = 0; j < width; j++) {
            if (mlp.layers[layer]!.relu && z[layer]!.data[i * width + j]! <= 0) continue;
            const own = lossesOf(layer, j);
            let square = 0;
            for (const l of noisy)
              for (let q = 0; q < z[l]!.shape[1]!; q++) {
                const at = i * z[l]!.shape[1]! + q;
                square += own.reduce((sum, each) => sum + slopes[each]![l]!.data[at]!, 0) ** 2;
              }
            total += input * (square - slope(layer, i * width + j) ** 2);
          }
        }
      return total / B ** 2;
    };
    const expected = formula((layer, j) => mlp.layers[layer]!.losses[j]!);
    const gradient = forwardGradient({ perturb: 'activations', exactLast });
    using trainer = trainerOf(mlp, gradient, { device: 'cpu' });
    const { total } = await trainer.diagnose(await initialise(trainer, mlp), { samples: 20_000 });
    const ratio = (total.relativeVariance * total.gradientNorm ** 2) / expected;
    assert.ok(ratio > 0.95 && ratio < 1.05, `${exactLast}: ${ratio} of the formula`);
    const [byBlock, byAll] = [
      formula((layer, j) => (layer === 1 ? [1, 2, 3] : mlp.layers[layer]!.losses[j]!)) / expected,
      formula(() => losses) / expected,
    ];
    console.log(
      `exactLast ${exactLast}: one derivative a block ${byBlock.toFixed(2)}, one in all ${byAll.toFixed(2)} times the variance`,
    );
  }
});

const estimators: Readonly<Record<string, GradientEstimator>> = {
  backprop: backprop(),
  weights: forwardGradient({ directions: 2 }),
  'per example': forwardGradient({ perExample: true }),
  activities: forwardGradient({ perturb: 'activations' }),
  'activities, exactLast': forwardGradient({ perturb: 'activations', exactLast: true }),
};

test('bf16: cpu and reference round the same operands', async () => {
  for (const [name, gradient] of Object.entries(estimators)) {
    const [cpu, reference] = await Promise.all(
      (['cpu', 'reference'] as const).map((device) => stepOf(mlp, gradient, { device, precision: 'bf16' })),
    );
    let [off, size] = [0, 0];
    for (const [i, row] of reference!.estimate.entries())
      for (const [j, value] of row.entries()) {
        off += (cpu!.estimate[i]![j]! - value) ** 2;
        size += value ** 2;
      }
    // A float32 sum near a tie may round to the other bf16 now and then, by 2⁻⁸ of itself.
    assert.ok(Math.sqrt(off / size) < 2 ** -9, `${name}: off by ${Math.sqrt(off / size)}`);
  }
});

for (const [name, gradient] of Object.entries(estimators).filter(([each]) => each !== 'backprop'))
  test(`${name}: the mean of 4,000 estimates is the gradient of the local losses`, async () => {
    const steps = 4000;
    const rate = 1e-7; // in float64, so that all estimates are of one gradient
    const exact = zerosLike(mlp);
    for (const rows of await gradients(mlp)) for (const [i, { data }] of rows.entries()) add(exact[i]!, data);
    using trainer = trainerOf(mlp, gradient, { optimizer: sgd({ learningRate: rate }) });
    const batch = await initialise(trainer, mlp);
    const { total } = await trainer.diagnose(batch, { samples: 2000 });
    assert.ok(Math.abs(total.gradientNorm - Math.sqrt(dot(exact, exact))) < 1e-9);
    assert.is(total.predicted, undefined);
    const before = Object.values(await trainer.parameters());
    const set = Dataset.from(tensor(Float32Array.from((batch.inputs as Tensor).data), [B, ...mlp.input]), labels);
    await trainer.fit(set, { epochs: steps, batchSize: B });
    const after = Object.values(await trainer.parameters());
    let bias = 0;
    for (const [i, row] of exact.entries())
      for (const [j, value] of row.entries())
        bias += ((before[i]!.data[j]! - after[i]!.data[j]!) / (rate * steps) - value) ** 2;
    // ‖mean − g‖² has the mean E‖ĝ − g‖² / steps where ĝ is unbiased.
    const ratio = (bias * steps) / (total.relativeVariance * total.gradientNorm ** 2);
    assert.ok(ratio > 0.5 && ratio < 1.6, `${ratio}`);
  });

// ---- the rest of a step ------------------------------------------------------------------------------------------------------------

test('a layer in two blocks has the directional derivatives of both, and no other', async () => {
  const shared = nn.dense(6, { activation: 'tanh' });
  const net: Net = {
    ...mlp,
    model: () =>
      nn.sequential(
        nn.block((x) => shared(x), { loss: nn.localHead({ outputs: 4 }) }),
        nn.block((x) => shared(x), { loss: nn.localHead({ outputs: 4 }) }),
        nn.dense(4),
      ),
    input: [6],
    parameters: [
      ['0.0.w', [6, 6], [1, 2]],
      ['0.0.b', [6], [1, 2]],
      ['0.head.w', [6, 4], [1]],
      ['0.head.b', [4], [1]],
      ['1.head.w', [6, 4], [2]],
      ['1.head.b', [4], [2]],
      ['2.w', [6, 4], [0]],
      ['2.b', [4], [0]],
    ],
  };
  const { c, estimate } = await stepOf(net, forwardGradient({ sampler: rademacher() }));
  assert.is(c.length, 3);
  for (const [parameter, [name, shape, losses]] of net.parameters.entries()) {
    const v = rademacher().materialise({ shape, parameter, seed, step: 0, direction: 0 }).data;
    const own = losses.reduce((sum, l) => sum + c[l]!, 0);
    for (const [j, value] of estimate[parameter]!.entries()) assert.ok(Math.abs(value - own * v[j]!) < 1e-12, name);
  }
});

test('what stands before a block, outside of one, is not trained', async () => {
  const model = (): Model =>
    nn.sequential(nn.dense(6), nn.block(nn.dense(6), { loss: nn.localHead({ outputs: 4 }) }), nn.dense(4));
  for (const gradient of Object.values(estimators)) {
    using trainer = trainerOf({ ...mlp, model }, gradient, { device: 'cpu' });
    const before = await trainer.parameters();
    await trainer.step({ inputs: tensor(normals(B * 3, 1), [B, 3]), targets: labels });
    const after = await trainer.parameters();
    for (const [name, { data }] of Object.entries(before))
      assert.is(after[name]!.data.join() === data.join(), name.startsWith('0.'), name);
  }
});

test('evaluate and predict run no head, and agree with the model without blocks', async () => {
  using blocks = trainerOf(mlp, backprop(), { device: 'cpu' });
  const batch = await initialise(blocks, mlp);
  const plain: Model = nn.sequential(
    nn.sequential(nn.dense(7, { activation: 'tanh' }), nn.dense(6, { activation: 'relu' })),
    nn.sequential(nn.dense(9, { activation: 'tanh' })),
    nn.dense(4),
  );
  using single = trainerOf({ ...mlp, model: () => plain }, backprop(), { device: 'cpu' });
  const known = Object.entries(await blocks.parameters()).filter(([name]) => !name.includes('head'));
  await single.setParameters(Object.fromEntries(known));
  const found = await Promise.all([blocks, single].map((trainer) => trainer.predict(batch.inputs as Tensor)));
  assert.equal(found[0]!.data, found[1]!.data);
  const sets = Dataset.from(batch.inputs as Tensor, labels);
  assert.equal(await blocks.evaluate(sets), await single.evaluate(sets));
  assert.is(blocks.describe(), single.describe());
});

test('state in a block moves as it does without blocks', async () => {
  const layers = (): Model[] => [nn.dense(6), nn.batchNorm()];
  const models = [
    nn.sequential(nn.block(...layers(), { loss: nn.localHead({ outputs: 4 }) }), nn.dense(4)),
    nn.sequential(nn.sequential(...layers()), nn.dense(4)),
  ];
  const optimizer = sgd({ learningRate: 1e-30 });
  const change = { device: 'cpu', optimizer } as const;
  using blocks = trainerOf({ ...mlp, model: () => models[0]! }, backprop(), change);
  using single = trainerOf({ ...mlp, model: () => models[1]! }, backprop(), change);
  const known = Object.entries(await blocks.parameters()).filter(([name]) => !name.includes('head'));
  await single.setParameters(Object.fromEntries(known));
  const inputs = tensor(normals(B * 3, 1), [B, 3]);
  const before = await blocks.predict(inputs);
  for (const trainer of [blocks, single]) await trainer.step({ inputs, targets: labels });
  const [a, b] = [await blocks.predict(inputs), await single.predict(inputs)];
  assert.equal(a.data, b.data);
  assert.not.equal(a.data, before.data);
});

test('a local loss that is not finite changes nothing, whatever the estimator', async () => {
  for (const gradient of Object.values(estimators)) {
    using trainer = trainerOf(mlp, gradient, { device: 'cpu' });
    const batch = await initialise(trainer, mlp);
    await trainer.setParameters({ '0.head.1.b': tensor(Float32Array.of(1, Number.NaN, 1, 1)) });
    const bits = async (): Promise<string[]> =>
      Object.entries(await trainer.parameters()).map(([name, { data }]) => `${name} ${[...data].join()}`);
    const before = await bits();
    await refuses([() => trainer.step(batch), 'NUMERIC', 'a finite loss']);
    assert.equal(await bits(), before);
    assert.is(trainer.steps, 0);
  }
});

test('more losses than one op joins', async () => {
  const groups = 20;
  const model = nn.sequential(nn.block(nn.dense(40), { loss: nn.localHead({ outputs: 4, groups }) }), nn.dense(4));
  for (const gradient of [backprop(), forwardGradient({ perturb: 'activations' }), spsa()]) {
    using trainer = make(model, { gradient });
    const taken = await trainer.step({ inputs: tensor(normals(B * 3, 1), [B, 3]), targets: labels });
    assert.is(taken.localLosses?.length, groups);
    if (gradient.kind !== 'backprop') assert.is(taken.directionalDerivatives?.length, groups + 1);
  }
});

test('fit gives the losses of the last step of each native call, as step does', async () => {
  const steps = 60;
  const row = values([1, ...mlp.input], 3).data;
  const many = (count: number): Tensor =>
    tensor(
      Float32Array.from({ length: 3 * count }, (_, i) => row[i % 3]!),
      [count, 3],
    );
  const gradient = forwardGradient({ sampler: rademacher() });
  const change = { device: 'cpu', optimizer: sgd({ learningRate: 1e-3 }) } as const;
  using one = trainerOf(mlp, gradient, change);
  using other = trainerOf(mlp, gradient, change);
  const batch = { inputs: many(B), targets: tensor(new Int32Array(B)) };
  const expected: unknown[] = [];
  for (let step = 0; step < steps; step++) expected.push(await one.step(batch));
  const set = Dataset.from(many(B * steps), tensor(new Int32Array(B * steps)));
  let calls = 0;
  const onProgress = ({ step, loss, localLosses, directionalDerivatives }: FitEvent): void => {
    assert.equal({ step, loss, localLosses, directionalDerivatives }, expected[step]);
    calls++;
  };
  await other.fit(set, { epochs: 1, batchSize: B, onProgress });
  assert.ok(calls < steps, 'several steps in a native call');
});

test('forward gradients of weights keep no tape; no cotangent passes from block to block', async () => {
  using weights = trainerOf(mlp, forwardGradient(), { device: 'cpu' });
  await weights.step(await initialise(weights, mlp));
  assert.is(weights.memory().tape, 0);
  const deep = (layers: number, isLocal: boolean): Model =>
    nn.sequential(
      ...Array.from({ length: layers }, () => {
        const layer = nn.dense(32, { activation: 'relu' });
        return isLocal ? nn.block(layer, { loss: nn.localHead({ outputs: 4 }) }) : layer;
      }),
      nn.dense(4),
    );
  const products = async (isLocal: boolean): Promise<number> => {
    using trainer = trainerOf({ ...mlp, model: () => deep(3, isLocal) }, backprop(), { device: 'cpu' });
    await trainer.step({ inputs: tensor(normals(B * 3, 1), [B, 3]), targets: labels });
    return [...trainer.describe().matchAll(/^\d+ +matmul/gm)].length;
  };
  // x̄ = δ wᵀ: of each head, instead of each layer but the first.
  assert.is(await products(false), 3);
  assert.is(await products(true), 3);
});

test('forward only: whatever is estimated without backprop, no cotangent passes a layer; exactLast pulls the losses back', async () => {
  const model = (): Model =>
    nn.sequential(
      nn.block(nn.dense(32, { activation: 'relu' }), nn.dense(32, { activation: 'relu' }), {
        loss: nn.localHead({ outputs: 4, groups: 2 }),
      }),
      nn.dense(32, { activation: 'relu' }),
      nn.dense(4),
    );
  const forward = {
    ...Object.fromEntries(
      [gaussian(), rademacher(), sphere(), lowRank({ rank: 2 })].map((sampler) => [
        sampler.kind,
        forwardGradient({ sampler, directions: 2 }),
      ]),
    ),
    'per example': estimators['per example'] as GradientEstimator,
    spsa: spsa(),
    activities: estimators.activities as GradientEstimator,
    exactLast: estimators['activities, exactLast'] as GradientEstimator,
    backprop: backprop(),
  };
  for (const [name, gradient] of Object.entries(forward)) {
    using trainer = trainerOf({ ...mlp, model }, gradient, { device: 'cpu' });
    await trainer.step({ inputs: tensor(normals(B * 3, 1), [B, 3]), targets: labels });
    const kernels = [...trainer.describe().matchAll(/^\d+ +(\w+)/gm)].map(([, kernel]) => kernel as string);
    const cotangents = kernels.filter((kernel) => /matmul|pullback|scatter/.test(kernel));
    assert.is(cotangents.length > 0, name === 'backprop', `${name}: ${kernels.join(' ')}`);
    assert.is(kernels.includes('unpick'), name === 'exactLast' || name === 'backprop', `${name}: ${kernels.join(' ')}`);
  }
});

// ---- refusals ----------------------------------------------------------------------------------------------------------------------

// biome-ignore lint/suspicious/noExplicitAny: what the types forbid
type Any = any;
const head = { loss: nn.localHead({ outputs: 4 }) };
const make = (model: Model, change: Partial<TrainerOptions> = {}): Trainer =>
  trainerOf({ ...mlp, model: () => model }, backprop(), change);
const training =
  (model: Model, change: Partial<TrainerOptions> = {}) =>
  async (): Promise<void> => {
    using trainer = make(model, change);
    await trainer.step({ inputs: tensor(normals(B * 3, 1), [B, 3]), targets: labels });
  };
const refused: readonly Misuse[] = [
  [() => (nn.localHead as Any)(), 'INVALID_ARGUMENT', 'a dense layer) or a model but received neither'],
  [() => nn.localHead({}), 'INVALID_ARGUMENT', 'received neither'],
  [() => nn.localHead({ outputs: 4, model: nn.dense(4) }), 'INVALID_ARGUMENT', 'received both'],
  [() => nn.localHead({ outputs: 0 }), 'INVALID_ARGUMENT', 'outputs'],
  [() => nn.localHead({ outputs: 4, groups: 0 }), 'INVALID_ARGUMENT', 'groups'],
  [() => nn.localHead({ outputs: 4, groups: 1.5 }), 'INVALID_ARGUMENT', 'groups'],
  [() => nn.localHead({ model: nn.dense(4), groups: 2 }), 'INVALID_ARGUMENT', 'outputs with groups'],
  [() => (nn.localHead as Any)({ model: 'dense' }), 'INVALID_ARGUMENT', 'model to be a function'],
  [() => (nn.localHead as Any)({ outputs: 4, group: 2 }), 'INVALID_ARGUMENT', 'group'],
  [() => (nn.block as Any)(), 'INVALID_ARGUMENT', 'at least one layer'],
  [() => nn.block(head), 'INVALID_ARGUMENT', 'at least one layer, and { loss: nn.localHead(…) } last'],
  [() => (nn.block as Any)(nn.dense(4)), 'INVALID_ARGUMENT', 'at least one layer'],
  [() => (nn.block as Any)(nn.dense(4), nn.dense(4)), 'INVALID_ARGUMENT', 'received layers alone'],
  [() => (nn.block as Any)(nn.dense(4), { loss: nn.dense(4) }), 'INVALID_ARGUMENT', 'loss to be made by nn.localHead'],
  [() => (nn.block as Any)(nn.dense(4), {}), 'INVALID_ARGUMENT', 'loss to be made by nn.localHead'],
  [() => (nn.block as Any)(nn.dense(4), { ...head, groups: 3 }), 'INVALID_ARGUMENT', 'groups'],
  [() => nn.block(nn.dense(4), { loss: { kind: 'localHead', outputs: 4, groups: 1e9 } }), 'INVALID_ARGUMENT', 'groups'],
  [() => (nn.block as Any)('dense', head), 'INVALID_ARGUMENT', 'layer 0'],
  [() => make(nn.block(nn.block(nn.dense(4), head), head)), 'INVALID_ARGUMENT', 'a block inside a block'],
  [
    () => make(nn.block(nn.dense(4), { loss: nn.localHead({ model: nn.block(nn.dense(4), head) }) })),
    'INVALID_ARGUMENT',
    'a block inside a block',
  ],
  [
    () => make(nn.block(nn.dense(4), { loss: nn.localHead({ outputs: 4, groups: 3 }) })),
    'SHAPE_MISMATCH',
    '[nn.block] expected an output [B, ..., C] whose C 3 groups divide but received [1, 4]',
  ],
  [
    training(
      nn.sequential(nn.block(nn.dense(6), { loss: nn.localHead({ model: (y) => y.sum({ axis: 1 }) }) }), nn.dense(4)),
    ),
    'SHAPE_MISMATCH',
    '[softmaxCrossEntropy]',
  ],
  [
    training(nn.sequential(nn.block(nn.dense(6), { loss: nn.localHead({ outputs: 2 }) }), nn.dense(4)), {
      loss: (y, t) =>
        ops.softmaxCrossEntropy(
          y.shape[1] === 4 ? y : ops.concat([y, y], { axis: 0 }),
          y.shape[1] === 4 ? t : ops.concat([t, t], { axis: 0 }),
        ),
    }),
    'SHAPE_MISMATCH',
    '[loss] expected one loss per example, [5] but received [10]',
  ],
  [
    training(nn.sequential((x) => checkpoint((y: Value) => nn.block(nn.dense(6), head)(y))(x), nn.dense(4))),
    'INVALID_ARGUMENT',
    '[nn.block] expected to be called in the model itself in training: its loss is one of the step',
  ],
  ...[{ combine: 'projection', directions: 2 } as const, { clip: 1 }, { controlVariate: { momentum: 0.9 } }].map(
    (options): Misuse => [
      training(nn.sequential(nn.block(nn.dense(6), head), nn.dense(4)), { gradient: forwardGradient(options) }),
      'INVALID_ARGUMENT',
      'neither a projection nor clip nor a control variate with local losses',
    ],
  ),
  [
    training(nn.sequential(nn.block(nn.dense(6), nn.batchNorm(), head), nn.dense(4)), {
      gradient: forwardGradient({ perturb: 'activations' }),
    }),
    'INVALID_ARGUMENT',
    'a reduction over the batch (nn.batchNorm makes one in training)',
  ],
];
for (const [i, misuse] of refused.entries()) test(`refused: ${i} ${misuse[2]}`, () => refuses(misuse));

test('after a refusal the next block begins anew; outside a Trainer the layers run alone', async () => {
  using trainer = make(nn.sequential(nn.block(nn.dense(6), head), nn.dense(4)));
  assert.is(
    (await trainer.step({ inputs: tensor(normals(B * 3, 1), [B, 3]), targets: labels })).localLosses?.length,
    1,
  );
  const doubled = evaluate(nn.block((x) => x.mul(2), head) as never, float64);
  const y = (await call(doubled, tensor(Float64Array.of(1, 2), [1, 2]))) as unknown as Tensor;
  assert.equal([...y.data], [2, 4]);
});

test.run();
