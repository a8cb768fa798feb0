// Layers: shared parameters, embeddings, the normalisations as they train, dropout by the law of stream 2.
// One file for all layers: a case each, on the same small trainer.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/binding.ts';
import {
  backprop,
  checkpoint,
  Dataset,
  forwardGradient,
  gaussian,
  grad,
  jvp,
  type Model,
  nn,
  ops,
  parameter,
  sgd,
  type Tensor,
  Trainer,
  type TrainerOptions,
  tensor,
  type Value,
} from '../src/index.ts';
import { encodeProgram } from '../src/trace/encode.ts';
import { Graph } from '../src/trace/graph.ts';
import { normals } from './support/draw.ts';
import { philox } from './support/random.ts';
import { type Misuse, refuses } from './support/refusal.ts';

const squared = (output: Value, target: Value): Value => ops.meanSquaredError(output, target);
const options = (model: Model, change: Partial<TrainerOptions> = {}): TrainerOptions => ({
  model,
  inputShape: [4],
  loss: squared,
  gradient: backprop(),
  optimizer: sgd({ learningRate: 0.1 }),
  device: 'reference',
  ...change,
});
const batch = (size: number, width: number, seed = 1, out = width) => ({
  inputs: tensor(normals(size * width, seed), [size, width]),
  targets: tensor(normals(size * out, seed + 1), [size, out]),
});

test('parameters of layers: names, shapes, initial values', async () => {
  using trainer = new Trainer(
    options(nn.sequential(nn.layerNorm(), nn.dense(3), nn.rmsNorm({ epsilon: 1e-6 }), nn.dropout(0.5))),
  );
  const parameters = await trainer.parameters();
  assert.equal(
    Object.entries(parameters).map(([name, { shape }]) => [name, [...shape]]),
    [
      ['0.scale', [4]],
      ['0.shift', [4]],
      ['1.w', [4, 3]],
      ['1.b', [3]],
      ['2.scale', [3]],
    ],
  );
  assert.equal([...parameters['0.scale']!.data], [1, 1, 1, 1]);
  assert.equal([...parameters['0.shift']!.data], [0, 0, 0, 0]);
  assert.equal([...parameters['2.scale']!.data], [1, 1, 1]);
});

test('the same layer object used twice has one set of parameters, and their gradients add up', async () => {
  for (const make of [() => nn.layerNorm(), () => nn.rmsNorm()]) {
    const layer = make();
    const copies: readonly Model[] = [make(), make()];
    const twice =
      (first: Model, second: Model): Model =>
      (x) =>
        second(first(x).add(1));
    using one = new Trainer(options(twice(layer, layer)));
    using two = new Trainer(options(nn.sequential(copies[0]!, (x) => x.add(1), copies[1]!)));
    const names = Object.keys(await one.parameters());
    assert.is(names.length, Object.keys(await two.parameters()).length / 2);
    const data = batch(3, 4);
    assert.is((await one.step(data)).loss, (await two.step(data)).loss);
    const [shared, apart] = [await one.parameters(), await two.parameters()];
    for (const name of names) {
      const start = name === 'scale' ? 1 : 0;
      for (let i = 0; i < 4; i++) {
        const sum = apart[`0.${name}`]!.data[i]! + apart[`2.${name}`]!.data[i]! - 2 * start;
        assert.ok(Math.abs(shared[name]!.data[i]! - start - sum) < 1e-12, `${name}[${i}]`);
      }
    }
  }
});

