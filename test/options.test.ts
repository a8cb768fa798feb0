// Samplers, estimators and optimizers: plain data, checked when made, back from their JSON.
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { allocate, assertFunction, assertInteger, assertSeed, assertSignal } from '../src/errors.ts';
import { backprop, forwardGradient, spsa, toGradientEstimator } from '../src/estimators/gradient.ts';
import { adam, adamW, type Optimizer, sgd, toOptimizer } from '../src/optimizers.ts';
import { gaussian, lowRank, rademacher, type Sampler, sphere, toSampler } from '../src/samplers.ts';
import { constant, exponentialDecay } from '../src/schedules.ts';
import { signs } from './support/random.ts';
import { type Misuse, refuses } from './support/refusal.ts';

const json = (value: unknown) => JSON.parse(JSON.stringify(value));

test('defaults', () => {
  assert.equal(json(sgd({ learningRate: 0.1 })), {
    kind: 'sgd',
    learningRate: { kind: 'constant', rate: 0.1 },
    momentum: 0,
    nesterov: false,
    weightDecay: 0,
    mergeEvery: 1,
  });
  const moments = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
  const rate = { kind: 'constant', rate: 1e-3 };
  assert.equal(json(adam({ learningRate: 1e-3 })), { kind: 'adam', learningRate: rate, ...moments, weightDecay: 0 });
  assert.equal(json(adamW({ learningRate: 1e-3 })), {
    kind: 'adamW',
    learningRate: rate,
    ...moments,
    weightDecay: 0.01,
  });
  assert.equal(json(backprop()), { kind: 'backprop', checkpoint: false });
  assert.equal(json(spsa()), {
    kind: 'spsa',
    options: { sampler: { kind: 'rademacher' }, directions: 1, perturbation: 1e-3 },
  });
  assert.equal(json(backprop({ checkpoint: 4 })), { kind: 'backprop', checkpoint: 4 });
  assert.equal(json(forwardGradient()), {
    kind: 'forwardGradient',
    options: {
      perturb: 'weights',
      sampler: { kind: 'lowRank', rank: 1 },
      directions: 1,
      combine: 'mean',
      perExample: false,
      exactLast: false,
    },
  });
  const activities = forwardGradient({ perturb: 'activations' }) as { options: { sampler: Sampler } };
  assert.is(activities.options.sampler.kind, 'rademacher');
});

test('everything is frozen', () => {
  const made: object[] = [
    sgd({ learningRate: 0.1 }),
    adam({ learningRate: 0.1 }),
    backprop({}),
    forwardGradient({}),
    (forwardGradient() as { options: object }).options,
    spsa(),
    (spsa() as { options: object }).options,
    gaussian(),
    lowRank({ rank: 3 }),
  ];
  for (const value of made) assert.ok(Object.isFrozen(value));
});

test('everything comes back from its JSON', () => {
  const optimizers: Optimizer[] = [
    sgd({ learningRate: exponentialDecay(0.1, 1e-4), momentum: 0.9, nesterov: true, weightDecay: 1e-4 }),
    sgd({ learningRate: 0.1, mergeEvery: 8 }),
    adam({ learningRate: 1e-3, beta1: 0, beta2: 0.5, epsilon: 1e-6 }),
    adamW({ learningRate: constant(1), weightDecay: 0 }),
  ];
  for (const optimizer of optimizers) {
    const back = toOptimizer('Trainer.load', 'optimizer', json(optimizer));
    assert.equal(json(back), json(optimizer));
    assert.is(back.learningRate.at(100), optimizer.learningRate.at(100));
    assert.equal(json(toOptimizer('Trainer', 'optimizer', optimizer)), json(optimizer));
  }
  for (const sampler of [gaussian(), rademacher(), sphere(), lowRank({ rank: 64 })]) {
    assert.equal(json(toSampler('Trainer.load', 'sampler', json(sampler))), json(sampler));
    const estimator = forwardGradient({ sampler, directions: 1024 });
    assert.equal(json(toGradientEstimator('Trainer.load', 'gradient', json(estimator))), json(estimator));
    assert.equal(json(toGradientEstimator('Trainer', 'gradient', estimator)), json(estimator));
  }
  assert.equal(json(toGradientEstimator('Trainer', 'gradient', backprop())), json(backprop()));
});

