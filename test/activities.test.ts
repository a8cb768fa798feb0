// Perturbed activities: c and the estimates of networks of every kind of layer against noise and pullbacks written out here; what the plan
// runs and keeps; what is refused. The variance is in example_noise.test.ts.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  evaluate,
  forwardGrad,
  forwardGradient,
  type GradientEstimator,
  grad,
  type Model,
  nn,
  ops,
  sgd,
  type Tensor,
  Trainer,
  tensor,
  type Value,
} from '../src/index.ts';
import { normals } from './support/draw.ts';
import { signs } from './support/random.ts';
import { type Misuse, refuses } from './support/refusal.ts';

const float64 = { device: 'reference' } as const;
const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
const values = (shape: readonly number[], seed: number, scale = 1): Tensor =>
  tensor(Float64Array.from(normals(sizeOf(shape), seed, scale)), shape);

// ---- networks, written so that their layers can be taken apart ------------------------------------------------------------------

/** at: what goes on from pre-activation l; `relu` follows it or not. cut: what a layer reads. */
interface Layers {
  at(l: number, z: Value): Value;
  cut(x: Value): Value;
}
const asTheyAre: Layers = { at: (_l, z) => z, cut: (x) => x };

interface Net {
  readonly name: string;
  readonly shapes: readonly (readonly number[])[];
  /** Of each layer: its first parameter, the use of that parameter, whether relu follows. */
  readonly layers: readonly (readonly [parameter: number, use: number, relu: boolean])[];
  readonly data: readonly Tensor[];
  readonly losses: (p: readonly Value[], data: readonly Value[], layers: Layers) => Value;
}

const labels = tensor(Int32Array.of(0, 3, 1, 2, 2, 0));
const mlp: Net = {
  name: 'mlp',
  shapes: [[9, 140], [140], [140, 7], [7], [7, 4]],
  layers: [
    [0, 0, true],
    [2, 0, false],
    [4, 0, false],
  ],
  data: [values([6, 9], 1), labels],
  losses: ([w0, b0, w1, b1, w2], [x, t], { at, cut }) => {
    // A product and a bias are one layer, fused or not.
    const h = ops.relu(at(0, ops.add(ops.matmul(cut(x!), w0!), b0!)));
    const y = ops.tanh(at(1, ops.dense(cut(h), w1!, b1!)));
    return ops.softmaxCrossEntropy(at(2, ops.matmul(cut(y), w2!)), t!);
  },
};
const cnn: Net = {
  name: 'cnn',
  shapes: [[3, 3, 2, 5], [5], [20, 4], [4]],
  layers: [
    [0, 0, true],
    [2, 0, false],
  ],
  data: [values([6, 5, 5, 2], 2), values([6, 4], 3)],
  losses: ([w0, b0, w1, b1], [x, t], { at, cut }) => {
    const z = at(0, ops.conv2d(cut(x!), w0!, b0!, { padding: 1 }));
    const h = ops.maxPool2d(ops.relu(z), { window: 2 });
    return at(1, ops.dense(cut(ops.reshape(h, [6, 20])), w1!, b1!))
      .sub(t!)
      .square();
  },
};
// An embedding, positions added to it, a norm, attention, and the table once more, transposed, as the last layer.
const transformer: Net = {
  name: 'transformer',
  shapes: [[4, 6], [3, 6], [6], [6], [6, 6], [6, 6]],
  layers: [
    [0, 0, false],
    [1, 0, false],
    [2, 0, false],
    [4, 0, false],
    [5, 0, false],
    [0, 1, false],
  ],
  data: [
    tensor(
      Int32Array.from({ length: 18 }, (_, i) => (i * 7) % 4),
      [6, 3],
    ),
    labels,
  ],
  losses: ([table, places, scale, shift, wq, wk], [x, t], { at, cut }) => {
    const e = at(1, ops.add(cut(at(0, ops.gather(table!, x!))), places!));
    const h = at(2, ops.layerNorm(cut(e), scale!, shift!));
    const [q, k] = [at(3, ops.dense(cut(h), wq!)), at(4, ops.dense(cut(h), wk!))];
    const y = ops.attention(q, k, e).mean({ axis: 1 });
    return ops.softmaxCrossEntropy(at(5, ops.matmul(cut(y), ops.transpose(table!))), t!);
  },
};
const nets = [mlp, cnn, transformer];
const batch = 6;
const parametersOf = ({ shapes }: Net): Tensor[] => shapes.map((shape, i) => values(shape, 70 + i, 0.5));