test('an embedding takes int32, and only the rows that were used move', async () => {
  for (const device of ['reference', 'cpu'] as const) {
    for (const gradient of [backprop(), forwardGradient({ sampler: gaussian() })]) {
      using trainer = new Trainer(
        options(nn.sequential(nn.embedding(6, 3), nn.flatten()), {
          inputShape: [2],
          inputType: 'int32',
          gradient,
          device,
        }),
      );
      const before = (await trainer.parameters())['0.w']!;
      assert.equal([...before.shape], [6, 3]);
      const inputs = tensor(Int32Array.of(1, 4, 4, 4, 1, 0), [3, 2]);
      const rows = await trainer.predict(inputs);
      assert.equal([...rows.shape], [3, 6]);
      for (let i = 0; i < 18; i++) {
        const row = inputs.data[Math.floor(i / 3)]!;
        assert.is(rows.data[i]!, before.data[row * 3 + (i % 3)]!);
      }
      const targets = tensor(normals(18, 5), [3, 6]);
      await trainer.step({ inputs, targets });
      const after = (await trainer.parameters())['0.w']!;
      if (gradient.kind !== 'backprop') continue; // a direction moves every row
      for (let row = 0; row < 6; row++)
        assert.is(after.data[row * 3] !== before.data[row * 3], [0, 1, 4].includes(row), `row ${row}`);
      // ∂/∂w of mean_b mean_i (x − t)²: rows that came up several times take all of their share.
      const gradientOf = new Float64Array(18);
      for (let i = 0; i < 18; i++) {
        const row = inputs.data[Math.floor(i / 3)]!;
        gradientOf[row * 3 + (i % 3)]! += (2 * (rows.data[i]! - targets.data[i]!)) / 18;
      }
      for (let i = 0; i < 18; i++)
        assert.ok(Math.abs(after.data[i]! - (before.data[i]! - 0.1 * gradientOf[i]!)) < 1e-6, `${i}`);
    }
  }
});

test('an index outside the table is NaN for its example, and the training step is refused', async () => {
  using trainer = new Trainer(
    options(nn.sequential(nn.embedding(3, 2), nn.flatten()), { inputShape: [1], inputType: 'int32' }),
  );
  const inputs = tensor(Int32Array.of(2, 3, -1), [3, 1]);
  const rows = await trainer.predict(inputs);
  assert.equal(Array.from(rows.data, Number.isNaN), [false, false, true, true, true, true]);
  const before = await trainer.parameters();
  await refuses([() => trainer.step({ inputs, targets: tensor(new Float32Array(6), [3, 2]) }), 'NUMERIC', 'finite']);
  assert.equal(await trainer.parameters(), before);
});

// ---- dropout ------------------------------------------------------------------------------------------------------------

/** The uniforms of stream 2 by the law. */
function uniformsOf(rows: number, columns: number, parameterOrdinal: number, step: number, key: number[]): number[] {
  const values: number[] = [];
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < columns; j++) {
      const block = row * Math.ceil(columns / 4) + Math.floor(j / 4);
      const word = philox([block, parameterOrdinal, 2 * 2 ** 24, step], key)[j % 4]!;
      values.push(((word >>> 9) + 0.5) * 2 ** -23);
    }
  }
  return values;
}

const devices = [['reference', ''] as const, ...native.instructionSets().map((isa) => ['cpu', isa] as const)];

/** A traced function in training, run once. */
async function runInTraining(
  device: 'cpu' | 'reference',
  isa: string,
  f: (x: Value) => readonly Value[],
  x: Float32Array,
  shape: readonly number[],
  { step = 0, fuse = true, key = [7, 9] }: { step?: number; fuse?: boolean; key?: number[] } = {},
): Promise<(Float32Array | Float64Array | Int32Array)[]> {
  const real = device === 'reference' ? 'float64' : 'float32';
  const graph = new Graph({ real, training: true });
  const input = graph.input(shape, real);
  graph.within(() => graph.finish('test', f(input)));
  const session = new native.Session(device, isa, 0);
  const data = device === 'reference' ? Float64Array.from(x) : x;
  const plan = session.compile(encodeProgram(graph), fuse);
  const request = { inputs: [data], keyLow: key[0]!, keyHigh: key[1]!, firstStep: step, steps: 1 };
  const { outputs } = await plan.run(request);
  session.dispose();
  return [...outputs];
}

test('dropout keeps where u ≥ rate, scaled: the law of stream 2 on every device, fused and unfused', async () => {
  const [rows, columns] = [5, 19];
  const x = normals(rows * columns, 3);
  for (const [device, isa] of devices) {
    for (const fuse of [true, false]) {
      for (const [rate, step] of [
        [0.3, 0],
        [0.5, 4],
        [0.9, 17],
      ] as const) {
        const u = [0, 2].map((ordinal) => uniformsOf(rows, columns, ordinal, step, [7, 9]));
        // The second dropout is the third random op: ops.random counts too.
        const f = (value: Value): Value[] => [
          ops.dropout(value, { rate }),
          ops.random([2]).sum(),
          ops.dropout(value, { rate }),
        ];
        const outputs = await runInTraining(device, isa, f, x, [rows, columns], { step, fuse });
        const scale = device === 'cpu' ? Math.fround(1 / (1 - rate)) : 1 / (1 - rate);
        for (const [use, output] of [0, 2].entries()) {
          const round = device === 'cpu' ? Math.fround : (value: number): number => value;
          const expected = Array.from(x, (value, i) => (u[use]![i]! >= rate ? round(value * scale) : 0));
          assert.equal([...outputs[output]!], expected, `${device} ${isa} rate ${rate}`);
        }
      }
    }
  }
});