test('a seed is the key: its low and its high half', () => {
  assert.equal(assertSeed('t', 'seed', 42), [42, 0]);
  assert.equal(assertSeed('t', 'seed', 30064771081), [9, 7]);
  assert.equal(assertSeed('t', 'seed', Number.MAX_SAFE_INTEGER), [2 ** 32 - 1, 2 ** 21 - 1]);
  assert.equal(assertSeed('t', 'seed', 2n ** 64n - 1n), [2 ** 32 - 1, 2 ** 32 - 1]);
  assert.equal(assertSeed('t', 'seed', 30064771081n), assertSeed('t', 'seed', 30064771081));
  assert.equal(assertSeed('t', 'seed', 2 ** 31), [2 ** 31, 0]);
});

interface Example {
  stream: number;
  parameter: number;
  direction: number;
  step: number;
  seed: string;
  shape: number[];
  gaussian: number[];
  rademacher: number[];
}
const golden = JSON.parse(readFileSync(new URL('./golden/training.json', import.meta.url), 'utf8'));
for (const [i, example] of (golden.random.examples as Example[]).entries()) {
  if (example.stream !== 0) continue; // materialise writes tangents
  const { shape, parameter, direction, step } = example;
  const options = { shape, parameter, direction, step, seed: BigInt(example.seed) };

  test(`golden example ${i}: rademacher is exact`, () => {
    const drawn = rademacher().materialise(options);
    assert.equal([...drawn.shape], shape);
    assert.is(drawn.dtype, 'float32');
    assert.equal([...drawn.data], example.rademacher);
  });

  test(`golden example ${i}: gaussian is within 1e-6 · max(1, |z|)`, () => {
    const drawn = gaussian().materialise(options);
    for (const [j, z] of example.gaussian.entries()) {
      assert.ok(Math.abs((drawn.data[j] as number) - z) <= 1e-6 * Math.max(1, Math.abs(z)), `element ${j}`);
    }
    assert.equal([...sphere().materialise(options).data], [...drawn.data], 'a sphere before its scale is gaussian');
  });
}

test('rademacher is the contract, at the ends of its ranges', () => {
  const last = 2 ** 32 - 1;
  const options = { shape: [3, 200], parameter: last, direction: 2 ** 24 - 1, step: last, seed: 2n ** 64n - 1n };
  assert.equal([...rademacher().materialise(options).data], signs(3, 200, [last, 0, 2 ** 24 - 1, last], [last, last]));
});

test('a low-rank tangent is Σ a bᵀ / √rank, a filter seen as [h·w·in, out], a vector plain signs', () => {
  const [parameter, step, seed] = [4, 9, 30064771081];
  for (const rank of [1, 3]) {
    for (const shape of [
      [5, 140],
      [2, 2, 3, 7],
    ]) {
      const columns = shape.at(-1)!;
      const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
      const direction = 2;
      const drawn = lowRank({ rank }).materialise({ shape, parameter, step, seed, direction });
      const factor = (stream: number, n: number, q: number) =>
        signs(1, n, [parameter, stream, direction * rank + q, step], [9, 7]);
      const sum = new Float64Array(rows * columns);
      for (let q = 0; q < rank; q++) {
        const a = factor(5, rows, q);
        const b = factor(6, columns, q);
        for (let i = 0; i < sum.length; i++) sum[i]! += a[Math.floor(i / columns)]! * b[i % columns]!;
      }
      assert.equal([...drawn.shape], shape);
      for (const [i, total] of sum.entries()) {
        assert.ok(Math.abs(drawn.data[i]! - total / Math.sqrt(rank)) < 1e-6, `rank ${rank}, element ${i}`);
      }
    }
    const vector = { shape: [130], parameter, step, seed, direction: 1 };
    assert.equal([...lowRank({ rank }).materialise(vector).data], [...rademacher().materialise(vector).data]);
  }
});

