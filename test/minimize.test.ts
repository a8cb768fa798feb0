// minimize: the paper's Beale and Rosenbrock runs (arXiv 2202.08587, section 5.1), descent by backprop, the path, and how it ends early.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  adam,
  adamW,
  backprop,
  exponentialDecay,
  forwardGradient,
  gaussian,
  lowRank,
  type MinimizeOptions,
  minimize,
  type Optimizer,
  ops,
  type RunOptions,
  rademacher,
  sgd,
  type Tensor,
  tensor,
  type Value,
} from '../src/index.ts';
import { isRefusal, refuses } from './support/refusal.ts';

interface Point {
  x: Value;
  y: Value;
}

const beale = ({ x, y }: Point): Value => {
  const term = (constant: number, power: number): Value => ops.add(x.mul(ops.pow(y, power).sub(1)), constant).square();
  return term(1.5, 1).add(term(2.25, 2)).add(term(2.625, 3));
};
const rosenbrock = ({ x, y }: Point): Value => ops.sub(1, x).square().add(y.sub(x.square()).square().mul(100));

const forward = (seed: number | bigint, steps: number, rate: number): MinimizeOptions => ({
  steps,
  gradient: forwardGradient({ sampler: gaussian() }),
  optimizer: sgd({ learningRate: rate }),
  seed,
});

/** The loss at the end, in float64. */
const bealeAt = (x: number, y: number): number =>
  (1.5 - x + x * y) ** 2 + (2.25 - x + x * y ** 2) ** 2 + (2.625 - x + x * y ** 3) ** 2;
const rosenbrockAt = (x: number, y: number): number => (1 - x) ** 2 + 100 * (y - x * x) ** 2;

interface Run {
  readonly name: string;
  readonly f: (p: Point) => Value;
  readonly at: (x: number, y: number) => number;
  readonly start: { x: number; y: number };
  readonly steps: number;
  readonly rate: number;
  readonly low: number;
  readonly high: number;
}
const runs: readonly Run[] = [
  { name: 'Beale', f: beale, at: bealeAt, start: { x: 0, y: 0 }, steps: 1000, rate: 0.01, low: 2e-5, high: 2e-4 },
  {
    name: 'Rosenbrock',
    f: rosenbrock,
    at: rosenbrockAt,
    start: { x: -1, y: 0 },
    steps: 25_000,
    rate: 5e-4,
    low: 3e-6,
    high: 1e-5,
  },
];
for (const device of ['cpu', 'reference'] as const) {
  for (const { name, f, at, start, steps, rate, low, high } of runs) {
    test(`${name} by forward gradients on ${device}: at least 18 of 20 seeds end between ${low} and ${high}`, async () => {
      const ends: number[] = [];
      for (let seed = 0; seed < 20; seed++) {
        const { parameters, losses, path } = await minimize(f, start, { ...forward(seed, steps, rate), device });
        assert.is(losses.length, steps);
        assert.equal(path, []);
        assert.ok(Math.abs((losses[0] as number) - at(start.x, start.y)) < 1e-5);
        ends.push(at(parameters.x.item(), parameters.y.item()));
      }
      const good = ends.filter((loss) => loss >= low && loss <= high).length;
      console.log(`${name}, ${device}: ${good} of 20; ${ends.map((loss) => loss.toExponential(1)).join(' ')}`);
      assert.ok(good >= 18, `${good} of 20: ${ends}`);
    });
  }
}

test('backprop is gradient descent', async () => {
  // f = ½(x − 3)² + 2 y², so x₁ = x₀ − η(x₀ − 3), y₁ = y₀ − 4 η y₀
  const f = ({ x, y }: Point): Value => x.sub(3).square().mul(0.5).add(y.square().mul(2));
  const options: MinimizeOptions = {
    steps: 40,
    gradient: backprop(),
    optimizer: sgd({ learningRate: 0.1 }),
    device: 'reference',
    recordEvery: 1,
  };
  const { parameters, losses, path } = await minimize(f, { x: 0, y: 1 }, options);
  let [x, y] = [0, 1];
  for (let step = 0; step < 40; step++) {
    assert.ok(Math.abs((losses[step] as number) - (0.5 * (x - 3) ** 2 + 2 * y * y)) < 1e-12);
    x -= 0.1 * (x - 3);
    y -= 0.1 * 4 * y;
    assert.ok(Math.abs((path[step]?.x.item() as number) - x) < 1e-12);
    assert.ok(Math.abs((path[step]?.y.item() as number) - y) < 1e-12);
  }
  assert.is(parameters.x.item(), path.at(-1)?.x.item());
});

