// The trainer's calls beside each other: abort, order, BUSY, DISPOSED; parameters, evaluation, prediction; numbers that are not finite.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  backprop,
  Dataset,
  forwardGradient,
  nn,
  ops,
  parameter,
  rademacher,
  sgd,
  type Tensor,
  type Trainer,
  tensor,
  type Value,
} from '../src/index.ts';
import {
  batch,
  batchesOf,
  bitsOf,
  classes,
  estimators,
  examples,
  labels,
  optimizers,
  points,
  set,
  size,
  trainerOf,
} from './support/classes.ts';
import { normals } from './support/draw.ts';
import { refuses } from './support/refusal.ts';

// ---- abort, order of calls ------------------------------------------------------------------------------------------------------

test('abort of fit: resolves with aborted, and the parameters of its last whole step', async () => {
  const reference = trainerOf();
  const trainer = trainerOf();
  const stop = new AbortController();
  const epochs = 100_000;
  setTimeout(() => stop.abort(), 40);
  const result = await trainer.fit(set, { epochs, batchSize: 20, signal: stop.signal });
  assert.is(result.aborted, true);
  assert.is(result.steps, trainer.steps);
  assert.ok(result.steps > 0 && result.steps < epochs * 10);
  // An abort in the last call of an epoch finds it without its validation: it does not count.
  assert.ok([0, 1].includes(Math.floor(result.steps / 10) - result.epochs.length));
  let epoch = 0;
  while (reference.steps < result.steps) {
    for await (const found of batchesOf(set, 20, 6, epoch++))
      if (reference.steps < result.steps) await reference.step(found);
  }
  assert.is(await bitsOf(trainer), await bitsOf(reference));
  await trainer.step(await batch());
  // Aborted before: nothing happens.
  const none = await trainer.fit(set, { epochs: 1, batchSize: 20, signal: AbortSignal.abort() });
  assert.equal(none, { steps: 0, epochs: [], aborted: true });
  // After its end a signal means nothing.
  const late = new AbortController();
  assert.is((await trainer.fit(set, { epochs: 1, batchSize: 20, signal: late.signal })).aborted, false);
  late.abort();
  await trainer.step(await batch());
});

test('abort of step, predict and evaluate before they begin: ABORTED, nothing changed', async () => {
  const trainer = trainerOf();
  const before = await bitsOf(trainer);
  const signal = AbortSignal.abort();
  const { inputs, targets } = await batch();
  await refuses([() => trainer.step({ inputs, targets }, { signal }), 'ABORTED', 'Trainer.step']);
  await refuses([() => trainer.predict(inputs, { signal }), 'ABORTED', 'Trainer.predict']);
  await refuses([() => trainer.evaluate(set, { signal }), 'ABORTED', 'Trainer.evaluate']);
  await refuses([() => trainer.evaluate(() => batchesOf(set, 20), { signal }), 'ABORTED', 'Trainer.evaluate']);
  assert.is(await bitsOf(trainer), before);
  assert.is(trainer.steps, 0);
});

test('predict, evaluate and parameters are served while fit runs, in order', async () => {
  const trainer = trainerOf();
  const stop = new AbortController();
  let running = true;
  const fit = trainer.fit(set, { epochs: 100_000, batchSize: 20, signal: stop.signal }).finally(() => {
    running = false;
  });
  const { inputs } = await batch();
  const order: string[] = [];
  for (let i = 0; i < 5; i++) {
    await Promise.all([
      trainer.predict(inputs).then((y) => {
        assert.equal(y.shape, [32, classes]);
        order.push('predict');
      }),
      trainer.evaluate(set.slice(0, 40), { batchSize: 40 }).then(({ loss }) => {
        assert.ok(Number.isFinite(loss));
        order.push('evaluate');
      }),
      trainer.parameters().then((found) => {
        assert.is(Object.keys(found).length, 4);
        order.push('parameters');
      }),
    ]);
    assert.ok(running);
  }
  assert.equal(
    order,
    Array.from({ length: 15 }, (_, i) => ['predict', 'evaluate', 'parameters'][i % 3]),
  );
  assert.ok(trainer.steps > 0);
  stop.abort();
  await fit;
});

