// SPSA: c_k = (f(θ + ε v_k) − f(θ − ε v_k)) / 2ε and (1/K) Σ c_k v_k, against f at parameters moved along the tangents as `materialise` writes
// them out; its bias, its variance, its memory.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/binding.ts';
import {
  backprop,
  evaluate,
  gaussian,
  lowRank,
  type Model,
  minimize,
  nn,
  ops,
  rademacher,
  type Sampler,
  sgd,
  sphere,
  spsa,
  type Tensor,
  Trainer,
  tensor,
  type Value,
} from '../src/index.ts';
import { normals } from './support/draw.ts';
import { withIsa } from './support/isa.ts';

const samplers: readonly Sampler[] = [gaussian(), rademacher(), sphere(), lowRank({ rank: 1 }), lowRank({ rank: 3 })];
const shapes = [[9, 33], [33], [33, 4], [4]] as const;
const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
const theta = shapes.map((shape, i) => tensor(normals(sizeOf(shape), 50 + i, 0.3), shape));
const x = tensor(normals(6 * 9, 60), [6, 9]);
const labels = tensor(Int32Array.of(0, 3, 1, 2, 2, 0));
type Four = readonly [Value, Value, Value, Value];
const loss = ([w0, b0, w1, b1]: Four): Value =>
  ops.softmaxCrossEntropy(ops.dense(ops.dense(x, w0, b0, { activation: 'tanh' }), w1, b1), labels).mean();

/** v over all parameters, a row for each. */
function directionOf(sampler: Sampler, step: number, direction: number): Float64Array[] {
  const rows = shapes.map((shape, parameter) =>
    Float64Array.from(sampler.materialise({ shape, parameter, seed: 7, step, direction }).data),
  );
  if (sampler.kind !== 'sphere') return rows;
  const squares = rows.reduce((sum, row) => sum + row.reduce((s, v) => s + v * v, 0), 0);
  return rows.map((row) => row.map((v) => v * Math.sqrt(rows.reduce((n, { length }) => n + length, 0) / squares)));
}

async function lossAt(v: readonly Float64Array[], epsilon: number): Promise<number> {
  const moved = theta.map(({ data, shape }, i) =>
    tensor(
      Float64Array.from(data, (p, j) => p + epsilon * (v[i]?.[j] as number)),
      shape,
    ),
  );
  return ((await evaluate(loss, { device: 'reference' })(moved as never)) as unknown as Tensor).item();
}

async function check(device: 'cpu' | 'reference', sampler: Sampler, directions: number, fuse: boolean): Promise<void> {
  const [perturbation, rate] = [0.01, 0.5];
  const { parameters, losses } = await minimize(loss as never, theta as never, {
    steps: 1,
    gradient: spsa({ sampler, directions, perturbation }),
    optimizer: sgd({ learningRate: rate }),
    seed: 7,
    device,
    fuse,
  });
  const expected = theta.map(({ data }) => Float64Array.from(data));
  let mean = 0;
  for (let k = 0; k < directions; k++) {
    const v = directionOf(sampler, 0, k);
    const [above, below] = [await lossAt(v, perturbation), await lossAt(v, -perturbation)];
    mean += (above + below) / (2 * directions);
    const c = (above - below) / (2 * perturbation);
    for (const [i, row] of v.entries())
      for (const [j, each] of row.entries()) expected[i]![j]! -= (rate * c * each) / directions;
  }
  // float32: the difference of two losses of about 1, each off by some 2⁻²⁴, over 2ε; what is written out is rounded to it.
  const allowed = device === 'cpu' ? 1e-4 : sampler.kind === 'rademacher' || sampler.rank === 1 ? 1e-9 : 1e-5;
  const what = `${device} ${JSON.stringify(sampler)} ${directions} ${fuse}`;
  assert.ok(Math.abs((losses[0] as number) - mean) < allowed, `${what}: loss ${losses[0]} for ${mean}`);
  for (const [i, { data }] of (parameters as unknown as Tensor[]).entries())
    for (const [j, found] of data.entries()) {
      const off = Math.abs(found - (expected[i]?.[j] as number));
      assert.ok(off < allowed, `${what}: ${i}[${j}] ${found} for ${expected[i]?.[j]}`);
    }
}

test('reference: loss and step of every sampler', async () => {
  for (const sampler of samplers) for (const k of [1, 3]) await check('reference', sampler, k, k === 3);
  await check('reference', rademacher(), 35, true); // more than one concat joins
});
for (const isa of native.instructionSets()) {
  test(`cpu ${isa}: loss and step of every sampler`, () =>
    withIsa(isa, async () => {
      for (const sampler of samplers) for (const k of [1, 3]) await check('cpu', sampler, k, k === 3);
    }));
}

