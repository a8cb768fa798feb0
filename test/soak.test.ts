// What ten thousand steps leave behind, and what the event loop notices of them.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setImmediate as tick } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/binding.ts';
import {
  adam,
  backprop,
  Dataset,
  evaluate,
  forwardGradient,
  gaussian,
  minimize,
  nn,
  ops,
  sgd,
  Trainer,
  type TrainerOptions,
  tensor,
  type Value,
} from '../src/index.ts';
import type { NativePlan, NativeSession } from '../src/native.ts';
import { normals } from './support/draw.ts';

const examples = 512;
const set = Dataset.from(
  tensor(normals(examples * 24, 1), [examples, 24]),
  tensor(Int32Array.from({ length: examples }, (_, i) => i % 5)),
);
function trainerOf(options: Partial<TrainerOptions> = {}): Trainer {
  return new Trainer({
    model: nn.sequential(nn.dense(32, { activation: 'relu' }), nn.dense(5)),
    inputShape: [24],
    loss: ops.softmaxCrossEntropy,
    gradient: forwardGradient(),
    optimizer: sgd({ learningRate: 1e-4 }),
    device: 'cpu',
    ...options,
  });
}

// ---- memory ---------------------------------------------------------------------------------------------------------------------

/** Resident megabytes when the garbage is gone. */
async function residentMegabytes(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await tick();
  }
  return process.memoryUsage.rss() / 2 ** 20;
}

/**
 * Grows by less than 5 MB from call `warmUp` to call `calls`. What leaks does so in every window of as many calls; V8 enlarges the space of
 * its young objects once (8 or 16 MB at a time, with the used heap unchanged), so one flat window of at most three is enough.
 */
async function staysFlat(
  what: string,
  warmUp: number,
  calls: number,
  call: (i: number) => Promise<unknown>,
): Promise<void> {
  for (let i = 0; i < warmUp; i++) await call(i);
  const windows: number[] = [];
  do {
    const before = await residentMegabytes();
    for (let i = warmUp; i < calls; i++) await call(i + windows.length * (calls - warmUp));
    windows.push((await residentMegabytes()) - before);
  } while (windows.length < 3 && Math.min(...windows) >= 5);
  console.log(`${what}: ${windows.map((grown) => grown.toFixed(2)).join(', ')} MB`);
  assert.ok(Math.min(...windows) < 5, `${what}: ${windows} MB more`);
}

const batch = {
  inputs: tensor(normals(16 * 24, 2), [16, 24]),
  targets: tensor(Int32Array.from({ length: 16 }, (_, i) => i % 5)),
};

test('10,000 steps leave the resident memory flat: forward gradients, backprop and adam, one call a step', async () => {
  if (globalThis.gc === undefined) {
    const { setFlagsFromString } = await import('node:v8');
    setFlagsFromString('--expose-gc');
    globalThis.gc = (await import('node:vm')).runInNewContext('gc') as NodeJS.GCFunction;
  }
  for (const [name, options] of [
    ['forward gradients', {}],
    ['backprop, adam', { gradient: backprop(), optimizer: adam({ learningRate: 1e-4 }) }],
  ] as const) {
    const trainer = trainerOf(options);
    await staysFlat(name, 20_000, 30_000, () => trainer.step(batch));
    trainer.dispose();
  }
});

test('so do 100 fits of 100 steps, with evaluation and prediction', async () => {
  const trainer = trainerOf();
  await staysFlat('fit', 20, 120, async () => {
    await trainer.fit(set, { epochs: 1, batchSize: 5 });
    await trainer.evaluate(set);
    await trainer.predict(batch.inputs);
    await trainer.parameters();
  });
  trainer.dispose();
});

test('so do trainers that are disposed, functions that are forgotten, calls that fail', async () => {
  await staysFlat('trainers', 1500, 2000, async () => {
    const trainer = trainerOf({ model: nn.sequential(nn.dense(200), nn.dense(5)) });
    await trainer.step(batch);
    trainer.dispose();
  });
  await staysFlat('functions', 1000, 2000, async (i) => {
    await evaluate((x: Value) => x.mul(i).sum())(new Float32Array(1000));
  });
  const nan = tensor(new Float32Array(16 * 24).fill(Number.NaN), [16, 24]);
  const trainer = trainerOf();
  await staysFlat('failures', 500, 2500, async () => {
    await trainer.step({ inputs: nan, targets: batch.targets }).catch(() => undefined);
    await trainer.predict(tensor([[1, 2]])).catch(() => undefined);
  });
  trainer.dispose();
});

test('trainers that are neither disposed nor kept are collected before the machine is full of them', async () => {
  let highest = 0;
  for (let i = 0; i < 120; i++) {
    const trainer = trainerOf({ model: nn.sequential(nn.dense(1400), nn.dense(1400), nn.dense(5)) }); // 8 MB
    await trainer.step(batch);
    highest = Math.max(highest, process.memoryUsage.rss() / 2 ** 20);
  }
  console.log(`forgotten trainers: ${highest.toFixed(0)} MB at most`);
  assert.ok(highest < 800, `${highest} MB for 120 trainers of 8 MB`);
});

