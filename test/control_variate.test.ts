// The control variate: ĝ = (1/K) Σ (c_k − s·v_k) v_k + s and s ← β s + (1 − β) ĝ, step by step against the tangents as `materialise` writes
// them out; unbiased, and of the variance of a gradient g − s.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  adam,
  backprop,
  type ForwardGradientOptions,
  forwardGradient,
  gaussian,
  lowRank,
  minimize,
  nn,
  type Optimizer,
  ops,
  type RunOptions,
  rademacher,
  type Sampler,
  sgd,
  sphere,
  type Tensor,
  Trainer,
  tensor,
  type Value,
} from '../src/index.ts';
import { openSession, runPlan, toTarget } from '../src/plan/engine.ts';
import { encodeProgram } from '../src/trace/encode.ts';
import { Graph } from '../src/trace/graph.ts';
import { normals } from './support/draw.ts';
import { refuses } from './support/refusal.ts';
import { float32Targets, testApart, testDevice } from './support/targets.ts';

const epsilon = 2 ** -23;
const samplers: readonly Sampler[] = [gaussian(), rademacher(), sphere(), lowRank({ rank: 1 }), lowRank({ rank: 3 })];
const dot = (x: ArrayLike<number>, y: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i] as number) * (y[i] as number);
  return sum;
};

const batch = { inputs: tensor(normals(21 * 19, 30), [21, 19]), targets: tensor(normals(21 * 5, 31), [21, 5]) };

function trainerOf(options: ForwardGradientOptions, run: RunOptions, optimizer: Optimizer): Trainer {
  return new Trainer({
    model: nn.sequential(nn.dense(64, { activation: 'tanh' }), nn.dense(5)),
    inputShape: [19],
    loss: ops.meanSquaredError,
    gradient: forwardGradient(options),
    optimizer,
    seed: 9,
    ...run,
  });
}

/** Values of all parameters in one row, and their shapes. */
async function parametersOf(trainer: Trainer): Promise<{ row: Float64Array; shapes: (readonly number[])[] }> {
  const all = Object.values(await trainer.parameters());
  return { row: Float64Array.from(all.flatMap(({ data }) => [...data])), shapes: all.map(({ shape }) => shape) };
}

function directionsOf(
  shapes: readonly (readonly number[])[],
  sampler: Sampler,
  K: number,
  step: number,
): Float64Array[] {
  return Array.from({ length: K }, (_, direction) => {
    const parts = shapes.map((shape, parameter) => sampler.materialise({ shape, parameter, seed: 9, step, direction }));
    const v = Float64Array.from(parts.flatMap(({ data }) => [...data]));
    return sampler.kind === 'sphere' ? v.map((x) => x * Math.sqrt(v.length / dot(v, v))) : v;
  });
}

/** The estimate, and how far float32 may be off. */
function estimateOf(
  c: readonly number[],
  v: readonly Float64Array[],
  s: Float64Array,
): [g: Float64Array, error: number] {
  const part = v.map((each, k) => (c[k] as number) - dot(s, each));
  const size = part.reduce((sum, x) => sum + Math.abs(x), 0) / v.length;
  const scale = size + v.reduce((sum, _, k) => sum + Math.abs(c[k] as number), 0) / v.length;
  const g = s.map((x, i) => x + v.reduce((sum, each, k) => sum + (part[k]! * each[i]!) / v.length, 0));
  return [g, 64 * epsilon * scale];
}

/** Takes some steps and holds each to the formula; gives s as it then stands. */
async function checkSteps(trainer: Trainer, options: ForwardGradientOptions, rate: number): Promise<Float64Array> {
  const { sampler, directions = 1, controlVariate } = options as Required<ForwardGradientOptions>;
  const beta = controlVariate.momentum;
  let { row: before, shapes } = await parametersOf(trainer);
  let s = new Float64Array(before.length);
  for (let step = 0; step < 4; step++) {
    const { directionalDerivatives: c = [] } = await trainer.step(batch);
    const { row: after } = await parametersOf(trainer);
    const [g, error] = estimateOf(c, directionsOf(shapes, sampler, directions, step), s);
    for (const [i, p] of after.entries()) {
      const expected = (before[i] as number) - rate * (g[i] as number);
      const allowed = rate * error + 4 * epsilon * (Math.abs(p) + Math.abs(expected));
      const what = `${JSON.stringify(options)}, step ${step}: [${i}] is ${p} for ${expected}, allowed ${allowed}`;
      assert.ok(Math.abs(p - expected) <= allowed, what);
    }
    s = s.map((x, i) => beta * x + (1 - beta) * (g[i] as number));
    before = after;
  }
  return s;
}