/** z of every layer. */
async function preActivations(net: Net): Promise<Tensor[]> {
  const f = (p: readonly Value[], data: readonly Value[]): Value[] => {
    const found: Value[] = [];
    const at = (l: number, z: Value): Value => {
      found[l] = z;
      return z;
    };
    net.losses(p, data, { ...asTheyAre, at });
    return found;
  };
  return (await evaluate(f as never, float64)(parametersOf(net) as never, net.data as never)) as unknown as Tensor[];
}

/** ∂f_i/∂z_i of every layer, all examples in one tensor. */
async function sensitivities(net: Net, z: readonly Tensor[]): Promise<Tensor[]> {
  const f = (e: readonly Value[], p: readonly Value[], data: readonly Value[]): Value =>
    net
      .losses(p, data, { ...asTheyAre, at: (l, value) => ops.add(value, e[l]!) })
      .mean()
      .mul(batch);
  const zeros = z.map(({ shape }) => tensor(new Float64Array(sizeOf(shape)), shape));
  const run = grad(f as never, float64) as (...args: unknown[]) => Promise<unknown>;
  return (await run(zeros, parametersOf(net), net.data)) as Tensor[];
}

/** Each layer's own pullback of its z̄, and nothing else. */
async function pulledBack(net: Net, bars: readonly Tensor[]): Promise<Tensor[]> {
  const f = (p: readonly Value[], bar: readonly Value[], data: readonly Value[]): Value => {
    const terms: Value[] = [];
    net.losses(p, data, {
      at: (l, z) => {
        terms[l] = z.mul(bar[l]!).sum();
        return z;
      },
      cut: (x) => (x.dtype === 'int32' ? x : ops.stopGradient(x)),
    });
    return terms.reduce((sum, term) => sum.add(term));
  };
  const run = grad(f as never, float64) as (...args: unknown[]) => Promise<unknown>;
  return (await run(parametersOf(net), bars, net.data)) as Tensor[];
}

interface Written {
  readonly c: number[];
  readonly gradient: readonly Tensor[];
}

/** The estimate by its definition, noise from a second Philox. */
async function written(net: Net, directions: number, seed: number, step: number, exactLast: boolean): Promise<Written> {
  const z = await preActivations(net);
  const g = await sensitivities(net, z);
  const noisy = exactLast ? z.length - 1 : z.length;
  const bars = z.map(({ shape }) => new Float64Array(sizeOf(shape)));
  const c: number[] = [];
  for (let k = 0; k < directions; k++) {
    const u = z.slice(0, noisy).map(({ shape, data }, l) => {
      const [parameter, use, relu] = net.layers[l]!;
      const columns = shape.at(-1)!;
      const drawn = signs(sizeOf(shape) / columns, columns, [parameter, 4, use * directions + k, step], [seed, 0]);
      return Float64Array.from(drawn, (sign, i) => (relu && data[i]! <= 0 ? 0 : sign));
    });
    const share = new Float64Array(batch);
    for (const [l, row] of u.entries())
      for (const [i, sign] of row.entries())
        share[Math.floor((i * batch) / row.length)]! += (sign * g[l]!.data[i]!) / batch;
    c.push(share.reduce((sum, each) => sum + each));
    for (const [l, row] of u.entries())
      for (const [i, sign] of row.entries())
        bars[l]![i]! += (sign * share[Math.floor((i * batch) / row.length)]!) / directions;
  }
  if (exactLast) for (const [i, value] of g.at(-1)!.data.entries()) bars.at(-1)![i] = value / batch;
  return {
    c,
    gradient: await pulledBack(
      net,
      z.map(({ shape }, l) => tensor(bars[l]!, shape)),
    ),
  };
}

const lossOf =
  (net: Net) =>
  (p: readonly Value[], data: readonly Value[]): Value =>
    net.losses(p, data, asTheyAre).mean();

interface Estimate {
  readonly gradient: readonly Tensor[];
  readonly directionalDerivatives: number[];
}