test('BUSY: two training calls at once', async () => {
  const trainer = trainerOf();
  const one = await batch();
  const calls: Record<string, () => Promise<unknown>> = {
    step: () => trainer.step(one),
    fit: () => trainer.fit(set, { epochs: 1, batchSize: 20 }),
    setParameters: () => trainer.setParameters({}),
    events: () => trainer.events(set, { epochs: 1, batchSize: 20 })[Symbol.asyncIterator]().next(),
  };
  for (const [first, start] of Object.entries(calls)) {
    if (first === 'events') continue;
    for (const [second, call] of Object.entries(calls)) {
      const running = start();
      await refuses([call, 'BUSY', 'no other training call in flight']);
      await running;
      assert.ok(second);
    }
  }
  await trainer.step(one);
});

test('DISPOSED: calls in flight reject, later ones too, other trainers do not notice', async () => {
  const one = await batch();
  const flights: Record<string, (trainer: Trainer) => Promise<unknown>> = {
    step: (trainer) => trainer.step(one),
    'fit of a set': (trainer) => trainer.fit(set, { epochs: 100_000, batchSize: 20 }),
    'fit of a stream': (trainer) => trainer.fit(() => batchesOf(set, 20), { epochs: 100_000, batchSize: 20 }),
    predict: (trainer) => trainer.predict(one.inputs),
    evaluate: (trainer) => trainer.evaluate(set),
    parameters: (trainer) => trainer.parameters(),
    setParameters: (trainer) => trainer.setParameters({ '1.b': new Float32Array(classes) }),
  };
  const other = trainerOf();
  const bystander = other.fit(set, { epochs: 30, batchSize: 20 });
  for (const [name, start] of Object.entries(flights)) {
    for (const delay of [0, 15]) {
      const trainer = trainerOf();
      if (delay > 0) await trainer.step(one);
      const flight = start(trainer);
      const others = Object.values(flights).map((begin) =>
        delay > 0 ? begin(trainer).catch((error) => error) : undefined,
      );
      if (delay > 0 && !name.startsWith('fit')) {
        trainer.dispose();
      } else {
        await new Promise((resolve) => setTimeout(resolve, name.startsWith('fit') ? delay : 0));
        trainer.dispose();
      }
      if (name.startsWith('fit') || delay > 0) await refuses([() => flight, 'DISPOSED', 'a live trainer']);
      else await flight.catch(() => undefined);
      await Promise.all(others);
      for (const begin of Object.values(flights)) await refuses([() => begin(trainer), 'DISPOSED', 'a live trainer']);
      await refuses([() => trainer.memory(), 'DISPOSED', 'a live trainer']);
      await refuses([() => trainer.describe(), 'DISPOSED', 'a live trainer']);
      trainer.dispose();
      assert.ok(trainer.steps >= 0);
      assert.is(trainer.device, 'cpu');
    }
  }
  assert.is((await bystander).steps, 300);
  const scoped = trainerOf();
  scoped[Symbol.dispose]();
  await refuses([() => scoped.parameters(), 'DISPOSED', 'Trainer.parameters']);
});

// ---- parameters -----------------------------------------------------------------------------------------------------------------