test('a rate between two uniforms, or on one, cuts at the same place on every device', async () => {
  const u = uniformsOf(1, 64, 0, 0, [7, 9]);
  const x = new Float32Array(64).fill(1);
  for (const rate of [u[5]!, u[5]! * (1 + 2 ** -40), u[5]! * (1 - 2 ** -40), 2 ** -24, 1e-12, 1 - 2 ** -24]) {
    for (const [device, isa] of devices) {
      const [y] = await runInTraining(device, isa, (value) => [ops.dropout(value, { rate })], x, [1, 64]);
      assert.equal(
        Array.from(y!, (value) => value !== 0),
        u.map((each) => each >= rate),
        `${device} ${isa} ${rate}`,
      );
    }
  }
});

test('value, every direction and the pullback see one mask', async () => {
  const shape = [4, 11];
  const x = normals(44, 8);
  const rate = 0.4;
  const kept = uniformsOf(4, 11, 0, 2, [7, 9]).map((u) => u >= rate);
  const f = (value: Value): Value[] => {
    const dropped = (v: Value): Value => ops.dropout(v.square(), { rate });
    const [y, yDot] = jvp(dropped, [value], [ops.cos(value)]);
    return [y, yDot];
  };
  for (const [device, isa] of devices) {
    for (const fuse of [true, false]) {
      const [y, yDot] = await runInTraining(device, isa, f, x, shape, { step: 2, fuse });
      for (const [i, keep] of kept.entries()) {
        const scale = keep ? 1 / (1 - rate) : 0;
        assert.ok(Math.abs(y![i]! - x[i]! ** 2 * scale) <= 1e-5);
        assert.ok(Math.abs(yDot![i]! - 2 * x[i]! * Math.cos(x[i]!) * scale) <= 1e-5);
      }
    }
  }
});

test('half of a large tensor is dropped, and its mean stays', async () => {
  const n = 200_000;
  for (const rate of [0.1, 0.5, 0.8]) {
    const x = new Float32Array(n).fill(1);
    const [y] = await runInTraining('cpu', '', (value) => [ops.dropout(value, { rate })], x, [n]);
    const kept = Array.from(y!).filter((value) => value !== 0).length / n;
    assert.ok(Math.abs(kept - (1 - rate)) < 5 * Math.sqrt((rate * (1 - rate)) / n), `${rate}: ${kept}`);
  }
});

/** y = dropout(x)·w, w = 1 and never moved: the loss of a step tells the mask. */
const scaledDropout =
  (rate: number): Model =>
  (x) =>
    ops.dropout(x, { rate }).mul(parameter('w', [4], 'ones'));
const still = { optimizer: sgd({ learningRate: 0 }) };

test('training drops anew at each step, by seed and step alone; predict and evaluate never do', async () => {
  const data = batch(6, 4, 11);
  const seed = 30064771081; // key [9, 7]
  const lossAt = (step: number, rate: number): number => {
    const u = uniformsOf(6, 4, 0, step, [9, 7]);
    let sum = 0;
    for (let i = 0; i < 24; i++) {
      const y = u[i]! >= rate ? data.inputs.data[i]! / (1 - rate) : 0;
      sum += (y - data.targets.data[i]!) ** 2;
    }
    return sum / 24;
  };
  const plain = Array.from(data.inputs.data).reduce((sum, x, i) => sum + (x - data.targets.data[i]!) ** 2, 0) / 24;
  for (const device of ['reference', 'cpu'] as const) {
    for (const gradient of [backprop(), forwardGradient({ directions: 3 })]) {
      using trainer = new Trainer(options(scaledDropout(0.4), { ...still, device, seed, gradient }));
      for (let step = 0; step < 4; step++) {
        assert.ok(Math.abs((await trainer.step(data)).loss - lossAt(step, 0.4)) < 2e-6, `${device} step ${step}`);
        assert.equal(
          Array.from((await trainer.predict(data.inputs)).data, Math.fround),
          [...data.inputs.data],
          'predict',
        );
        const { loss } = await trainer.evaluate(async function* () {
          yield data;
        });
        assert.ok(Math.abs(loss - plain) < 2e-6, 'evaluate');
      }
    }
  }
});

