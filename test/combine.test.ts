// Projection and clipping: what they make of c, against the Gram matrix of the tangents as `materialise` writes them out, in float64.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type ForwardGradientOptions,
  forwardGrad,
  forwardGradient,
  gaussian,
  lowRank,
  minimize,
  nn,
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
import { normals } from './support/draw.ts';
import { refuses } from './support/refusal.ts';
import { float32Targets, testApart, testDevice } from './support/targets.ts';

const epsilon = 2 ** -23;
const samplers: readonly Sampler[] = [gaussian(), rademacher(), sphere(), lowRank({ rank: 1 }), lowRank({ rank: 3 })];
const nameOf = ({ kind, rank }: Sampler): string => (rank === undefined ? kind : `${kind} ${rank}`);
const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
const dot = (x: ArrayLike<number>, y: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i] as number) * (y[i] as number);
  return sum;
};

/** The K tangents of a step over all parameters, each one long row. */
function directionsOf(
  shapes: readonly (readonly number[])[],
  sampler: Sampler,
  directions: number,
  seed: number,
  step: number,
): Float64Array[] {
  return Array.from({ length: directions }, (_, direction) => {
    const parts = shapes.map((shape, parameter) => sampler.materialise({ shape, parameter, seed, step, direction }));
    const v = Float64Array.from(parts.flatMap(({ data }) => [...data]));
    return sampler.kind === 'sphere' ? v.map((x) => x * Math.sqrt(v.length / dot(v, v))) : v;
  });
}

/** x of G x = c. */
function solve(gram: readonly Float64Array[], c: readonly number[]): number[] {
  const a = gram.map((row, k) => Float64Array.of(...row, c[k] as number));
  for (const [k, pivot] of a.entries()) {
    for (const [i, row] of a.entries()) {
      const factor = (row[k] as number) / (pivot[k] as number);
      if (i !== k) for (let j = k; j < row.length; j++) row[j]! -= factor * (pivot[j] as number);
    }
  }
  return a.map((row, k) => (row.at(-1) as number) / (row[k] as number));
}

/** c′ as DESIGN section 6 defines it. */
function combined(
  v: readonly Float64Array[],
  c: readonly number[],
  { combine, clip }: ForwardGradientOptions,
): number[] {
  const gram = v.map((x) => Float64Array.from(v, (y) => dot(x, y)));
  const made = combine === 'projection' ? solve(gram, c).map((x) => x * v.length) : [...c];
  const norm = Math.sqrt(made.reduce((sum, x, k) => sum + x * dot(gram[k] as Float64Array, made), 0)) / v.length;
  return clip !== undefined && norm > clip ? made.map((x) => (x * clip) / norm) : made;
}

/** Checks an estimate against (1/K) Σ c′_k v_k, element by element. */
function checkEstimate(
  what: string,
  found: ArrayLike<number>,
  v: readonly Float64Array[],
  c: readonly number[],
  options: ForwardGradientOptions,
): void {
  const made = combined(v, c, options);
  const { rank = 1 } = options.sampler as Sampler;
  for (let i = 0; i < found.length; i++) {
    let expected = 0;
    let size = 0;
    for (const [k, x] of v.entries()) {
      const term = ((made[k] as number) * (x[i] as number)) / v.length;
      expected += term;
      size += Math.max(Math.abs(term), (Math.abs(made[k] as number) * Math.sqrt(rank)) / v.length);
    }
    const off = Math.abs((found[i] as number) - expected);
    // Roundings of the sum, and of c, which the condition of G (some (1 + √(K/n))⁴) lets through.
    const allowed = (v.length * rank + 16) * epsilon * size;
    if (!(off <= allowed)) assert.unreachable(`${what}: [${i}] is ${found[i]} for ${expected}, allowed ${allowed}`);
  }
}

// ---- a linear function of parameters of awkward shapes, so that its gradient is known ------------------------------------------