test('parameters are copies, by name in order of declaration; setParameters replaces some or all', async () => {
  const trainer = trainerOf();
  const first = await trainer.parameters();
  assert.equal(
    Object.entries(first).map(([name, { shape, dtype }]) => [name, [...shape], dtype]),
    [
      ['0.w', [size, 33], 'float32'],
      ['0.b', [33], 'float32'],
      ['1.w', [33, classes], 'float32'],
      ['1.b', [classes], 'float32'],
    ],
  );
  const bits = await bitsOf(trainer);
  first['0.w']!.data.fill(7);
  assert.is(await bitsOf(trainer), bits);
  const w = normals(33 * classes, 4);
  await trainer.setParameters({ '1.w': tensor(w, [33, classes]), '1.b': Float32Array.of(1, 2, 3, 4) });
  const second = await trainer.parameters();
  assert.equal([...second['1.w']!.data], [...w]);
  assert.equal([...second['1.b']!.data], [1, 2, 3, 4]);
  w.fill(0);
  assert.not.equal([...(await trainer.parameters())['1.w']!.data], [...w]);
  const twin = trainerOf({ seed: 77 });
  await twin.setParameters(second);
  assert.is(await bitsOf(twin), await bitsOf(trainer));
  // All is checked before anything is written.
  const kept = await bitsOf(trainer);
  await refuses([
    () => trainer.setParameters({ '1.b': new Float32Array(classes), '0.b': new Float32Array(5) }),
    'SHAPE_MISMATCH',
    "'0.b' of shape [33]",
  ]);
  assert.is(await bitsOf(trainer), kept);
  await trainer.setParameters({});
  assert.is(await bitsOf(trainer), kept);
});

test('initial values: by initializer, the same for the same seed', async () => {
  const shape = [50, 40];
  const custom = (x: Value): Value => {
    const he = parameter('he', shape);
    const glorot = parameter('glorot', shape, 'glorotUniform');
    const zeros = parameter('zeros', [40], 'zeros');
    const ones = parameter('ones', [40], 'ones');
    return ops.dense(x, ops.add(he, glorot), ops.mul(zeros, ones));
  };
  const make = (seed: number) => trainerOf({ model: custom, inputShape: [50], seed, loss: ops.meanSquaredError });
  const { he, glorot, zeros, ones } = (await make(1).parameters()) as Record<string, Tensor>;
  const squares = (t: Tensor): number => (t.data as Float32Array).reduce((sum, x) => sum + x * x, 0) / t.data.length;
  assert.ok(Math.abs(squares(he!) / (2 / 50) - 1) < 0.12);
  const limit = Math.sqrt(6 / 90);
  assert.ok(Math.abs(squares(glorot!) / (limit ** 2 / 3) - 1) < 0.12);
  assert.ok((glorot!.data as Float32Array).every((x) => Math.abs(x) <= limit));
  assert.equal(new Set(zeros!.data), new Set([0]));
  assert.equal(new Set(ones!.data), new Set([1]));
  assert.is(await bitsOf(make(1)), await bitsOf(make(1)));
  assert.is.not(await bitsOf(make(1)), await bitsOf(make(2)));
});

test('a layer used twice shares its weights; nested names', async () => {
  const layer = nn.dense(size, { activation: 'tanh' });
  const trainer = trainerOf({
    model: nn.sequential(layer, nn.sequential(nn.tanh(), layer, nn.residual(nn.dense(size))), layer, nn.dense(classes)),
  });
  const names = Object.keys(await trainer.parameters());
  assert.equal(names, ['0.w', '0.b', '1.2.w', '1.2.b', '3.w', '3.b']);
  const { loss } = await trainer.step(await batch());
  assert.ok(Number.isFinite(loss));
  const shared = trainerOf({
    model: nn.sequential(layer, layer, nn.dense(classes)),
    gradient: backprop(),
    optimizer: sgd({ learningRate: 0.1 }),
  });
  const before = await shared.evaluate(set);
  await shared.fit(set, { epochs: 5, batchSize: 20 });
  assert.ok((await shared.evaluate(set)).loss < before.loss);
});

// ---- evaluate and predict ---------------------------------------------------------------------------------------------------------