async function checkSamplers(device: 'cpu' | 'cuda' | 'reference'): Promise<void> {
  const second = device === 'cuda' ? 'f32' : 'bf16';
  for (const [i, sampler] of samplers.entries()) {
    for (const [directions, precision, fuse] of [
      [1, device === 'reference' ? 'f64' : 'f32', true],
      [3, second, true],
      [2, second, false],
    ] as const) {
      const options = { sampler, directions, controlVariate: { momentum: i === 0 ? 0 : 0.8 } };
      const trainer = trainerOf(options, { device, precision, fuse }, sgd({ learningRate: 1 / 128 }));
      await checkSteps(trainer, options, 1 / 128);
      trainer.dispose();
    }
  }
}

testApart('reference: every step, of every sampler, at f64 and bf16', () => checkSamplers('reference'));
for (const { name, inside } of float32Targets())
  test(`${name}: every step, of every sampler, at each precision`, () => inside(() => checkSamplers(testDevice)));

test('one number of state for each parameter, and no gradient in the workspace', async () => {
  const bytes = (19 * 64 + 64 + 64 * 5 + 5) * 4;
  const large = { inputs: tensor(normals(2 * 600, 1), [2, 600]), targets: tensor(normals(2 * 512, 2), [2, 512]) };
  const of = async (options: ForwardGradientOptions): Promise<ReturnType<Trainer['memory']>> => {
    const trainer = new Trainer({
      model: nn.dense(512),
      inputShape: [600],
      loss: ops.meanSquaredError,
      gradient: forwardGradient(options),
      optimizer: sgd({ learningRate: 0.1 }),
      device: testDevice,
    });
    await trainer.step(large);
    const memory = trainer.memory();
    trainer.dispose();
    return memory;
  };
  for (const sampler of samplers.filter(({ kind }) => kind !== 'sphere')) {
    const [plain, varied] = [await of({ sampler }), await of({ sampler, controlVariate: { momentum: 0.9 } })];
    assert.is(varied.state - plain.state, (600 * 512 + 512) * 4);
    assert.ok(varied.workspace < plain.workspace + 64 * 1024, `${varied.workspace} for ${plain.workspace}`);
  }
  const trainer = trainerOf({ controlVariate: { momentum: 0.9 } }, { device: testDevice }, sgd({ learningRate: 0.1 }));
  await trainer.step(batch);
  assert.ok(Math.abs(trainer.memory().state - bytes) < 64 * 8);
  trainer.dispose();
});

testApart('the variance is that of a gradient g − s', async () => {
  for (const [sampler, more] of [
    [gaussian(), 1],
    [rademacher(), -1],
  ] as const) {
    const options = { sampler, directions: 4, controlVariate: { momentum: 0.97 } };
    const trainer = trainerOf(options, { device: 'cpu' }, sgd({ learningRate: 1e-12 }));
    const s = await checkSteps(trainer, options, 1e-12);
    const exact = await gradientHere(trainer);
    const n = s.length;
    const distance = exact.reduce((sum, g, i) => sum + (g - (s[i] as number)) ** 2, 0);
    const { total } = await trainer.diagnose(batch, { samples: 3000 });
    const expected = ((n + more) / 4) * (distance / dot(exact, exact));
    const ratio = total.relativeVariance / expected;
    assert.ok(Math.abs(ratio - 1) < 0.05, `${sampler.kind}: ${total.relativeVariance} for ${expected}`);
    assert.is(total.predicted, undefined);
    trainer.dispose();
  }
});

/** The exact gradient, from the step that gradient descent takes. */
async function gradientHere(trainer: Trainer): Promise<Float64Array> {
  const descent = new Trainer({
    model: nn.sequential(nn.dense(64, { activation: 'tanh' }), nn.dense(5)),
    inputShape: [19],
    loss: ops.meanSquaredError,
    gradient: backprop(),
    optimizer: sgd({ learningRate: 1 }),
    device: 'reference',
  });
  await descent.setParameters(await trainer.parameters());
  const { row: before } = await parametersOf(descent);
  await descent.step(batch);
  const { row: after } = await parametersOf(descent);
  descent.dispose();
  return before.map((x, i) => x - (after[i] as number));
}