test('forward gradients through dropout are those of the masked loss', async () => {
  // Steps with one mask: c_k = ∇f·v_k with ∇f of that mask, so the mean of c_k v_k over many directions is near the gradient.
  const data = batch(5, 4, 21);
  const rate = 0.5;
  const results = [];
  for (const gradient of [backprop(), forwardGradient({ sampler: gaussian(), directions: 1024 })]) {
    using trainer = new Trainer(options(scaledDropout(rate), { gradient, seed: 5 }));
    const { loss } = await trainer.step(data);
    const w = (await trainer.parameters()).w!;
    results.push({ loss, move: Array.from(w.data, (value) => value - 1) });
  }
  const [exact, estimate] = results as [(typeof results)[0], (typeof results)[0]];
  assert.is(exact.loss, estimate.loss);
  const norm = Math.hypot(...exact.move);
  const error = Math.hypot(...exact.move.map((move, i) => move - estimate.move[i]!));
  assert.ok(error < 0.25 * norm, `${error} of ${norm}`); // √((n + 1)/K) = 0.07
});

// ---- batchNorm ----------------------------------------------------------------------------------------------------------

/** Mean and biased variance per channel, the last axis. */
function statistics(data: ArrayLike<number>, n: number): { mean: number[]; variance: number[] } {
  const rows = data.length / n;
  const channel = (f: (x: number, c: number) => number): number[] =>
    Array.from({ length: n }, (_, c) => {
      let sum = 0;
      for (let row = 0; row < rows; row++) sum += f(data[row * n + c]!, c);
      return sum / rows;
    });
  const mean = channel((x) => x);
  return { mean, variance: channel((x, c) => (x - mean[c]!) ** 2) };
}
type Statistics = ReturnType<typeof statistics>;
const normalised = (data: ArrayLike<number>, n: number, { mean, variance }: Statistics, epsilon = 1e-5): number[] =>
  Array.from(data, (x, i) => (x - mean[i % n]!) / Math.sqrt(variance[i % n]! + epsilon));
const moved = (old: Statistics, now: Statistics, momentum = 0.9): Statistics => {
  const move = (a: number[], b: number[]): number[] => a.map((x, i) => momentum * x + (1 - momentum) * b[i]!);
  return { mean: move(old.mean, now.mean), variance: move(old.variance, now.variance) };
};
const start = (n: number): Statistics => ({ mean: new Array(n).fill(0), variance: new Array(n).fill(1) });

function near(what: string, actual: ArrayLike<number>, expected: readonly number[], tolerance: number): void {
  assert.is(actual.length, expected.length);
  for (const [i, value] of expected.entries())
    assert.ok(
      Math.abs(actual[i]! - value) <= tolerance * Math.max(1, Math.abs(value)),
      `${what}[${i}]: ${actual[i]} for ${value}`,
    );
}

