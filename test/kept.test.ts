// Updates of rank one that wait as factors (native/core/kept.h, sgd's mergeEvery): training is the same to rounding, and exactly where nothing
// rounds; whatever reads parameters finds them whole.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  backprop,
  Dataset,
  type FitEvent,
  forwardGradient,
  lowRank,
  type Model,
  nn,
  ops,
  rademacher,
  scan,
  sgd,
  type Tensor,
  Trainer,
  type TrainerOptions,
  tensor,
  type Value,
} from '../src/index.ts';
import type { NativeArray, NativePlan } from '../src/native.ts';
import { openSession, toTarget } from '../src/plan/engine.ts';
import { encodeProgram } from '../src/trace/encode.ts';
import type { Graph } from '../src/trace/graph.ts';
import { type ModelOptions, modelProgram, trainingProgram } from '../src/trainer/programs.ts';
import { initialisationProgram, type KnownEstimator, type KnownOptimizer } from '../src/trainer/training_program.ts';
import { traceContext } from '../src/transforms/execute.ts';
import { generator } from './cases/index.ts';
import { refuses } from './support/refusal.ts';
import { onEverySet } from './support/targets.ts';

const input = 48;
const classes = 10;
const batchSize = 12;
const steps = 13;
const random = generator(17);

/** Weights that keep (48 is no whole panel of AVX-512, 64 and 96 are) and one that does not, [96, 10]. */
const model = (): Model =>
  nn.sequential(nn.dense(64, { activation: 'tanh' }), nn.dense(96, { activation: 'tanh' }), nn.dense(classes));

const examples = (count: number, bad = -1): Dataset => {
  const inputs = Float32Array.from({ length: count * input }, (_, i) => (i === bad * input ? NaN : Math.sin(i)));
  return Dataset.from(
    tensor(inputs, [count, input]),
    tensor(Int32Array.from({ length: count }, (_, i) => i % classes)),
  );
};

function trainerOf(mergeEvery: number, options: Partial<TrainerOptions> = {}): Trainer {
  return new Trainer({
    model: model(),
    inputShape: [input],
    loss: ops.softmaxCrossEntropy,
    gradient: forwardGradient({ sampler: lowRank({ rank: 1 }) }),
    optimizer: sgd({ learningRate: 0.02, mergeEvery }),
    seed: 5,
    ...options,
  });
}

/** Parameters after `steps` steps. */
async function train(
  mergeEvery: number,
  options: Partial<TrainerOptions> = {},
  batch = batchSize,
): Promise<Record<string, Tensor>> {
  using trainer = trainerOf(mergeEvery, options);
  await trainer.fit(examples(steps * batch), { epochs: 1, batchSize: batch });
  return await trainer.parameters();
}

/** ‖x − y‖ / ‖y‖ of the parameter where it is largest. */
function distance(x: Record<string, Tensor>, y: Record<string, Tensor>): number {
  const norm = (values: Iterable<number>): number => Math.sqrt([...values].reduce((sum, each) => sum + each * each, 0));
  const parts = Object.entries(y).map(([name, { data }]) => {
    const other = (x[name] as Tensor).data;
    return norm(data.map((each, i) => each - (other[i] as number))) / norm(data);
  });
  return Math.max(...parts);
}

onEverySet('thirteen steps are those of reference, which merges at once', async () => {
  const expected = await train(1, { device: 'reference' });
  assert.ok(distance(await train(1, { device: 'reference', seed: 6 }), expected) > 0.01);
  for (const mergeEvery of [2, 5, 8, 16])
    for (const threads of [1, 2]) {
      const found = distance(await train(mergeEvery, { device: 'cpu', threads }), expected);
      assert.ok(found < 1e-5, `mergeEvery ${mergeEvery}, ${threads} threads: ${found}`);
    }
});

onEverySet('a single row, and more rows than are multiplied together', async () => {
  // Of one example a larger rate makes plain float32 wander off from reference too.
  const optimizer = (mergeEvery: number) => sgd({ learningRate: 0.005, mergeEvery });
  for (const batch of [1, 600]) {
    const expected = await train(1, { device: 'reference', optimizer: optimizer(1) }, batch);
    const found = distance(await train(8, { device: 'cpu', optimizer: optimizer(8) }, batch), expected);
    assert.ok(found < 1e-5, `${batch} rows: ${found}`);
  }
});

/** f by a clock that goes on by so many milliseconds whenever it is asked: fit takes as many steps in a call as seem to take 20. */
async function byClock<T>(milliseconds: number, f: () => Promise<T>): Promise<T> {
  const { now } = performance;
  let time = 0;
  performance.now = () => {
    time += milliseconds;
    return time;
  };
  try {
    return await f();
  } finally {
    performance.now = now;
  }
}