testApart(
  'without bias: the mean of 2,000 steps of one native call comes closer than that of plain estimates',
  async () => {
    const g = tensor(normals(24, 8));
    const f = (p: Value): Value => ops.mul(p, g).sum();
    const distanceOf = async (options: ForwardGradientOptions): Promise<number> => {
      const { parameters } = await minimize(f, new Float32Array(24), {
        steps: 2000,
        gradient: forwardGradient({ sampler: gaussian(), ...options }),
        optimizer: sgd({ learningRate: 1 / 2000 }),
        device: 'cpu',
      });
      const off = Float64Array.from((parameters as Tensor).data, (p, i) => -p - (g.data[i] as number));
      return Math.sqrt(dot(off, off) / dot(g.data, g.data));
    };
    // (1/N²) Σ_t (n + 1) qᵗ ‖g‖² with q = β² + (1 − β)² (n + 1): 0.015², against (n + 1)/N = 0.11².
    const varied = await distanceOf({ controlVariate: { momentum: 0.98 } });
    const plain = await distanceOf({});
    assert.ok(varied < 0.06, String(varied));
    assert.ok(plain > 0.08 && plain < 0.15, String(plain));
  },
);

test('a step that is NUMERIC leaves s as it was; with every optimizer it trains', async () => {
  for (const optimizer of [adam({ learningRate: 0.01 }), sgd({ learningRate: 0.01, momentum: 0.9 })]) {
    const options = { controlVariate: { momentum: 0.9 }, directions: 2 };
    const [one, two] = [
      trainerOf(options, { device: testDevice }, optimizer),
      trainerOf(options, { device: testDevice }, optimizer),
    ];
    for (let step = 0; step < 3; step++) {
      const bad = { ...batch, inputs: tensor(new Float32Array(21 * 19).fill(Number.NaN), [21, 19]) };
      await refuses([() => one.step(bad), 'NUMERIC', `at step ${step}`]);
      assert.equal(await one.step(batch), await two.step(batch));
    }
    assert.equal(await one.parameters(), await two.parameters());
    one.dispose();
    two.dispose();
  }
});

test('an update that another one reads waits for it, however late that is', async () => {
  const target = toTarget('test', { device: testDevice });
  const session = openSession(target);
  const graph = new Graph({ real: 'float32', training: true });
  graph.within(() => {
    const [p, s, x] = [graph.parameter('p', [3]), graph.parameter('state/s', [3]), graph.input([3], 'float32')];
    const guard = x.sum();
    graph.emit('sgd', [p, null, null, s, null, null, null, guard], { rate: 1 });
    graph.emit('sgd', [s, null, null, x, null, null, null, guard], { rate: -1 });
    return graph.finish('test', [p.square().sum(), guard]); // reads p, whose update is behind it
  });
  const plan = session.compile(encodeProgram(graph), true);
  session.write('p', Float32Array.of(1, 2, 3));
  session.write('state/s', Float32Array.of(10, 20, 30));
  await runPlan(
    'test',
    plan,
    { inputs: [Float32Array.of(1, 1, 1)], keyLow: 0, keyHigh: 0, firstStep: 0, steps: 1 },
    undefined,
  );
  assert.equal([...session.read('p')], [-9, -18, -27]);
  assert.equal([...session.read('state/s')], [11, 21, 31]);
  session.dispose();
});

testApart('no number of threads changes a bit', async () => {
  const x = { inputs: tensor(normals(4 * 300, 1), [4, 300]), targets: tensor(normals(4 * 704, 2), [4, 704]) };
  for (const sampler of samplers) {
    const rows = [];
    for (const threads of [1, 2]) {
      const trainer = new Trainer({
        model: nn.dense(704),
        inputShape: [300],
        loss: ops.meanSquaredError,
        gradient: forwardGradient({ sampler, directions: 2, controlVariate: { momentum: 0.5 } }),
        optimizer: sgd({ learningRate: 0.01 }),
        device: 'cpu',
        threads,
      });
      for (let step = 0; step < 3; step++) await trainer.step(x);
      rows.push((await parametersOf(trainer)).row);
      trainer.dispose();
    }
    assert.equal(rows[0], rows[1], sampler.kind);
  }
});

test.run();