const shapes = [[7, 33], [130], [5], [3, 2, 2, 6], [257, 2], [1, 1025], [4, 128], []] as const;
const gradient = shapes.map((shape, i) => tensor(normals(sizeOf(shape), 10 + i), shape));
const zeros = shapes.map((shape) => tensor(new Float32Array(sizeOf(shape)), shape));
const linear = (parameters: readonly Value[]): Value =>
  parameters.map((p, i) => ops.mul(p, gradient[i] as Tensor).sum()).reduce((sum, part) => sum.add(part));

async function checkLinear(options: ForwardGradientOptions, run: RunOptions, seed: number): Promise<Float64Array> {
  const estimate = forwardGrad(linear as never, { ...options, ...run, seed, firstStep: 3 });
  const result = await estimate(zeros as never);
  const found = (result.gradient as readonly Tensor[]).flatMap(({ data }) => [...data]);
  const { sampler, directions = 1 } = options as { sampler: Sampler; directions?: number };
  const what = JSON.stringify({ ...options, ...run });
  const v = directionsOf(
    shapes.map((shape) => (shape.length === 0 ? [1] : shape)),
    sampler,
    directions,
    seed,
    3,
  );
  checkEstimate(what, found, v, result.directionalDerivatives, options);
  return Float64Array.from(found);
}

async function checkSamplers(device: 'cpu' | 'cuda' | 'reference'): Promise<void> {
  for (const [s, sampler] of samplers.entries()) {
    for (const directions of [1, 2, 11]) {
      const base = { sampler, directions };
      for (const clip of [undefined, 3]) {
        const limit = clip === undefined ? {} : { clip };
        const threads = device === 'cpu' ? { threads: 1 + (s % 2) } : {};
        await checkLinear({ ...base, ...limit, combine: 'projection' }, { device }, s);
        const found = await checkLinear({ ...base, ...limit }, { device, ...threads }, s);
        if (clip !== undefined) assert.ok(Math.abs(Math.hypot(...found) / clip - 1) < 1e-5, `${nameOf(sampler)}`);
      }
    }
  }
}

testApart('reference: projection and clip of every sampler', () => checkSamplers('reference'));
for (const { name, inside } of float32Targets())
  test(`${name}: projection and clip of every sampler`, () => inside(() => checkSamplers(testDevice)));

test('unfused; and a clip that is not reached changes nothing', async () => {
  for (const sampler of samplers) {
    for (const combine of ['mean', 'projection'] as const) {
      const options = { sampler, directions: 5, combine };
      await checkLinear({ ...options, clip: 2 }, { device: testDevice, fuse: false }, 4);
      const free = await checkLinear(options, { device: testDevice }, 4);
      assert.equal(await checkLinear({ ...options, clip: 1e6 }, { device: testDevice }, 4), free);
    }
  }
});

test('more than a hundred directions', async () => {
  for (const [sampler, directions] of [
    [gaussian(), 200],
    [lowRank({ rank: 2 }), 130],
  ] as const)
    await checkLinear({ sampler, directions, combine: 'projection' }, { device: testDevice }, 1);
});

testApart('no number of threads changes a bit', async () => {
  const g = tensor(normals(300 * 700, 1), [300, 700]);
  const f = (w: Value): Value => ops.mul(w, g).sum();
  for (const sampler of samplers) {
    const results: Tensor[] = [];
    for (const threads of [1, 2]) {
      const options = { sampler, directions: 3, combine: 'projection', clip: 5, device: 'cpu', threads } as const;
      results.push((await forwardGrad(f, options)(g)).gradient as Tensor);
    }
    assert.equal(results[0]?.data, results[1]?.data, nameOf(sampler));
  }
});

// ---- bias and error of a projection: E ĝ = (K/n) g and E‖ĝ − g‖² = (1 − K/n) ‖g‖² where the span has no preferred direction ----------