test('the bias grows with ε²: of Σ a p³ it is ε² a exactly, for signs', async () => {
  const a = normals(8, 1);
  const start = normals(8, 2);
  const f = (p: Value): Value => ops.mul(p.mul(p).mul(p), tensor(a)).sum();
  const biasOf = async (perturbation: number): Promise<number[]> => {
    const { parameters } = await minimize(f, Float64Array.from(start), {
      steps: 1,
      gradient: spsa({ perturbation }),
      optimizer: sgd({ learningRate: 1 }),
      device: 'reference',
    });
    const v = rademacher().materialise({ shape: [8], parameter: 0, seed: 0, step: 0, direction: 0 }).data;
    let c = 0; // of the exact gradient 3 a p²
    for (const [i, sign] of v.entries()) c += 3 * a[i]! * start[i]! ** 2 * sign;
    return [...(parameters as Tensor).data].map((p, i) => start[i]! - p - c * v[i]!);
  };
  const [one, two] = [await biasOf(0.1), await biasOf(0.2)];
  const v = rademacher().materialise({ shape: [8], parameter: 0, seed: 0, step: 0, direction: 0 }).data;
  let slope = 0;
  for (const [i, sign] of v.entries()) slope += a[i]! * sign;
  for (const [i, bias] of one.entries()) {
    assert.ok(Math.abs(bias - 0.01 * slope * v[i]!) < 1e-9, `${i}: ${bias}`);
    assert.ok(Math.abs((two[i] as number) / bias - 4) < 1e-6, `${i}: ${two[i]} after ${bias}`);
  }
});

const batch = { inputs: tensor(normals(40, 1), [10, 4]), targets: tensor(normals(30, 2), [10, 3]) };
const trainerOf = (model: Model, options: object = {}, inputShape = [4]): Trainer =>
  new Trainer({
    model,
    inputShape,
    loss: ops.meanSquaredError,
    gradient: spsa(),
    optimizer: sgd({ learningRate: 0.01 }),
    device: 'cpu',
    ...options,
  });

test('the variance of a quadratic loss, which has no bias, is that of the directions', async () => {
  for (const sampler of [gaussian(), rademacher(), lowRank({ rank: 2 })]) {
    const trainer = trainerOf(nn.dense(3), { gradient: spsa({ sampler, directions: 2, perturbation: 0.1 }) });
    const { total } = await trainer.diagnose(batch, { samples: 6000 });
    const ratio = total.relativeVariance / (total.predicted as number);
    assert.ok(Math.abs(ratio - 1) < 0.05, `${sampler.kind}: ${total.relativeVariance} for ${total.predicted}`);
    trainer.dispose();
  }
});

test('one layer of perturbed parameters is alive at a time', async () => {
  const workspaceOf = async (depth: number): Promise<number> => {
    const layers = Array.from({ length: depth }, () => nn.dense(256, { activation: 'tanh' }));
    const trainer = trainerOf(nn.sequential(...layers), { gradient: spsa({ directions: 2 }) }, [256]);
    await trainer.step({ inputs: tensor(normals(512, 3), [2, 256]), targets: tensor(normals(512, 4), [2, 256]) });
    const { workspace, tape, state } = trainer.memory();
    assert.is(tape + state, 0);
    trainer.dispose();
    return workspace;
  };
  const [shallow, deep] = [await workspaceOf(2), await workspaceOf(12)];
  assert.ok(deep < shallow + 64 * 1024, `${deep} bytes for 12 layers, ${shallow} for 2`);
  assert.ok(deep < 3.2 * 256 * 256 * 4, `${deep} bytes`);
});

test('states are written once a step, as the mean over its passes', async () => {
  const model = (): Model => nn.sequential(nn.dense(6), nn.batchNorm(), nn.dense(3));
  const [one, other] = [
    trainerOf(model(), { gradient: spsa({ directions: 2 }) }),
    trainerOf(model(), { gradient: backprop() }),
  ];
  for (const trainer of [one, other]) await trainer.step(batch);
  await other.setParameters(await one.parameters());
  const [found, expected] = [await one.predict(batch.inputs), await other.predict(batch.inputs)];
  for (const [i, y] of found.data.entries()) assert.ok(Math.abs(y - expected.data[i]!) < 1e-4, `${y}`);
  one.dispose();
  other.dispose();
});

test('it trains, at f32 and bf16, and no number of threads changes a bit', async () => {
  for (const precision of ['f32', 'bf16'] as const) {
    const results = [];
    for (const threads of [1, 2]) {
      const model = nn.sequential(nn.dense(64, { activation: 'tanh' }), nn.dense(3));
      const gradient = spsa({ directions: 4, perturbation: 0.01 });
      const trainer = trainerOf(model, { gradient, precision, threads, optimizer: sgd({ learningRate: 0.005 }) });
      const first = await trainer.step(batch);
      for (let i = 0; i < 150; i++) await trainer.step(batch);
      const last = await trainer.step(batch);
      assert.is(first.directionalDerivatives?.length, 4);
      assert.ok(last.loss < 0.7 * first.loss, `${precision}: from ${first.loss} to ${last.loss}`);
      results.push(await trainer.parameters());
      trainer.dispose();
    }
    assert.equal(results[0], results[1]);
  }
});

test.run();