for (const net of nets) {
  for (const exactLast of [false, true]) {
    for (const directions of [1, 3]) {
      test(`${net.name}${exactLast ? ', exactLast' : ''}, K ${directions}: c and the estimate are those of the definition`, async () => {
        const expected = await written(net, directions, 5, 2, exactLast);
        for (const device of ['reference', 'cpu'] as const) {
          for (const fuse of [true, false]) {
            const options = {
              device,
              fuse,
              perturb: 'activations',
              directions,
              exactLast,
              seed: 5,
              firstStep: 2,
            } as const;
            const run = forwardGrad(lossOf(net) as never, options) as (...args: unknown[]) => Promise<unknown>;
            const single = ({ data, dtype, shape }: Tensor): Tensor =>
              device === 'cpu' && dtype === 'float64' ? tensor(Float32Array.from(data), shape) : tensor(data, shape);
            const found = (await run(parametersOf(net).map(single), net.data.map(single))) as Estimate;
            const tolerance = device === 'cpu' ? 2e-5 : 1e-12;
            for (const [k, c] of expected.c.entries())
              assert.ok(Math.abs(found.directionalDerivatives[k]! - c) <= tolerance, `${device} c ${k}`);
            for (const [i, { data }] of expected.gradient.entries())
              for (const [j, value] of data.entries()) {
                const error = Math.abs(found.gradient[i]!.data[j]! - value);
                assert.ok(
                  error <= tolerance * Math.max(1, Math.abs(value)),
                  `${device} ${fuse}: parameter ${i}[${j}] off by ${error}`,
                );
              }
          }
        }
      });
    }
  }
}

test('a loss that is a sum; examples along the last axis', async () => {
  const [rows, columns, count] = [2, 3, 4];
  const w = values([rows, columns], 1);
  const x = values([count, columns], 2);
  const v = values([rows, 1], 3);
  const f = (p: Value, data: Value): Value => ops.matmul(p, ops.transpose(data)).mul(v).sum({ axis: 0 }).sum();
  const run = forwardGrad(f as never, { ...float64, perturb: 'activations', seed: 8 }) as (
    ...a: unknown[]
  ) => Promise<unknown>;
  const { gradient, directionalDerivatives } = (await run(w, x)) as {
    gradient: Tensor;
    directionalDerivatives: number[];
  };
  const u = signs(rows, count, [0, 4, 0, 0], [8, 0]);
  const expected = new Float64Array(rows * columns);
  let total = 0;
  for (let i = 0; i < count; i++) {
    let c = 0;
    for (let o = 0; o < rows; o++) c += v.data[o]! * u[o * count + i]!;
    total += c;
    for (let o = 0; o < rows; o++)
      for (let j = 0; j < columns; j++) expected[o * columns + j]! += c * u[o * count + i]! * x.data[i * columns + j]!;
  }
  assert.ok(Math.abs(directionalDerivatives[0]! - total) < 1e-12);
  for (const [i, value] of expected.entries()) assert.ok(Math.abs(gradient.data[i]! - value) < 1e-12, `${i}`);
});

test('bf16: cpu and reference round the same operands', async () => {
  for (const net of nets) {
    for (const precision of ['bf16', 'f32'] as const) {
      const found = await Promise.all(
        (['cpu', 'reference'] as const).map(async (device) => {
          const rounded = device === 'cpu' || precision === 'bf16';
          const single = ({ data, dtype, shape }: Tensor): Tensor =>
            dtype === 'float64'
              ? tensor(device === 'cpu' ? Float32Array.from(data) : Float64Array.from(data), shape)
              : tensor(data, shape);
          const options = { device, perturb: 'activations', seed: 5, ...(rounded ? { precision } : {}) } as const;
          const run = forwardGrad(lossOf(net) as never, options) as (...args: unknown[]) => Promise<unknown>;
          return ((await run(parametersOf(net).map(single), net.data.map(single))) as Estimate).gradient;
        }),
      );
      let [off, size] = [0, 0];
      for (const [i, { data }] of found[1]!.entries())
        for (const [j, value] of data.entries()) {
          off += (found[0]![i]!.data[j]! - value) ** 2;
          size += value ** 2;
        }
      // A float32 sum near a tie may round to the other bf16 now and then, by 2⁻⁸ of itself.
      assert.ok(Math.sqrt(off / size) < 2 ** -9, `${net.name}, ${precision}: off by ${Math.sqrt(off / size)}`);
    }
  }
});