test('evaluate: the mean over all examples whatever the batch size; accuracy for labels alone', async () => {
  const trainer = trainerOf();
  const whole = await trainer.evaluate(set, { batchSize: 1000 });
  assert.equal(Object.keys(whole.metrics), ['accuracy']);
  for (const batchSize of [1, 7, 100, 203, 256]) {
    const { loss, metrics } = await trainer.evaluate(set, { batchSize });
    assert.ok(Math.abs(loss - whole.loss) < 1e-5 * Math.abs(whole.loss), `batches of ${batchSize}`);
    assert.is(metrics.accuracy, whole.metrics.accuracy);
  }
  const streamed = await trainer.evaluate(() => batchesOf(set, 50, undefined, 0, 'keep'));
  assert.ok(Math.abs(streamed.loss - whole.loss) < 1e-5);
  assert.is(streamed.metrics.accuracy, whole.metrics.accuracy);
  const output = await trainer.predict((await batch(0, examples)).inputs);
  let right = 0;
  for (let i = 0; i < examples; i++) {
    const row = output.data.subarray(i * classes, (i + 1) * classes) as Float32Array;
    if (row.indexOf(Math.max(...row)) === labels[i]) right++;
  }
  assert.is(whole.metrics.accuracy, right / examples);
  const regression = trainerOf({ loss: ops.meanSquaredError, model: nn.dense(3) });
  const targets = tensor(normals(examples * 3, 5), [examples, 3]);
  const { metrics, loss } = await regression.evaluate(Dataset.from(tensor(points, [examples, size]), targets));
  assert.equal(metrics, {});
  assert.ok(loss > 0);
  assert.is(trainer.steps, 0);
});

test('predict at any batch size, also one example, and from a typed array of a rank-1 model', async () => {
  const trainer = trainerOf();
  const { inputs } = await batch(0, 32);
  const whole = await trainer.predict(inputs);
  for (const i of [0, 31]) {
    const one = await trainer.predict(tensor(points.slice(i * size, (i + 1) * size), [1, size]));
    assert.equal(one.shape, [1, classes]);
    for (let j = 0; j < classes; j++)
      assert.ok(Math.abs((one.data[j] as number) - (whole.data[i * classes + j] as number)) < 1e-5);
  }
});

test('integer inputs', async () => {
  const table = (x: Value): Value => {
    const rows = ops.equal(
      x.reshape([x.shape[0] ?? 1, 1]),
      tensor(
        Int32Array.from({ length: 5 }, (_, i) => i),
        [1, 5],
      ),
    );
    return ops.where(rows, 1, 0).matmul(parameter('table', [5, classes]));
  };
  const trainer = trainerOf({ model: table, inputShape: [], inputType: 'int32', gradient: backprop() });
  const y = await trainer.predict(Int32Array.of(3, 0));
  const rows = (await trainer.parameters()).table!.data;
  assert.equal([...y.data], [...rows.slice(12, 16), ...rows.slice(0, 4)]);
  const { loss } = await trainer.step({ inputs: Int32Array.of(1, 2), targets: Int32Array.of(0, 3) });
  assert.ok(Number.isFinite(loss));
});

// ---- numbers that are not finite ------------------------------------------------------------------------------------------------

test('NaN in a training batch: NUMERIC with the step, parameters and state bit-equal, and training goes on', async () => {
  for (const [name, gradient] of Object.entries(estimators)) {
    for (const [rule, optimizer] of Object.entries(optimizers)) {
      const trainer = trainerOf({ gradient, optimizer });
      const twin = trainerOf({ gradient, optimizer });
      const [one, two] = [await batch(), await batch(40)];
      for (const each of [trainer, twin]) await each.step(one);
      const before = await bitsOf(trainer);
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const poisoned = (two.inputs as Tensor).data.slice();
        poisoned[37] = bad;
        await refuses([
          () => trainer.step({ inputs: tensor(poisoned, [32, size]), targets: two.targets }),
          'NUMERIC',
          'at step 1; that step changed nothing',
        ]);
        assert.is(await bitsOf(trainer), before, `${name}, ${rule}`);
        assert.is(trainer.steps, 1);
      }
      assert.equal(
        await trainer.step(two),
        await twin.step(two),
        `${name}, ${rule}: momentum and moments are as before`,
      );
      assert.is(await bitsOf(trainer), await bitsOf(twin), `${name}, ${rule}`);
      trainer.dispose();
      twin.dispose();
    }
  }
});