// ---- the event loop -------------------------------------------------------------------------------------------------------------

const resolution = 5;

/** Runs a task and gives the 99th percentile of the event loop's delay meanwhile, in ms. */
async function delayOf(task: () => Promise<unknown>): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution });
  delay.enable();
  await task();
  delay.disable();
  assert.ok(delay.count > 20, `only ${delay.count} samples`);
  return delay.percentile(99) / 1e6 - resolution;
}

test('the event loop is delayed by less than 20 ms in 99 of 100 cases while fit runs', async () => {
  // Steps of 10 µs, many to a call; and steps of some milliseconds. One thread, so that a core is left to the loop.
  const small = trainerOf({ threads: 1 });
  const large = trainerOf({
    model: nn.sequential(nn.dense(1024, { activation: 'relu' }), nn.dense(1024, { activation: 'relu' }), nn.dense(5)),
    gradient: forwardGradient({ sampler: gaussian() }),
    threads: 1,
  });
  await small.fit(set, { epochs: 1, batchSize: 16 });
  await large.fit(set, { epochs: 1, batchSize: 64 });
  for (const [name, trainer, options] of [
    ['small', small, { batchSize: 16 }],
    ['large', large, { batchSize: 64 }],
  ] as const) {
    // Of at most four attempts the best: other processes of the machine delay the loop too.
    const found: number[] = [];
    do {
      const stop = new AbortController();
      setTimeout(() => stop.abort(), 1000);
      found.push(await delayOf(() => trainer.fit(set, { ...options, epochs: 1e6, signal: stop.signal })));
    } while (found.length < 4 && Math.min(...found) >= 20);
    console.log(`${name} steps: p99 ${found.map((p99) => p99.toFixed(1)).join(', ')} ms`);
    assert.ok(Math.min(...found) < 20, `${name} steps: ${found} ms`);
    trainer.dispose();
  }
});

test('while one long call runs, others are compiled and queued without waiting for it', async () => {
  const heavy = evaluate((x: Value) => x.matmul(x).matmul(x).sum(), { device: 'reference' });
  const x = tensor(normals(500 * 500, 3), [500, 500]);
  let slowest = 0;
  let ended = false;
  const running = heavy(x).then(() => {
    ended = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  const others: Promise<unknown>[] = [];
  for (let i = 0; i < 5 && !ended; i++) {
    const before = performance.now();
    others.push(evaluate((y: Value) => y.mul(i).sum(), { device: 'reference' })(Float32Array.of(1, 2)));
    await tick();
    slowest = Math.max(slowest, performance.now() - before);
  }
  assert.not(ended, 'the long call was too short for this test');
  assert.ok(slowest < 50, `a call took ${slowest} ms to be accepted`);
  await Promise.all([running, ...others]);
});

// ---- one native call --------------------------------------------------------------------------------------------------------------

/** A native object whose functions go through `change`. */
function through<T extends object>(target: T, change: (name: string, f: (...args: never[]) => unknown) => unknown): T {
  return new Proxy(target, {
    get: (_, name) => {
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? change(String(name), value.bind(target)) : value;
    },
  });
}

/** The steps of each native run, of all sessions that are opened meanwhile. */
async function nativeRuns(task: () => Promise<unknown>): Promise<number[]> {
  const { Session } = native;
  const steps: number[] = [];
  const counted = (plan: NativePlan): NativePlan =>
    through(plan, (name, f) => {
      if (name !== 'run') return f;
      return (request: { steps: number }) => {
        steps.push(request.steps);
        return f(request as never);
      };
    });
  function Counting(...args: ConstructorParameters<typeof Session>): NativeSession {
    return through(new Session(...args), (name, f) => {
      return name === 'compile' ? (...program: never[]) => counted(f(...program) as NativePlan) : f;
    });
  }
  Object.assign(native, { Session: Counting });
  try {
    await task();
  } finally {
    Object.assign(native, { Session });
  }
  return steps;
}

test('minimize is one native call of n steps; fit takes about 20 ms of steps to a call', async () => {
  const f = ({ x }: { x: Value }): Value => x.square().sum();
  const options = { steps: 10_000, gradient: forwardGradient(), optimizer: sgd({ learningRate: 1e-3 }) };
  assert.equal(await nativeRuns(() => minimize(f, { x: Float32Array.of(1, 2) }, options)), [10_000]);
  const steps = await nativeRuns(async () => {
    const trainer = trainerOf();
    await trainer.fit(set, { epochs: 4, batchSize: 2 });
    trainer.dispose();
  });
  assert.is(steps.shift(), 1, 'the initial values');
  assert.is(
    steps.reduce((sum, n) => sum + n, 0),
    1024,
  );
  assert.ok(steps.length < 64, `${steps.length} calls for 1,024 steps of some µs: ${steps}`);
});

test.run();
