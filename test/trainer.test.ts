// The trainer's steps and epochs: what one gives, and which examples it sees in which order.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  adam,
  type Batch,
  backprop,
  Dataset,
  exponentialDecay,
  type FitEvent,
  grad,
  nn,
  ops,
  parameter,
  type StepResult,
  sgd,
  type Tensor,
  tensor,
  type Value,
  warmup,
} from '../src/index.ts';
import {
  batch,
  batchesOf,
  bitsOf,
  bytes,
  classes,
  estimators,
  optimizers,
  set,
  size,
  trainerOf,
} from './support/classes.ts';
import { refuses } from './support/refusal.ts';

// ---- step ---------------------------------------------------------------------------------------------------------------------

test('a step gives its number, the loss before the update, and one derivative per direction', async () => {
  for (const [name, gradient] of Object.entries(estimators)) {
    const trainer = trainerOf({ gradient });
    assert.is(trainer.device, 'cpu');
    assert.is(trainer.steps, 0);
    const before = await trainer.evaluate(set.slice(0, 32));
    const first = await trainer.step(await batch());
    assert.is(first.step, 0);
    assert.ok(Math.abs(first.loss - before.loss) < 1e-5, name);
    const second = await trainer.step(await batch(32));
    assert.is(second.step, 1);
    assert.is(trainer.steps, 2);
    const expected = gradient.kind === 'backprop' ? undefined : gradient.options.directions;
    assert.is(second.directionalDerivatives?.length, expected);
    assert.is('directionalDerivatives' in second, expected !== undefined);
    trainer.dispose();
  }
});

test('backprop takes the gradient of the mean loss', async () => {
  const trainer = trainerOf({ gradient: backprop(), optimizer: sgd({ learningRate: 0.5 }), device: 'reference' });
  const before = await trainer.parameters();
  const { inputs, targets } = await batch();
  await trainer.step({ inputs, targets });
  const after = await trainer.parameters();
  type Four = readonly [Value, Value, Value, Value];
  const f = ([w0, b0, w1, b1]: Four): Value =>
    ops
      .softmaxCrossEntropy(
        ops.dense(ops.dense(inputs as Tensor, w0, b0, { activation: 'relu' }), w1, b1),
        targets as Tensor,
      )
      .mean();
  const names = ['0.w', '0.b', '1.w', '1.b'];
  assert.equal(Object.keys(before), names);
  const g = (await grad(f, { device: 'reference' })(names.map((name) => before[name]) as never)) as unknown as Tensor[];
  for (const [i, name] of names.entries()) {
    for (const [j, value] of after[name]!.data.entries()) {
      assert.ok(Math.abs(value - (before[name]!.data[j]! - 0.5 * g[i]!.data[j]!)) < 1e-12, `${name}[${j}]`);
    }
  }
});

test('the same seed repeats bit for bit, on 1 and on 2 threads; another one does not', async () => {
  for (const [name, gradient] of Object.entries(estimators)) {
    const run = async (seed: number | bigint, threads: number): Promise<string> => {
      const trainer = trainerOf({
        gradient,
        seed,
        threads,
        model: nn.sequential(nn.dense(300, { activation: 'tanh' }), nn.dense(70), nn.dense(classes)),
      });
      const losses: number[] = [];
      for (let i = 0; i < 4; i++) losses.push((await trainer.step(await batch(10 * i, 32 + i))).loss);
      const bits = `${losses}\n${await bitsOf(trainer)}`;
      trainer.dispose();
      return bits;
    };
    const first = await run(9, 1);
    assert.is(await run(9, 1), first, `${name}: again`);
    assert.is(await run(9n, 2), first, `${name}: on two threads`);
    assert.is.not(await run(10, 1), first, name);
    assert.is.not(await run(9n + 2n ** 32n, 1), first, name);
  }
});

test('every optimizer with every estimator: 1 and 2 threads are bit-identical over epochs; by backprop the loss falls', async () => {
  for (const [rule, optimizer] of Object.entries(optimizers)) {
    for (const [name, gradient] of Object.entries(estimators)) {
      const run = async (threads: number): Promise<string> => {
        const trainer = trainerOf({ gradient, optimizer, threads });
        const before = await trainer.evaluate(set);
        await trainer.fit(set, { epochs: 4, batchSize: 20 });
        const after = await trainer.evaluate(set);
        if (gradient.kind === 'backprop')
          assert.ok(after.loss < 0.8 * before.loss, `${rule}: ${before.loss} to ${after.loss}`);
        const bits = await bitsOf(trainer);
        trainer.dispose();
        return bits;
      };
      assert.is(await run(1), await run(2), `${rule}, ${name}`);
    }
  }
});