for (const device of ['reference', 'cpu'] as const) {
  const tolerance = device === 'cpu' ? 2e-5 : 1e-12;
  for (const gradient of [backprop(), forwardGradient({ sampler: gaussian(), directions: 3 })]) {
    for (const inputShape of [[4], [3, 2, 4]]) {
      for (const fuse of [true, false]) {
        test(`batchNorm: ${device}, ${gradient.kind}, [B, ${inputShape}], ${fuse ? 'fused' : 'unfused'}`, async () => {
          const width = inputShape.reduce((a, b) => a * b, 1);
          using trainer = new Trainer(
            options(nn.batchNorm(), { ...still, device, gradient, inputShape, fuse } as Partial<TrainerOptions>),
          );
          let running = start(4);
          const probe = normals(2 * width, 99);
          const check = async (): Promise<void> => {
            const y = await trainer.predict(tensor(probe, [2, ...inputShape]));
            near('predict', y.data, normalised(probe, 4, running), tolerance);
          };
          await check();
          for (let step = 0; step < 5; step++) {
            const size = 3 + step; // a plan for each
            const inputs = tensor(normals(size * width, step, 1 + step), [size, ...inputShape]);
            const targets = tensor(normals(size * width, 50 + step), [size, ...inputShape]);
            const now = statistics(inputs.data, 4);
            const y = normalised(inputs.data, 4, now);
            const loss = y.reduce((sum, each, i) => sum + (each - targets.data[i]!) ** 2, 0) / y.length;
            near('loss', [(await trainer.step({ inputs, targets })).loss], [loss], tolerance);
            running = moved(running, now);
            await check();
            await trainer.evaluate(async function* () {
              yield { inputs, targets };
            });
            await check(); // evaluate and predict move nothing
          }
          assert.equal(Object.keys(await trainer.parameters()), ['scale', 'shift']);
          assert.is(trainer.memory().state, 8 * (device === 'cpu' ? 4 : 8));
        });
      }
    }
  }
}

test('batchNorm: fit moves the averages once per step, and a step that is refused not at all', async () => {
  for (const gradient of [backprop(), forwardGradient()]) {
    const inputs = normals(12 * 4, 5, 3);
    using trainer = new Trainer(options(nn.batchNorm({ momentum: 0.7, epsilon: 1e-3 }), { ...still, gradient }));
    const data = Dataset.from(tensor(inputs, [12, 4]), tensor(normals(48, 6), [12, 4]));
    await trainer.fit(data, { epochs: 2, batchSize: 12 });
    let running = start(4);
    for (let step = 0; step < 2; step++) running = moved(running, statistics(inputs, 4), 0.7);
    const expected = normalised(inputs, 4, running, 1e-3);
    near('after fit', (await trainer.predict(tensor(inputs, [12, 4]))).data, expected, 1e-12);

    const bad = inputs.slice();
    bad[7] = Number.POSITIVE_INFINITY;
    const step = { inputs: tensor(bad, [12, 4]), targets: tensor(new Float32Array(48), [12, 4]) };
    await refuses([() => trainer.step(step), 'NUMERIC', 'step 2']);
    near('after the refusal', (await trainer.predict(tensor(inputs, [12, 4]))).data, expected, 1e-12);
  }
});

test('batchNorm used twice moves its averages twice, in order', async () => {
  const layer = nn.batchNorm();
  using trainer = new Trainer(options((x) => layer(layer(x).mul(3).add(2)), still));
  const inputs = normals(24, 5, 2);
  const first = statistics(inputs, 4);
  const second = normalised(inputs, 4, first).map((y) => 3 * y + 2);
  await trainer.step({ inputs: tensor(inputs, [6, 4]), targets: tensor(inputs, [6, 4]) });
  const running = moved(moved(start(4), first), statistics(second, 4));
  const once = normalised(inputs, 4, running).map((y) => 3 * y + 2);
  near('predict', (await trainer.predict(tensor(inputs, [6, 4]))).data, normalised(once, 4, running), 1e-12);
});