// ---- what runs and what is kept --------------------------------------------------------------------------------------------------

interface Setting {
  readonly model: Model;
  readonly inputShape: readonly number[];
  readonly gradient: GradientEstimator;
  readonly inputType?: 'float32' | 'int32';
  readonly precision?: 'f32' | 'bf16';
}

async function stepOf(setting: Setting): Promise<{ plan: string; memory: ReturnType<Trainer['memory']> }> {
  const trainer = new Trainer({
    loss: ops.softmaxCrossEntropy,
    optimizer: sgd({ learningRate: 1e-3 }),
    device: 'cpu',
    ...setting,
  });
  try {
    const shape = [48, ...setting.inputShape];
    const zeros = setting.inputType === 'int32' ? Int32Array : Float32Array;
    const targets = tensor(new Int32Array(48));
    await trainer.step({ inputs: tensor(new zeros(sizeOf(shape)), shape), targets });
    return { plan: trainer.describe(), memory: trainer.memory() };
  } finally {
    trainer.dispose();
  }
}

/** Names of the kernels of a plan, in order. */
const kernelsOf = (plan: string): string[] => [...plan.matchAll(/^\d+ +(\w+)/gm)].map(([, name]) => name!);

const deep = (depth: number, width = 128): Model =>
  nn.sequential(...Array.from({ length: depth }, () => nn.dense(width, { activation: 'relu' })), nn.dense(10));
const images = (): Model =>
  nn.sequential(
    nn.conv2d(4, { activation: 'relu' }),
    nn.maxPool2d({ window: 2 }),
    nn.conv2d(6, { activation: 'relu' }),
    nn.flatten(),
    nn.dense(10),
  );

test('forward only: of all pullbacks a plan runs those to parameters, one for each layer, and exactLast that of the loss', async () => {
  for (const precision of ['f32', 'bf16'] as const) {
    for (const exactLast of [false, true]) {
      const gradient = forwardGradient({ perturb: 'activations', directions: 2, exactLast });
      const dense = kernelsOf((await stepOf({ model: deep(4), inputShape: [128], gradient, precision })).plan);
      // x̄ = δ wᵀ is a matmul; a weight's pullback is multiplied out by its update.
      assert.not(
        dense.some((name) => /matmul|pullback|scatter/.test(name)),
        dense.join(' '),
      );
      assert.is(dense.filter((name) => name.startsWith('sgd')).length, 10);
      assert.is(dense.includes('unpick'), exactLast, 'the pullback of the cross entropy');
      const conv = kernelsOf((await stepOf({ model: images(), inputShape: [12, 12, 1], gradient, precision })).plan);
      const pullbacks = conv.filter((name) => /matmul|pullback|scatter/.test(name));
      assert.is(pullbacks.length, 2, conv.join(' '));
      for (const name of pullbacks) assert.match(name, /^conv2d_filter_(bias_)?pullback/);
    }
  }
});

test('kept are the inputs of the layers that the step computes, and c of each example', async () => {
  const gradient = forwardGradient({ perturb: 'activations', directions: 2 });
  for (const depth of [2, 5, 9]) {
    const { memory, plan } = await stepOf({ model: deep(depth), inputShape: [128], gradient });
    const inputs = 4 * 48 * 128 * depth;
    assert.ok(
      memory.tape >= inputs && memory.tape <= inputs + 4 * 48 * 2 + 256,
      `${memory.tape} for ${inputs}\n${plan}`,
    );
  }
  // Behind a pool the mask of a convolution cannot be told from the next layer's input: the relu's result is kept too.
  const { memory } = await stepOf({ model: images(), inputShape: [12, 12, 1], gradient });
  const inputs = 4 * 48 * (5 * 5 * 4 + 3 * 3 * 6 + 10 * 10 * 4);
  assert.ok(memory.tape >= inputs && memory.tape <= inputs + 4 * 48 * 2 + 320, `${memory.tape} for ${inputs}`);
});

// ---- refusals --------------------------------------------------------------------------------------------------------------------

const activations = forwardGradient({ perturb: 'activations' });
const training =
  (model: Model, gradient = activations): (() => Promise<unknown>) =>
  () =>
    stepOf({ model, inputShape: [8], gradient });