test('all optimizers and samplers descend, and the schedule is followed', async () => {
  const f = ({ w }: { w: Value }): Value => w.sub(1).square().mean();
  const start = { w: tensor(new Float32Array(8), [2, 4]) };
  const optimizers: Optimizer[] = [
    sgd({ learningRate: exponentialDecay(0.05, 1e-3), momentum: 0.5 }),
    sgd({ learningRate: 0.05, momentum: 0.5, nesterov: true }),
    adam({ learningRate: 0.05 }),
    adamW({ learningRate: 0.05, weightDecay: 0 }),
  ];
  for (const optimizer of optimizers) {
    for (const gradient of [backprop(), forwardGradient(), forwardGradient({ sampler: rademacher(), directions: 4 })]) {
      const { losses, parameters } = await minimize(f, start, { steps: 600, gradient, optimizer, seed: 3 });
      assert.is(parameters.w.shape.length, 2);
      assert.ok((losses.at(-1) as number) < 0.05, `${optimizer.kind} by ${gradient.kind}: ${losses.at(-1)}`);
    }
  }
  // One step of rate at(0), then of at(1), …
  const schedule = exponentialDecay(0.5, 1);
  const line = (p: { w: Value }): Value => p.w.sum();
  const { path } = await minimize(
    line,
    { w: Float32Array.of(0) },
    { steps: 3, gradient: backprop(), optimizer: sgd({ learningRate: schedule }), recordEvery: 1, device: 'reference' },
  );
  let w = 0;
  for (const [i, point] of path.entries()) {
    w -= schedule.at(i);
    assert.ok(Math.abs((point.w.data[0] as number) - w) < 1e-15);
  }
});

test('the path has every recordEvery-th point, in the form of start', async () => {
  const f = ([{ a }, b]: readonly [{ a: Value }, Value]): Value => a.square().sum().add(b.square());
  const start = [{ a: tensor([[1, 2]]) }, 3] as const;
  const options = (recordEvery?: number): MinimizeOptions => ({
    ...forward(4, 10, 0.01),
    ...(recordEvery === undefined ? {} : { recordEvery }),
  });
  const whole = await minimize(f, start, options(1));
  const some = await minimize(f, start, options(3));
  const none = await minimize(f, start, options());
  const past = await minimize(f, start, options(11));
  assert.is(whole.path.length, 10);
  assert.is(some.path.length, 3);
  assert.equal([none.path, past.path], [[], []]);
  const flat = ([{ a }, b]: readonly [{ a: Tensor }, Tensor]): number[] => [...a.data, ...b.data];
  for (let i = 0; i < 3; i++) assert.equal(flat(some.path[i] as never), flat(whole.path[3 * i + 2] as never));
  assert.equal(flat(whole.path[9] as never), flat(whole.parameters as never));
  assert.equal(flat(whole.parameters as never), flat(none.parameters as never));
  assert.equal((whole.parameters as unknown as [{ a: Tensor }])[0].a.shape, [1, 2]);
});

test('the same seed repeats bit for bit, also on other threads; another one does not', async () => {
  const run = async (seed: number | bigint, options: RunOptions = {}): Promise<string> => {
    const { losses } = await minimize(rosenbrock, { x: -1, y: 0 }, { ...forward(seed, 50, 5e-4), ...options });
    return losses.join();
  };
  assert.is(await run(7), await run(7, { threads: 1 }));
  assert.is(await run(7, { threads: 2 }), await run(7n));
  assert.is.not(await run(7), await run(8));
  assert.is.not(await run(7), await run(7n + 2n ** 32n));
});

test('start is not written to, and f is traced once per call', async () => {
  const start = { w: Float32Array.of(1, 2, 3) };
  let traced = 0;
  const f = ({ w }: { w: Value }): Value => {
    traced++;
    return w.square().sum();
  };
  await minimize(f, start, { ...forward(1, 100, 0.01), gradient: forwardGradient({ sampler: lowRank({ rank: 2 }) }) });
  assert.equal([...start.w], [1, 2, 3]);
  assert.is(traced, 1);
});

test('divergence is NUMERIC, with the step', async () => {
  const f = ({ x }: { x: Value }): Value => x.square().square();
  const options: MinimizeOptions = { steps: 1000, gradient: backprop(), optimizer: sgd({ learningRate: 1 }) };
  try {
    await minimize(f, { x: 2 }, options);
    assert.unreachable();
  } catch (error) {
    isRefusal(error, 'NUMERIC', 'a finite loss');
    // x: 2 → −30 → 1e5 → −5e15 → 5e47, past float32 in the update; so the loss of step 3 is already infinite (6e62).
    assert.match((error as Error).message, /at step 3;/);
  }
  await refuses([() => minimize(f, { x: Number.NaN }, { ...forward(0, 5, 0.1) }), 'NUMERIC', 'at step 0']);
  await refuses([
    () => minimize((p: { x: Value }) => ops.log(p.x), { x: 0 }, { ...forward(0, 5, 0.1) }),
    'NUMERIC',
    'at step 0',
  ]);
});

test('an abort ends it, before and while it runs', async () => {
  await refuses([
    () => minimize(rosenbrock, { x: -1, y: 0 }, { ...forward(0, 5, 1e-4), signal: AbortSignal.abort() }),
    'ABORTED',
    'abort',
  ]);
  const stop = new AbortController();
  const start = performance.now();
  const running = minimize(rosenbrock, { x: -1, y: 0 }, { ...forward(0, 10_000_000, 1e-9), signal: stop.signal });
  setTimeout(() => stop.abort(), 30);
  await refuses([() => running, 'ABORTED', 'abort']);
  assert.ok(performance.now() - start < 5000);
});

test('parallel calls do not meet', async () => {
  const alone = await minimize(rosenbrock, { x: -1, y: 0 }, forward(5, 300, 5e-4));
  const together = await Promise.all(
    Array.from({ length: 8 }, (_, i) => minimize(rosenbrock, { x: -1, y: 0 }, forward(i, 300, 5e-4))),
  );
  assert.equal(together[5]?.losses, alone.losses);
  assert.is(new Set(together.map(({ losses }) => losses.at(-1))).size, 8);
});

test.run();