test('batchNorm: gradients are those of the batch’s own statistics, and directional derivatives theirs', async () => {
  const sampler = gaussian();
  const { inputs, targets } = batch(5, 4, 31, 2);
  const w0 = { w: normals(12, 1), b: normals(3, 2), scale: normals(3, 3), shift: normals(3, 4), v: normals(6, 5) };
  const model: Model = (x) => {
    const norm = nn.batchNorm();
    const y = ops.tanh(norm(ops.dense(x, parameter('w', [4, 3]), parameter('b', [3]))));
    return ops.matmul(y, parameter('v', [3, 2]));
  };
  // The order of declaration: w, b, scale, shift, v.
  const names = ['w', 'b', 'scale', 'shift', 'v'] as const;
  const shapes = { w: [4, 3], b: [3], scale: [3], shift: [3], v: [3, 2] };
  const values = Object.fromEntries(names.map((name) => [name, tensor(w0[name], shapes[name])]));
  const loss = (p: Record<(typeof names)[number], Value>): Value => {
    const z = ops.dense(tensor(inputs.data as Float32Array, [5, 4]), p.w, p.b);
    const d = z.sub(z.mean({ axis: 0 }));
    const x = d.div(d.square().mean({ axis: 0 }).add(1e-5).sqrt());
    return ops.meanSquaredError(ops.matmul(ops.tanh(x.mul(p.scale).add(p.shift)), p.v), targets).mean();
  };
  const exact = (await grad(loss, { device: 'reference' })(values as never)) as unknown as Record<string, Tensor>;
  using plain = new Trainer(options(model));
  await plain.setParameters(values);
  await plain.step({ inputs, targets });
  const after = await plain.parameters();
  for (const name of names)
    near(
      name,
      after[name]!.data,
      Array.from(w0[name], (x, i) => x - 0.1 * exact[name]!.data[i]!),
      1e-12,
    );

  using forward = new Trainer(options(model, { gradient: forwardGradient({ sampler, directions: 4 }), seed: 17 }));
  await forward.setParameters(values);
  const { directionalDerivatives } = await forward.step({ inputs, targets });
  const c = [0, 1, 2, 3].map((direction) => {
    let sum = 0;
    for (const [ordinal, name] of names.entries()) {
      const v = sampler.materialise({ shape: shapes[name], parameter: ordinal, seed: 17, step: 0, direction });
      for (const [i, each] of v.data.entries()) sum += each * exact[name]!.data[i]!;
    }
    return sum;
  });
  near('c', directionalDerivatives!, c, 1e-6); // materialise is float32
});

test('segments that are computed again see the same masks and statistics, and commit once', async () => {
  const layers = (segment: (f: Model) => Model): Model => {
    const [first, second] = [nn.dense(6, { activation: 'tanh' }), nn.dense(4)];
    const norm = nn.batchNorm();
    const dropped: Model = segment((x) => ops.tanh(ops.dropout(x.mul(2), { rate: 0.3 })));
    return nn.sequential(first, norm, dropped, nn.layerNorm(), nn.dropout(0.2), second);
  };
  const { inputs, targets } = batch(7, 4, 41);
  const results = [];
  for (const [gradient, segment] of [
    [backprop(), (f: Model): Model => f],
    [backprop(), (f: Model): Model => checkpoint(f)],
    [backprop({ checkpoint: true }), (f: Model): Model => f],
    [backprop({ checkpoint: 2 }), (f: Model): Model => checkpoint(f)],
  ] as const) {
    using trainer = new Trainer(options(layers(segment), { gradient, seed: 3 }));
    const losses = [];
    for (let step = 0; step < 3; step++) losses.push((await trainer.step({ inputs, targets })).loss);
    results.push({ losses, parameters: await trainer.parameters(), predicted: await trainer.predict(inputs) });
  }
  for (const result of results.slice(1)) assert.equal(result, results[0]);
});

// ---- misuse -------------------------------------------------------------------------------------------------------------