test('NaN in a set, in the middle of fit: the steps before it are taken, the count is right', async () => {
  const poisoned = points.slice();
  poisoned[100 * size + 3] = Number.NaN;
  const bad = Dataset.from(tensor(poisoned, [examples, size]), tensor(labels));
  const trainer = trainerOf();
  await trainer.fit(set, { epochs: 2, batchSize: 20 }); // so that many steps go into one call
  const stepped = trainerOf();
  for (let epoch = 0; epoch < 2; epoch++)
    for await (const found of batchesOf(set, 20, 6, epoch)) await stepped.step(found);
  let failed = -1;
  for await (const found of batchesOf(bad, 20, 6, 2)) {
    try {
      await stepped.step(found);
    } catch {
      failed = stepped.steps;
      break;
    }
  }
  assert.ok(failed >= 20);
  await refuses([() => trainer.fit(bad, { epochs: 1, batchSize: 20 }), 'NUMERIC', `at step ${failed};`]);
  assert.is(trainer.steps, failed);
  assert.is(await bitsOf(trainer), await bitsOf(stepped));
  await trainer.step(await batch());
});

test('a label outside the classes is NUMERIC too; predict and evaluate pass NaN through', async () => {
  const trainer = trainerOf();
  const { inputs } = await batch(0, 2);
  for (const label of [-1, classes, 2 ** 31 - 1, -(2 ** 31)]) {
    const targets = Int32Array.of(0, label);
    await refuses([() => trainer.step({ inputs, targets }), 'NUMERIC', 'at step 0']);
  }
  const x = new Float32Array(2 * size);
  x[0] = Number.NaN;
  const y = await trainer.predict(tensor(x, [2, size]));
  assert.ok(Number.isNaN(y.data[0]) && Number.isFinite(y.data[classes]));
  const { loss } = await trainer.evaluate(Dataset.from(tensor(x, [2, size]), tensor(Int32Array.of(0, 1))));
  assert.ok(Number.isNaN(loss));
});

// ---- float64 ----------------------------------------------------------------------------------------------------------------------

test('float64 on reference: parameters, batches and results; cpu follows it to float32', async () => {
  const reference = trainerOf({ device: 'reference', gradient: forwardGradient({ sampler: rademacher() }) });
  assert.is(reference.device, 'reference');
  const cpu = trainerOf({ gradient: forwardGradient({ sampler: rademacher() }) });
  const start = await cpu.parameters();
  await reference.setParameters(start);
  const found = await reference.parameters();
  for (const [name, { dtype, data }] of Object.entries(found)) {
    assert.is(dtype, 'float64');
    assert.equal([...data], [...start[name]!.data]);
  }
  const { inputs, targets } = await batch();
  const wide = tensor(Float64Array.from((inputs as Tensor).data), [32, size]);
  for (let i = 0; i < 5; i++) {
    const [a, b] = [
      await reference.step({ inputs: i % 2 ? wide : inputs, targets }),
      await cpu.step({ inputs, targets }),
    ];
    assert.ok(Math.abs(a.loss - b.loss) < 1e-5, `loss ${i}: ${a.loss} and ${b.loss}`);
    assert.ok(Math.abs(a.directionalDerivatives![0]! - b.directionalDerivatives![0]!) < 1e-4);
  }
  assert.is((await reference.predict(wide)).dtype, 'float64');
  await reference.setParameters({ '1.b': Float64Array.of(1 / 3, 0, 0, 0) });
  assert.is((await reference.parameters())['1.b']!.data[0], 1 / 3);
});

test.run();