testApart('the bias of a projection is (1 − K/n) g, and so is its error; a mean has neither', async () => {
  const n = 24;
  const g = normals(n, 5);
  const f = (w: Value): Value => ops.mul(w, tensor(g)).sum();
  const calls = 1500;
  for (const [sampler, directions, within] of [
    [gaussian(), 6, 0.05],
    [gaussian(), 18, 0.05],
    [rademacher(), 6, 0.05], // not isotropic: signs prefer no axis, but do prefer diagonals
  ] as const) {
    const estimate = forwardGrad(f, { device: 'cpu', sampler, directions, combine: 'projection' });
    let along = 0;
    let error = 0;
    for (let call = 0; call < calls; call++) {
      const { data } = (await estimate(new Float32Array(n))).gradient as Tensor;
      along += dot(data, g) / dot(g, g) / calls;
      const off = Float64Array.from(data, (x, i) => x - (g[i] as number));
      error += dot(off, off) / dot(g, g) / calls;
    }
    const expected = directions / n;
    assert.ok(Math.abs(along / expected - 1) < within, `${nameOf(sampler)} ${directions}: ${along} for ${expected}`);
    assert.ok(Math.abs(error / (1 - expected) - 1) < within, `${nameOf(sampler)} ${directions}: error ${error}`);
  }
});

// ---- training -----------------------------------------------------------------------------------------------------------------

const x = tensor(normals(21 * 19, 30), [21, 19]);
const t = tensor(normals(21 * 5, 31), [21, 5]);

async function checkStep(options: ForwardGradientOptions, run: RunOptions): Promise<void> {
  const learningRate = 0.125;
  const trainer = new Trainer({
    model: nn.sequential(nn.dense(64, { activation: 'tanh' }), nn.dense(5)),
    inputShape: [19],
    loss: ops.meanSquaredError,
    gradient: forwardGradient(options),
    optimizer: sgd({ learningRate }),
    seed: 9,
    ...run,
  });
  let before = await trainer.parameters();
  for (let step = 0; step < 2; step++) {
    const { directionalDerivatives: c = [] } = await trainer.step({ inputs: x, targets: t });
    const after = await trainer.parameters();
    const names = Object.keys(after);
    const v = directionsOf(
      names.map((name) => after[name]?.shape as readonly number[]),
      options.sampler as Sampler,
      options.directions ?? 1,
      9,
      step,
    );
    const moved = names.flatMap((name) => [...(after[name] as Tensor).data].map((p, i) => p - before[name]!.data[i]!));
    const made = combined(v, c, options);
    const largest = Math.max(...names.flatMap((name) => [...(after[name] as Tensor).data].map(Math.abs)));
    const size = made.reduce((sum, each) => sum + Math.abs(each), 0) / v.length;
    for (const [i, delta] of moved.entries()) {
      const expected = -learningRate * v.reduce((sum, row, k) => sum + (made[k]! * row[i]!) / v.length, 0);
      const allowed = 4 * epsilon * (largest + 16 * learningRate * size);
      assert.ok(Math.abs(delta - expected) <= allowed, `${JSON.stringify(options)}: [${i}] ${delta} for ${expected}`);
    }
    before = after;
  }
  trainer.dispose();
}

test('a training step moves by −η (1/K) Σ c′_k v_k, at f32 and bf16', async () => {
  for (const sampler of samplers) {
    for (const precision of testDevice === 'cpu' ? (['f32', 'bf16'] as const) : (['f32'] as const)) {
      for (const fuse of [true, false]) {
        await checkStep({ sampler, directions: 4, combine: 'projection' }, { device: testDevice, precision, fuse });
        await checkStep({ sampler, directions: 3, clip: 0.5 }, { device: testDevice, precision, fuse });
      }
    }
  }
});