onEverySet('neither threads nor the calls of a fit change a bit', async () => {
  const fitted = async (threads: number, milliseconds: number): Promise<[Record<string, Tensor>, number]> => {
    using trainer = trainerOf(4, { device: 'cpu', threads });
    let calls = 0;
    const onProgress = (): void => {
      calls++;
    };
    const options = { epochs: 2, batchSize, onProgress }; // the second begins at step 13
    await byClock(milliseconds, () => trainer.fit(examples(steps * batchSize), options));
    return [await trainer.parameters(), calls];
  };
  const [expected, most] = await fitted(1, 1000);
  for (const [threads, milliseconds] of [
    [2, 1000],
    [1, 1e-3],
  ] as const) {
    const [actual, calls] = await fitted(threads, milliseconds);
    assert.ok(milliseconds > 1 ? calls === most : calls < most, `${calls} calls of ${most}`);
    for (const [name, { data }] of Object.entries(expected)) assert.equal((actual[name] as Tensor).data, data, name);
  }
});

test('it is the number of a step that has updates merged, not its place in a run', async () => {
  const target = toTarget('test', { device: 'cpu', threads: 1 });
  const context = traceContext(target, true);
  const options: ModelOptions = {
    model: model(),
    loss: ops.softmaxCrossEntropy,
    inputShape: [input],
    inputType: 'float32',
  };
  const form = { targetShape: [], targetType: 'int32' } as const;
  const gradient = forwardGradient() as KnownEstimator;
  const optimizer = sgd({ learningRate: 0.02, mergeEvery: 4 }) as KnownOptimizer;
  const weights = async (runs: readonly number[]): Promise<NativeArray> => {
    const session = openSession(target);
    const compile = (graph: Graph): NativePlan => session.compile(encodeProgram(graph), true);
    const random = { keyLow: 1, keyHigh: 0 };
    const { declared } = modelProgram(options, context, batchSize);
    const first = compile(initialisationProgram(context, declared));
    await first.run({ ...random, firstStep: 0, inputs: [], steps: 1 });
    const plan = compile(trainingProgram(options, context, batchSize, form, gradient, optimizer));
    const inputs = [
      Float32Array.from({ length: batchSize * input }, (_, i) => Math.sin(i)),
      Int32Array.from({ length: batchSize }, (_, i) => i % classes),
    ];
    let firstStep = 1;
    for (const count of runs) {
      await plan.run({ ...random, firstStep, inputs, steps: count, rates: new Float64Array(count).fill(0.02) });
      firstStep += count;
    }
    const w = session.read('1.w');
    session.dispose();
    return w;
  };
  const expected = await weights([3, 4, 4]); // to steps 4, 8 and 12
  assert.equal(await weights([11]), expected);
  assert.not.equal(await weights([4, 4, 3]), expected);
});

test('what reads parameters finds them whole', async () => {
  const expected = await train(1, { device: 'cpu' });
  const data = examples(steps * batchSize);
  const fitted = async (mergeEvery: number): Promise<[Trainer, number]> => {
    const trainer = trainerOf(mergeEvery, { device: 'cpu' });
    await trainer.fit(data, { epochs: 1, batchSize });
    return [trainer, (await trainer.evaluate(data)).loss];
  };
  const [plain, loss] = await fitted(1);
  const [kept, keptLoss] = await fitted(16); // more than there are steps: all of them wait to the end
  assert.ok(distance(await kept.parameters(), expected) < 1e-5);
  assert.ok(Math.abs(loss - keptLoss) < 1e-5 * loss, `${loss} and ${keptLoss}`);
  const x = tensor(
    Float32Array.from({ length: input }, (_, i) => Math.cos(i)),
    [1, input],
  );
  const [y, keptY] = [await plain.predict(x), await kept.predict(x)];
  y.data.forEach((each, i) => {
    assert.ok(Math.abs(each - (keptY.data[i] as number)) < 1e-4);
  });
  const batch = { inputs: x, targets: new Int32Array([3]) };
  for (const trainer of [plain, kept]) await trainer.step(batch); // another batch size: another plan, the same factors
  assert.ok(distance(await kept.parameters(), await plain.parameters()) < 1e-5);
  await kept.setParameters(expected);
  for (const [name, { data: each }] of Object.entries(await kept.parameters()))
    assert.equal(each, (expected[name] as Tensor).data);
  plain.dispose();
  kept.dispose();
});

test('NUMERIC: what waited is merged, and the failed step has changed nothing', async () => {
  const failing = async (mergeEvery: number): Promise<Trainer> => {
    const trainer = trainerOf(mergeEvery, { device: 'cpu' });
    const call = (): Promise<unknown> =>
      trainer.fit(examples(steps * batchSize, 40), { epochs: 1, batchSize, lastBatch: 'drop' });
    await refuses([call, 'NUMERIC', 'at step']);
    return trainer;
  };
  const [plain, kept] = [await failing(1), await failing(16)];
  assert.is(kept.steps, plain.steps);
  assert.ok(kept.steps > 1, `after ${kept.steps} steps`);
  assert.ok(distance(await kept.parameters(), await plain.parameters()) < 1e-5);
  plain.dispose();
  kept.dispose();
});