test('by forward gradients the loss falls, at a rate that their variance allows', async () => {
  for (const [name, gradient] of Object.entries(estimators)) {
    for (const optimizer of [sgd({ learningRate: 1e-3 }), adam({ learningRate: 2e-3 })]) {
      const trainer = trainerOf({ gradient, optimizer });
      const before = await trainer.evaluate(set);
      await trainer.fit(set, { epochs: 100, batchSize: 20 });
      const after = await trainer.evaluate(set);
      assert.ok(after.loss < 0.75 * before.loss, `${name}, ${optimizer.kind}: ${before.loss} to ${after.loss}`);
      trainer.dispose();
    }
  }
});

test('the schedule is followed step by step, over calls of one step and of many', async () => {
  // The loss is w itself, so that each step takes its rate from w.
  const schedule = warmup(5, exponentialDecay(0.5, 0.01));
  const trainer = trainerOf({
    model: (x) => ops.mul(x, parameter('w', [1], 'zeros')),
    inputShape: [1],
    loss: (y) => y.sum({ axis: 1 }),
    gradient: backprop(),
    optimizer: sgd({ learningRate: schedule }),
    device: 'reference',
  });
  const ones = tensor(new Float32Array(60).fill(1), [60, 1]);
  let w = 0;
  const follow = async (steps: number): Promise<void> => {
    for (let i = 0; i < steps; i++) w -= schedule.at(trainer.steps - steps + i);
    const found = (await trainer.parameters()).w?.data[0] as number;
    assert.ok(Math.abs(found - w) < 1e-12, `after step ${trainer.steps}: ${found} for ${w}`);
  };
  for (let i = 0; i < 7; i++) {
    await trainer.step({ inputs: ones, targets: ones });
    await follow(1);
  }
  await trainer.fit(Dataset.from(ones, ones), { epochs: 3, batchSize: 2 });
  await follow(90);
});

test('what was given may change as soon as the call has returned', async () => {
  const { inputs, targets } = await batch();
  const own = {
    inputs: tensor((inputs as Tensor).data.slice(), [32, size]),
    targets: tensor((targets as Tensor).data.slice()),
  };
  const one = trainerOf();
  const two = trainerOf();
  const stepped = one.step(own);
  own.inputs.data.fill(0);
  own.targets.data.fill(0);
  assert.equal(await stepped, await two.step({ inputs, targets }));
  const x = (inputs as Tensor).data.slice();
  const predicted = one.predict(tensor(x, [32, size]));
  x.fill(0);
  assert.equal((await predicted).data, (await two.predict(inputs)).data);
});

// ---- fit: which examples, in which order ------------------------------------------------------------------------------------

test('the order is that of Dataset.batches with the same seed: float, byte, sliced and split sets, drop and keep', async () => {
  const [part] = set.split(0.7, 3);
  const sets: Record<string, Dataset> = {
    float: set,
    bytes,
    slice: set.slice(20, 150),
    split: part,
    'slice of a split': part.slice(5, 100),
  };
  for (const [name, source] of Object.entries(sets)) {
    for (const lastBatch of ['drop', 'keep'] as const) {
      const fitted = trainerOf({ seed: 31 });
      const stepped = trainerOf({ seed: 31 });
      const { steps, epochs, aborted } = await fitted.fit(source, { epochs: 3, batchSize: 32, lastBatch });
      let last: StepResult | undefined;
      for (let epoch = 0; epoch < 3; epoch++) {
        for await (const found of batchesOf(source, 32, 31, epoch, lastBatch)) last = await stepped.step(found);
      }
      assert.is(steps, stepped.steps, name);
      assert.is(steps, 3 * (lastBatch === 'drop' ? Math.floor(source.length / 32) : Math.ceil(source.length / 32)));
      assert.is(aborted, false);
      assert.is(epochs.length, 3);
      assert.is(epochs.at(-1)?.loss, last?.loss);
      assert.is(await bitsOf(fitted), await bitsOf(stepped), `${name}, ${lastBatch}`);
      // The next fit goes on with the next order.
      await fitted.fit(source, { epochs: 1, batchSize: 32, lastBatch });
      for await (const found of batchesOf(source, 32, 31, 3, lastBatch)) await stepped.step(found);
      assert.is(await bitsOf(fitted), await bitsOf(stepped), `${name}, ${lastBatch}, again`);
      fitted.dispose();
      stepped.dispose();
    }
  }
});