test('directions that are not independent: NUMERIC, and the step has changed nothing', async () => {
  const gradientOf = forwardGradient({ sampler: rademacher(), directions: 2, combine: 'projection' });
  const trainer = new Trainer({
    model: nn.dense(2, { bias: false }),
    inputShape: [1],
    loss: ops.meanSquaredError,
    gradient: gradientOf,
    optimizer: sgd({ learningRate: 0.01, momentum: 0.9 }),
    device: testDevice,
  });
  const batch = {
    inputs: tensor([[1], [2]]),
    targets: tensor([
      [0, 0],
      [1, 1],
    ]),
  };
  let before = await trainer.parameters();
  let refused = 0;
  for (let i = 0; i < 40 && refused === 0; i++) {
    before = await trainer.parameters();
    const step = trainer.steps;
    try {
      await trainer.step(batch);
    } catch {
      refused++;
      const again = `directions that are not, at step ${step}; that step changed nothing`;
      await refuses([() => trainer.step(batch), 'NUMERIC', again]);
    }
  }
  assert.is(refused, 1);
  assert.equal((await trainer.parameters()).w, before.w);
  trainer.dispose();
  const options = {
    steps: 60,
    gradient: gradientOf,
    optimizer: sgd({ learningRate: 1e-3 }),
    device: testDevice,
  } as const;
  await refuses([() => minimize((p: Value) => p.square().sum(), tensor([1, 2]), options), 'NUMERIC', 'independent']);
});

/** The determinant of integers, exactly (Bareiss). */
function determinant(rows: readonly bigint[][]): bigint {
  const a = rows.map((row) => [...row]);
  let previous = 1n;
  for (let k = 0; k < a.length - 1; k++) {
    if (a[k]![k] === 0n) {
      const other = a.findIndex((row, i) => i > k && row[k] !== 0n);
      if (other < 0) return 0n;
      [a[k], a[other]] = [a[other]!, a[k]!];
    }
    for (let i = k + 1; i < a.length; i++)
      for (let j = k + 1; j < a.length; j++) a[i]![j] = (a[i]![j]! * a[k]![k]! - a[i]![k]! * a[k]![j]!) / previous;
    previous = a[k]![k]!;
  }
  return a.at(-1)!.at(-1)!;
}

test('exactly the directions that depend on each other are refused, also where rounding leaves a pivot', async () => {
  const n = 6;
  const counts = { dependent: 0, independent: 0 };
  for (const device of [testDevice, 'reference'] as const) {
    const options = { sampler: rademacher(), directions: n, combine: 'projection', device } as const;
    const estimate = forwardGrad((w: Value): Value => w.sum(), options);
    for (let step = 0; step < 100; step++) {
      const v = directionsOf([[n]], rademacher(), n, 0, step);
      const dependent = determinant(v.map((row) => [...row].map(BigInt))) === 0n;
      counts[dependent ? 'dependent' : 'independent']++;
      const call = (): Promise<unknown> => estimate(new Float32Array(n));
      if (dependent) await refuses([call, 'NUMERIC', `at step ${step}`]);
      else await call();
    }
  }
  assert.ok(counts.dependent > 20 && counts.independent > 20, JSON.stringify(counts));
});

testApart('diagnose: a projection is off by 1 − K / n of the gradient, as predicted', async () => {
  const trainer = new Trainer({
    model: nn.dense(3),
    inputShape: [4],
    loss: ops.meanSquaredError,
    gradient: forwardGradient({ sampler: gaussian(), directions: 6, combine: 'projection' }),
    optimizer: sgd({ learningRate: 0.1 }),
    device: 'cpu',
  });
  const batch = { inputs: tensor(normals(40, 1), [10, 4]), targets: tensor(normals(30, 2), [10, 3]) };
  const { total } = await trainer.diagnose(batch, { samples: 3000 });
  assert.ok(Math.abs((total.predicted as number) - (1 - 6 / 15)) < 1e-12, String(total.predicted));
  assert.ok(Math.abs(total.relativeVariance / (1 - 6 / 15) - 1) < 0.05, String(total.relativeVariance));
  trainer.dispose();
});

test.run();