const any = (value: unknown): never => value as never;
const options = { shape: [2, 2], parameter: 0, seed: 0, step: 0, direction: 0 };
const draw =
  (change: object, sampler: Sampler = gaussian()) =>
  () =>
    sampler.materialise({ ...options, ...change });
const INVALID = 'INVALID_ARGUMENT';
const misuses: Misuse[] = [
  [
    () => sgd(any(undefined)),
    INVALID,
    '[sgd] expected the option learningRate, a number or a schedule, but received undefined',
  ],
  [() => sgd(any({})), INVALID, 'an empty object'],
  [() => sgd(any(0.1)), INVALID, '[sgd] expected a plain object of options but received 0.1'],
  [() => sgd(any([0.1])), INVALID, '[0.1]'],
  [() => sgd({ learningRate: -0.1 }), INVALID, 'learningRate to be a finite number of at least 0'],
  [() => sgd({ learningRate: Number.NaN }), INVALID, 'NaN'],
  [() => sgd({ learningRate: any('0.1') }), INVALID, 'learningRate to be a number, or a schedule made by'],
  [() => sgd({ learningRate: any(() => 0.1) }), INVALID, 'learningRate to be a number, or a schedule'],
  [() => sgd({ learningRate: any(null) }), INVALID, 'null'],
  [
    () => sgd(any({ lr: 0.1 })),
    INVALID,
    'only the options learningRate, momentum, nesterov, weightDecay, mergeEvery but received "lr"',
  ],
  [() => sgd({ learningRate: 1, momentum: 1 }), INVALID, 'momentum to be a finite number of at least 0 and below 1'],
  [() => sgd({ learningRate: 1, momentum: -0.1 }), INVALID, '-0.1'],
  [() => sgd({ learningRate: 1, nesterov: true }), INVALID, 'a momentum above 0 with nesterov: true'],
  [() => sgd({ learningRate: 1, nesterov: any(1) }), INVALID, 'nesterov to be true or false'],
  [() => sgd({ learningRate: 1, weightDecay: -1 }), INVALID, 'weightDecay'],
  [() => sgd({ learningRate: 1, mergeEvery: 0 }), INVALID, 'mergeEvery'],
  [() => sgd({ learningRate: 1, mergeEvery: 17 }), INVALID, '17'],
  [() => sgd({ learningRate: 1, mergeEvery: 1.5 }), INVALID, '1.5'],
  [
    () => sgd({ learningRate: 1, mergeEvery: 2, momentum: 0.9 }),
    INVALID,
    'momentum 0 and weightDecay 0 with mergeEvery',
  ],
  [() => sgd({ learningRate: 1, mergeEvery: 2, weightDecay: 0.1 }), INVALID, 'weightDecay 0.1'],
  [() => sgd({ learningRate: 1, weightDecay: Number.POSITIVE_INFINITY }), INVALID, 'Infinity'],
  [() => adam({ learningRate: 1, beta1: 1 }), INVALID, '[adam] expected beta1'],
  [() => adam({ learningRate: 1, beta2: any('x') }), INVALID, 'beta2'],
  [() => adam({ learningRate: 1, epsilon: 0 }), INVALID, 'epsilon to be a finite number of at least 1e-37'],
  [() => adam(any({ learningRate: 1, weightDecay: 0.1 })), INVALID, 'received "weightDecay"'],
  [() => adamW({ learningRate: 1, weightDecay: -1 }), INVALID, '[adamW] expected weightDecay'],
  [() => adamW(any(null)), INVALID, 'null'],
  [() => toOptimizer('Trainer', 'optimizer', 'adam'), INVALID, 'optimizer to be made by sgd, adam or adamW'],
  [() => toOptimizer('Trainer', 'optimizer', { kind: 'lion' }), INVALID, 'optimizer to be made by'],
  [() => toOptimizer('Trainer', 'optimizer', { kind: 'sgd' }), INVALID, 'learningRate'],
  [() => toOptimizer('Trainer', 'optimizer', undefined), INVALID, 'undefined'],
  [() => backprop({ checkpoint: 0 }), INVALID, 'checkpoint to be an integer from 1'],
  [() => backprop({ checkpoint: any('all') }), INVALID, 'checkpoint to be true or false'],
  [() => backprop(any({ checkpoints: 1 })), INVALID, 'only the options checkpoint'],
  [() => forwardGradient(any('weights')), INVALID, 'a plain object of options'],
  [() => forwardGradient(any({ K: 1 })), INVALID, 'only the options perturb, sampler, directions'],
  [() => forwardGradient({ perturb: 'activations', sampler: gaussian() }), INVALID, 'no sampler but rademacher()'],
  [() => forwardGradient({ perturb: 'activations', perExample: true }), INVALID, 'drawn for each example anyway'],
  [() => forwardGradient({ exactLast: true }), INVALID, "exactLast only with perturb: 'activations'"],
  [() => forwardGradient({ exactLast: any(1) }), INVALID, 'exactLast to be true or false'],
  [() => forwardGradient({ perturb: any('layers') }), INVALID, "perturb to be 'weights' or 'activations'"],
  [
    () => forwardGradient({ combine: 'projection', perturb: 'activations' }),
    INVALID,
    "combine: 'mean' with perturb: 'activations', whose examples have directions of their own",
  ],
  [
    () => forwardGradient({ combine: 'projection', perExample: true }),
    INVALID,
    "combine: 'mean' with perExample: true",
  ],
  [() => forwardGradient({ combine: any('sum') }), INVALID, "combine to be 'mean' or 'projection'"],
  [
    () => forwardGradient({ perExample: true, sampler: gaussian() }),
    INVALID,
    'a lowRank sampler with perExample: true',
  ],
  [
    () => forwardGradient({ perExample: true, directions: 32, sampler: lowRank({ rank: 33 }) }),
    INVALID,
    'directions times rank to be at most 1024',
  ],
  [() => forwardGradient({ perExample: any(1) }), INVALID, 'perExample to be true or false'],
  [
    () => forwardGradient({ clip: 1, perturb: 'activations' }),
    INVALID,
    "no clip with perturb: 'activations', where the norm of an estimate is not known before it is made but received 1",
  ],
  [() => forwardGradient({ clip: 1, perExample: true }), INVALID, 'no clip with perExample: true'],
  [
    () => forwardGradient({ controlVariate: { momentum: 0.9 }, clip: 1 }),
    INVALID,
    "no controlVariate with combine: 'projection' or clip, which would bias what it keeps unbiased",
  ],
  [
    () => forwardGradient({ controlVariate: { momentum: 0.9 }, combine: 'projection' }),
    INVALID,
    "no controlVariate with combine: 'projection'",
  ],
  [
    () => forwardGradient({ controlVariate: { momentum: 0.9 }, perExample: true }),
    INVALID,
    'no controlVariate with perExample: true',
  ],
  [
    () => forwardGradient({ controlVariate: { momentum: 0.9 }, perturb: 'activations' }),
    INVALID,
    "no controlVariate with perturb: 'activations', whose directions are not of the parameters alone",
  ],
  [
    () => forwardGradient({ controlVariate: { momentum: 1 } }),
    INVALID,
    'controlVariate.momentum to be a finite number',
  ],
  [() => forwardGradient({ controlVariate: any({}) }), INVALID, 'received undefined'],
  [() => forwardGradient({ controlVariate: any(0.9) }), INVALID, '[forwardGradient controlVariate] expected a plain'],
  [() => spsa({ perturbation: 0 }), INVALID, '[spsa] expected perturbation to be a finite number above 0'],
  [() => spsa({ perturbation: Number.NaN }), INVALID, 'perturbation'],
  [() => spsa({ directions: 65 }), INVALID, 'directions to be an integer from 1 to 64'],
  [() => spsa({ sampler: any('rademacher') }), INVALID, 'sampler to be made by'],
  [() => spsa(any({ epsilon: 1 })), INVALID, 'only the options sampler, directions, perturbation'],
  [() => toGradientEstimator('Trainer', 'gradient', { kind: 'spsa', options: { directions: 0 } }), INVALID, '0'],
  [() => forwardGradient({ clip: 0 }), INVALID, 'clip to be a finite number above 0'],
  [() => forwardGradient({ clip: -1 }), INVALID, 'clip to be a finite number above 0'],
  [() => forwardGradient({ directions: 0 }), INVALID, 'directions to be an integer from 1 to 1024'],
  [() => forwardGradient({ directions: 1025 }), INVALID, '1025'],
  [() => forwardGradient({ directions: 1.5 }), INVALID, '1.5'],
  [() => forwardGradient({ directions: 2 ** 53 }), INVALID, 'directions'],
  [
    () => forwardGradient({ sampler: any('gaussian') }),
    INVALID,
    'sampler to be made by gaussian, rademacher, sphere or lowRank',
  ],
  [() => forwardGradient({ sampler: any(gaussian) }), INVALID, 'the function gaussian'],
  [() => forwardGradient({ sampler: any({ kind: 'lowRank' }) }), INVALID, 'rank'],
  [
    () => toGradientEstimator('Trainer', 'gradient', 'backprop'),
    INVALID,
    'gradient to be made by backprop, forwardGradient or spsa',
  ],
  [() => toGradientEstimator('Trainer', 'gradient', backprop), INVALID, 'the function backprop'],
  [() => toGradientEstimator('Trainer', 'gradient', { kind: 'backprop', checkpoint: -3 }), INVALID, 'checkpoint'],
  [
    () => lowRank(any(undefined)),
    INVALID,
    '[lowRank] expected rank to be an integer from 1 to 64 but received undefined',
  ],
  [() => lowRank({ rank: 0 }), INVALID, '0'],
  [() => lowRank({ rank: 65 }), INVALID, '65'],
  [() => lowRank(any(2)), INVALID, 'a plain object of options'],
  [
    () => gaussian().materialise(any(undefined)),
    INVALID,
    '[gaussian().materialise] expected shape to be an array of integers',
  ],
  [draw({ shape: [2, -1] }), INVALID, 'shape[1]'],
  [draw({ shape: [0] }), INVALID, 'shape[0] to be an integer from 1'],
  [draw({ shape: [2 ** 16, 2 ** 16] }), INVALID, 'fewer than 2^31'],
  [draw({ shape: 3 }), INVALID, 'an array of integers'],
  [draw({ parameter: -1 }), INVALID, 'parameter to be an integer from 0 to 2^32 - 1'],
  [draw({ parameter: 2 ** 32 }), INVALID, '4294967296'],
  [draw({ step: 2 ** 32 }), INVALID, 'step'],
  [draw({ seed: undefined }), INVALID, 'seed'],
  [draw({ seed: -1n }), INVALID, '-1n'],
  [draw({ direction: 2 ** 24 }), INVALID, 'direction to be an integer from 0 to 2^24 - 1'],
  [draw({ direction: 2 ** 22 }, lowRank({ rank: 4 })), INVALID, 'direction to be an integer from 0 to 2^22 - 1'],
  [draw({ stream: 1 }), INVALID, 'only the options shape, parameter, seed, step, direction but received "stream"'],
  [() => assertInteger('t', 'n', 5n), INVALID, '5n'],
  [
    () => assertFunction('t', 'onProgress', 'log'),
    INVALID,
    '[t] expected onProgress to be a function but received "log"',
  ],
  [
    () => assertSignal('t', { aborted: false }),
    INVALID,
    'signal to be an AbortSignal but received an object with the key aborted',
  ],
  [() => assertSignal('t', null), INVALID, 'null'],
  [() => allocate('t', '7 examples', () => new Float32Array(2 ** 53)), 'OUT_OF_MEMORY', 'memory for 7 examples'],
];
for (const [i, misuse] of misuses.entries()) test(`refused: ${i} ${misuse[2]}`, () => refuses(misuse));

test.run();