/** A whole number here and there: sums are exact, and at bf16 what is rounded is. */
function sparse(shape: readonly number[], share: number): Tensor {
  const size = shape.reduce((product, n) => product * n, 1);
  const draw = (): number => (random() < share ? (random() < 0.5 ? -1 : 1) : 0);
  return tensor(Float32Array.from({ length: size }, draw), [...shape]);
}

const whole = { inputs: sparse([64, 32], 0.1), targets: sparse([64, 32], 0.1) };
const wholeParameters = {
  '0.w': sparse([32, 64], 0.2),
  '0.b': sparse([64], 0.3),
  '1.w': sparse([64, 32], 0.2),
  '1.b': sparse([32], 0.3),
};

/** Events of two steps at bf16, and the parameters then. */
async function wholeSteps(
  optimizer: TrainerOptions['optimizer'],
  seed: number,
): Promise<[FitEvent[], Record<string, Tensor>]> {
  using trainer = new Trainer({
    model: nn.sequential(nn.dense(64, { activation: 'relu' }), nn.dense(32)),
    inputShape: [32],
    loss: (y: Value, t: Value) => y.mul(t).sum({ axis: 1 }),
    gradient: forwardGradient(),
    optimizer,
    device: 'cpu',
    precision: 'bf16',
    seed,
  });
  await trainer.setParameters(wholeParameters);
  const events: FitEvent[] = [];
  const onProgress = (event: FitEvent): number => events.push(event);
  await trainer.fit(Dataset.from(whole.inputs, whole.targets), { epochs: 1, batchSize: 32, onProgress });
  return [events, await trainer.parameters()];
}

onEverySet(
  'at bf16, where nothing rounds, factors are what they are factors of',
  async () => {
    let seed = 0;
    let c = 3;
    for (; Math.log2(c) % 1 !== 0; seed++) {
      const [[first]] = await wholeSteps(sgd({ learningRate: 1 }), seed);
      c = Math.abs(first?.directionalDerivatives?.[0] as number);
    }
    seed--;
    const learningRate = 1 / c; // updates of the first step are ±1
    const [expected, parameters] = await wholeSteps(sgd({ learningRate }), seed);
    const [actual, keptParameters] = await wholeSteps(sgd({ learningRate, mergeEvery: 8 }), seed);
    assert.is(actual.at(-1)?.step, 1);
    assert.is(actual.at(-1)?.loss, expected.at(-1)?.loss);
    assert.equal(actual.at(-1)?.directionalDerivatives, expected.at(-1)?.directionalDerivatives);
    for (const [name, { data }] of Object.entries(parameters))
      assert.equal((keptParameters[name] as Tensor).data, data, name);
  },
  'bf16',
);

test('updates wait where they may, and are described', async () => {
  const kernels = async (options: Partial<TrainerOptions>): Promise<[number, number]> => {
    using trainer = trainerOf(4, { device: 'cpu', ...options });
    await trainer.fit(examples(4 * batchSize), { epochs: 1, batchSize });
    const text = trainer.describe();
    return [text.split('keepFactors').length - 1, text.split('mergeFactors').length - 1];
  };
  assert.equal(await kernels({}), [2, 2]);
  const layer = nn.dense(64, { activation: 'tanh' });
  const twice: Model = (x) => scan((carry) => [layer(carry), carry], x, x.reshape([1, ...x.shape]))[0];
  assert.equal(await kernels({ model: nn.sequential(nn.dense(64), twice, nn.dense(classes)) }), [1, 1]);
  const none: Partial<TrainerOptions>[] = [
    { device: 'reference' },
    { fuse: false },
    { gradient: backprop() },
    { gradient: forwardGradient({ sampler: rademacher() }) },
    { gradient: forwardGradient({ sampler: lowRank({ rank: 2 }) }) },
    { gradient: forwardGradient({ directions: 2 }) },
    { optimizer: sgd({ learningRate: 0.1 }) },
  ];
  for (const options of none) assert.equal(await kernels(options), [0, 0]);
  using trainer = trainerOf(4, { device: 'cpu' });
  await trainer.fit(examples(4 * batchSize), { epochs: 1, batchSize });
  const numbers = trainer.memory().state / 4;
  assert.ok(numbers >= 4 * (48 + 64 + 64 + 96) && numbers <= 4 * (64 + 64 + 64 + 96), String(numbers));
});

test('two readers of a weight both see what waits', async () => {
  const shared = (): Model => {
    const layer = nn.dense(64, { activation: 'tanh' });
    return nn.sequential(nn.dense(64), layer, layer, nn.dense(classes));
  };
  // At a larger rate rounding grows to 1e-4 in these steps, of plain float32 next to reference too.
  const [optimizer, kept] = [sgd({ learningRate: 0.002 }), sgd({ learningRate: 0.002, mergeEvery: 8 })];
  const expected = await train(1, { device: 'cpu', model: shared(), optimizer });
  assert.ok(distance(await train(8, { device: 'cpu', model: shared(), optimizer: kept }), expected) < 1e-5);
});

test.run();