test('a stream is taken batch by batch, and started again every epoch', async () => {
  let starts = 0;
  const source = async function* (): AsyncGenerator<Batch> {
    const epoch = starts++;
    yield* batchesOf(set, 24, 6, epoch, 'keep');
  };
  const streamed = trainerOf();
  const fitted = trainerOf();
  const events: FitEvent[] = [];
  const result = await streamed.fit(source, { epochs: 2, batchSize: 1, onProgress: (event) => events.push(event) });
  await fitted.fit(set, { epochs: 2, batchSize: 24, lastBatch: 'keep' });
  assert.is(starts, 2);
  assert.is(result.steps, 18);
  assert.is(result.epochs.length, 2);
  assert.is(events.length, 18);
  assert.equal(
    events.map(({ step }) => step),
    Array.from({ length: 18 }, (_, i) => i),
  );
  assert.equal(
    events.map(({ epoch }) => epoch),
    Array.from({ length: 18 }, (_, i) => Math.floor(i / 9)),
  );
  assert.is(await bitsOf(streamed), await bitsOf(fitted));
});

test('a stream that throws ends fit with its error, and is closed; so is one that is left', async () => {
  const trainer = trainerOf();
  let closed = 0;
  const breaking = async function* (): AsyncGenerator<Batch> {
    try {
      yield await batch();
      throw new RangeError('the disk is gone');
    } finally {
      closed++;
    }
  };
  await trainer.fit(breaking, { epochs: 1, batchSize: 1 }).then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'the disk is gone'),
  );
  assert.is(closed, 1);
  assert.is(trainer.steps, 1);
  const stop = new AbortController();
  const endless = async function* (): AsyncGenerator<Batch> {
    try {
      while (true) yield await batch();
    } finally {
      closed++;
    }
  };
  const result = await trainer.fit(endless, {
    epochs: 1,
    batchSize: 1,
    signal: stop.signal,
    onProgress: ({ step }) => step === 5 && stop.abort(),
  });
  assert.is(result.aborted, true);
  assert.is(result.steps, 5);
  assert.is(closed, 2);
});

test('progress: steps grow, epochs count from 0, the last event of an epoch carries the validation', async () => {
  const [train, validation] = set.split(0.8, 1);
  const events: FitEvent[] = [];
  const trainer = trainerOf({ gradient: backprop(), optimizer: sgd({ learningRate: 0.1 }) });
  const { steps, epochs } = await trainer.fit(train, {
    epochs: 4,
    batchSize: 16,
    validation,
    onProgress: (event) => events.push(event),
  });
  assert.is(steps, 4 * Math.floor(train.length / 16));
  assert.is(epochs.length, 4);
  const validated = events.filter((event) => event.validation !== undefined);
  assert.equal(validated, epochs);
  for (const [i, event] of events.entries()) {
    assert.ok(i === 0 || event.step >= events[i - 1]!.step);
    assert.ok(event.examplesPerSecond > 0 && Number.isFinite(event.loss));
  }
  assert.equal(
    epochs.map(({ epoch, step }) => [epoch, step]),
    [0, 1, 2, 3].map((epoch) => [epoch, ((epoch + 1) * steps) / 4 - 1]),
  );
  const { loss, metrics } = await trainer.evaluate(validation);
  assert.ok(Math.abs(loss - epochs[3]!.validation!.loss) < 1e-6);
  assert.is(metrics.accuracy, epochs[3]!.validation!.metrics.accuracy);
  assert.ok(metrics.accuracy! > 0.6, `accuracy ${metrics.accuracy}`);
});

test('what onProgress throws rejects fit; the trainer goes on', async () => {
  const trainer = trainerOf();
  const told = new Error('enough');
  const running = trainer.fit(set, {
    epochs: 50,
    batchSize: 20,
    onProgress: () => {
      throw told;
    },
  });
  await running.then(
    () => assert.unreachable(),
    (error) => assert.is(error, told),
  );
  assert.is((await trainer.step(await batch())).step, trainer.steps - 1);
});

test('events: the same as onProgress; leaving the loop ends the training', async () => {
  const trainer = trainerOf();
  const seen: FitEvent[] = [];
  const told: FitEvent[] = [];
  for await (const event of trainer.events(set, { epochs: 3, batchSize: 20, onProgress: (event) => told.push(event) }))
    seen.push(event);
  assert.equal(seen, told);
  assert.is(seen.at(-1)?.step, 29);
  assert.is(trainer.steps, 30);
  for await (const event of trainer.events(set, { epochs: 1_000_000, batchSize: 20 })) {
    if (event.step > 50) break;
  }
  const left = trainer.steps;
  await trainer.step(await batch()); // no longer busy
  assert.is(trainer.steps, left + 1);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.is(trainer.steps, left + 1);
  // A failure comes out of the loop.
  await refuses([
    async () => {
      for await (const _ of trainer.events(set, { epochs: 1, batchSize: 1000 }));
    },
    'INVALID_ARGUMENT',
    'a batchSize of at most the 203 examples',
  ]);
});

test.run();