const any = (value: unknown): never => value as never;
const traced = (f: () => unknown) => () => {
  const graph = new Graph({ real: 'float32', training: true });
  return graph.within(f);
};
const real = (...shape: number[]): Value => ops.random(shape);
const whole = (...shape: number[]): Value => ops.less(ops.random(shape), 0);
const INVALID = 'INVALID_ARGUMENT';
const misuses: Misuse[] = [
  [traced(() => ops.layerNorm(real())), 'SHAPE_MISMATCH', 'a last axis of at least one element'],
  [traced(() => ops.layerNorm(real(2, 3), real(2))), 'SHAPE_MISMATCH', 'scale [3] but received [2]'],
  [traced(() => ops.layerNorm(real(2, 3), undefined, real(2, 3))), 'SHAPE_MISMATCH', 'shift [3]'],
  [traced(() => ops.layerNorm(whole(3))), 'DTYPE_MISMATCH', 'real'],
  [traced(() => ops.layerNorm(real(3), whole(3))), 'DTYPE_MISMATCH', 'real'],
  [traced(() => ops.layerNorm(real(3), { epsilon: -1 })), INVALID, 'epsilon to be a finite number of at least 0'],
  [traced(() => ops.layerNorm(real(3), { epsilon: Number.NaN })), INVALID, 'epsilon'],
  [traced(() => ops.layerNorm(real(3), any({ axis: 0 }))), INVALID, 'only the options epsilon'],
  [traced(() => ops.rmsNorm(real(2, 3), real(2))), 'SHAPE_MISMATCH', '[rmsNorm] expected scale [3]'],
  [traced(() => ops.rmsNorm(real(3), { epsilon: any('1') })), INVALID, 'epsilon'],
  [traced(() => ops.gather(real(3), real(2))), 'DTYPE_MISMATCH', 'input 1 of dtype int32'],
  [traced(() => ops.gather(real(), whole(2))), INVALID, 'no axis, since the input is a scalar'],
  [traced(() => ops.gather(real(3), whole(2), { axis: 1 })), INVALID, 'an axis from -1 to 0 but received 1'],
  [traced(() => ops.gather(real(3), whole(2), { axis: 0.5 })), INVALID, 'axis to be an integer'],
  [traced(() => ops.gather(real(1, 1, 1, 1, 1, 1), whole(1, 1, 1, 1, 1, 1))), 'SHAPE_MISMATCH', 'axes'],
  [traced(() => ops.oneHot(real(3), { classes: 2 })), 'DTYPE_MISMATCH', 'int32'],
  [traced(() => ops.oneHot(whole(3), { classes: 0 })), INVALID, 'classes to be an integer from 1'],
  [traced(() => ops.oneHot(whole(3), any(undefined))), INVALID, 'classes'],
  [traced(() => ops.cumsum(real())), INVALID, 'no axis'],
  [traced(() => ops.cumsum(whole(3))), 'DTYPE_MISMATCH', 'real'],
  [traced(() => ops.cumsum(real(3), { axis: 3 })), INVALID, 'an axis from -1 to 0'],
  [traced(() => ops.cumsum(real(3), { reverse: any(1) })), INVALID, 'reverse to be true or false'],
  [traced(() => ops.argmax(real())), INVALID, 'no axis'],
  [traced(() => ops.argmax(real(2, 0))), INVALID, 'an axis of 1 to 2^31 - 1 elements'],
  [traced(() => ops.argmax(whole(2))), 'DTYPE_MISMATCH', 'real'],
  [traced(() => ops.dropout(real(3), any(undefined))), INVALID, 'rate to be a finite number'],
  [traced(() => ops.dropout(real(3), { rate: 1 })), INVALID, 'below 1'],
  [traced(() => ops.dropout(real(3), { rate: -0.1 })), INVALID, 'of at least 0'],
  [traced(() => ops.dropout(whole(3), { rate: 0.5 })), 'DTYPE_MISMATCH', 'a real input'],
  [() => nn.dropout(1), INVALID, '[nn.dropout] expected rate'],
  [() => nn.dropout(any(undefined)), INVALID, 'rate'],
  [() => nn.embedding(0, 3), INVALID, 'count to be an integer from 1'],
  [() => nn.embedding(3, 1.5), INVALID, 'size to be an integer from 1'],
  [() => nn.embedding(3, 3, any({ init: 'zeros' })), INVALID, 'only the options initializer'],
  [() => nn.batchNorm({ momentum: 1.5 }), INVALID, '[nn.batchNorm] expected momentum'],
  [() => nn.batchNorm({ epsilon: any(null) }), INVALID, 'epsilon'],
  [() => nn.batchNorm(any({ axis: 1 })), INVALID, 'only the options momentum, epsilon'],
  [() => new Trainer(options((x) => nn.batchNorm()(x.reshape([4])))), 'SHAPE_MISMATCH', 'an input [B, ..., n]'],
  [traced(() => nn.batchNorm()(real(2, 3))), INVALID, 'in the model of a Trainer'],
  [
    () => {
      const inside = (x: Value): Value => jvp((y: Value) => nn.batchNorm()(y), [x], [x])[0];
      return new Trainer(options(inside)).step(batch(3, 4));
    },
    INVALID,
    'a call inside a function that the model transforms',
  ],
  [() => nn.layerNorm({ epsilon: -1 }), INVALID, '[nn.layerNorm] expected epsilon'],
  [() => nn.rmsNorm(any(1e-5)), INVALID, 'a plain object of options'],
  [() => new Trainer(options(nn.embedding(3, 2))), 'DTYPE_MISMATCH', 'int32'],
];
for (const [i, misuse] of misuses.entries()) test(`refused: ${i} ${misuse[2]}`, () => refuses(misuse));

test.run();