const of =
  (f: unknown, ...args: unknown[]): (() => unknown) =>
  () =>
    (forwardGrad(f as never, { perturb: 'activations' }) as (...args: unknown[]) => unknown)(...args);
const [w, x, t] = [
  tensor(new Float32Array(8), [2, 4]),
  tensor(new Float32Array(6), [3, 2]),
  tensor(Int32Array.of(0, 1, 2)),
];
const through =
  (f: (z: Value) => Value) =>
  (p: Value, y: Value): Value =>
    f(ops.matmul(y, p)).mean();
const cases: readonly Misuse[] = [
  [
    training(nn.sequential(nn.dense(4), nn.batchNorm(), nn.dense(10))),
    'INVALID_ARGUMENT',
    '[mean] expected ops that take each example by itself',
  ],
  [
    training(nn.sequential(nn.dense(10), (y) => y.sub(y.sum({ axis: 0 })))),
    'INVALID_ARGUMENT',
    'received a reduction over the batch (nn.batchNorm makes one in training)',
  ],
  [training(nn.sequential(nn.dense(10), (y) => ops.softmax(y, { axis: 0 }))), 'INVALID_ARGUMENT', '[softmax]'],
  [training(nn.sequential(nn.dense(10), (y) => ops.cumsum(y, { axis: 0 }))), 'INVALID_ARGUMENT', '[cumsum]'],
  [
    of(
      through((z) => ops.matmul(z, ops.transpose(z))),
      w,
      x,
    ),
    'INVALID_ARGUMENT',
    '[matmul] expected ops that take',
  ],
  [
    of(
      through((z) => ops.matmul(ops.transpose(z), z)),
      w,
      x,
    ),
    'INVALID_ARGUMENT',
    'a product that sums over the batch',
  ],
  [
    training(
      nn.sequential(nn.dense(10), (y) => ops.concat([ops.slice(y, [1, 0], [47, 10]), ops.slice(y, [0, 0], [1, 10])])),
    ),
    'INVALID_ARGUMENT',
    '[slice]',
  ],
  [
    training(nn.sequential(nn.dense(48), (y) => y.add(ops.transpose(y)), nn.dense(10))),
    'INVALID_ARGUMENT',
    '[add] expected ops that take each example by itself',
  ],
  [
    of(
      through((z) => ops.reshape(z, [4, 3])),
      w,
      x,
    ),
    'INVALID_ARGUMENT',
    'a reshape that cuts through examples',
  ],
  [
    of((p: Value, y: Value, u: Value) => ops.softmaxCrossEntropy(ops.matmul(y, p), u).mean().mul(2), w, x, t),
    'INVALID_ARGUMENT',
    '[mul] expected a loss that ends in the mean or the sum',
  ],
  [of((p: Value) => p.square().sum(), w), 'INVALID_ARGUMENT', 'a loss without a batch axis'],
  [
    of((p: Value, y: Value, u: Value) => ops.matmul(y, p).mean().add(u.square().mean()), w, x, x),
    'INVALID_ARGUMENT',
    '[add] expected a loss that ends',
  ],
  [
    of(
      (p: Value, y: Value, u: Value) => ops.matmul(y, p).mean({ axis: 1 }).add(u.sum()).mean(),
      w,
      x,
      tensor(new Float32Array(4)),
    ),
    'SHAPE_MISMATCH',
    'at least one example along the first axis of the data, as many in each',
  ],
];
test('refused: what is not known to keep examples apart', () =>
  refuses([
    () =>
      stepOf({
        model: nn.sequential(nn.gru(10)),
        inputShape: [3, 4],
        gradient: activations,
      }),
    'INVALID_ARGUMENT',
    '[scan] expected ops that take each example by itself',
  ]));
for (const [i, misuse] of cases.entries()) test(`refused: ${i} ${misuse[2]}`, () => refuses(misuse));

test('dropout, residuals, norms and embeddings train', async () => {
  const model = nn.sequential(
    nn.embedding(20, 8),
    nn.layerNorm(),
    nn.residual(nn.sequential(nn.dense(8, { activation: 'gelu' }), nn.dropout(0.1))),
    nn.flatten(),
    nn.dense(10),
  );
  const { plan } = await stepOf({ model, inputShape: [4], inputType: 'int32', gradient: activations });
  assert.ok(kernelsOf(plan).includes('scatter_add'), "the table's own pullback");
});

test.run();
