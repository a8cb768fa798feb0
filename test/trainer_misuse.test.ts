// Bad input to the Trainer: every public call × each misuse is a PushforwardError with its code and a sentence with both sides; and
// after each of them the trainer goes on.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Batch,
  backprop,
  Dataset,
  devices,
  forwardGradient,
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
import { normals } from './support/draw.ts';
import { type Misuse, refuses } from './support/refusal.ts';

// biome-ignore lint/suspicious/noExplicitAny: this file is about what the types forbid
type Any = any;
const INVALID = 'INVALID_ARGUMENT';
const SHAPE = 'SHAPE_MISMATCH';
const DTYPE = 'DTYPE_MISMATCH';

const good: TrainerOptions = {
  model: nn.sequential(nn.dense(5, { activation: 'relu' }), nn.dense(3)),
  inputShape: [4],
  loss: ops.softmaxCrossEntropy,
  gradient: forwardGradient(),
  optimizer: sgd({ learningRate: 0.01 }),
  device: 'cpu',
};
const x = tensor(normals(8, 1), [2, 4]);
const t = tensor(Int32Array.of(0, 2));
const set = Dataset.from(tensor(normals(80, 2), [20, 4]), tensor(Int32Array.from({ length: 20 }, (_, i) => i % 3)));

function transferred(data: Tensor): Tensor {
  structuredClone(null, { transfer: [data.data.buffer as ArrayBuffer] });
  return data;
}
const gone = (): Tensor => transferred(tensor(new Float32Array(8), [2, 4]));

// ---- the constructor ------------------------------------------------------------------------------------------------------------

const make = (change: Any) => () => new Trainer({ ...good, ...change });
const one: Any = {};
one.deep = nn.dense(3);
const constructor_: Misuse[] = [
  [() => new (Trainer as Any)(), INVALID, 'model to be a function'],
  [() => new (Trainer as Any)(null), INVALID, 'a plain object of options but received null'],
  [() => new (Trainer as Any)('mlp'), INVALID, '"mlp"'],
  [make({ model: undefined }), INVALID, 'model to be a function but received undefined'],
  [make({ model: [nn.dense(3)] }), INVALID, 'model to be a function'],
  [make({ model: nn.relu() }), INVALID, 'a model with at least one parameter but received one without'],
  [make({ model: () => undefined }), INVALID, 'received undefined'],
  [make({ model: (v: Value) => [v] }), INVALID, 'a function that returns one Value'],
  [make({ model: async (v: Value) => v }), INVALID, 'one that returned a promise'],
  [make({ model: (v: Any) => (v > 0 ? v : v) }), INVALID, 'ops.where'],
  [make({ model: (v: Value) => ops.dense(v, parameter('w', [3, 3])) }), SHAPE, 'x [..., in] and w [in, out]'],
  [make({ model: (v: Value) => v.matmul(parameter('w', [4, 3])).add(parameter('w', [3])) }), INVALID, "'w' again"],
  [make({ model: () => parameter('', [3]) }), INVALID, 'a name of 1 to 200 characters'],
  [make({ model: () => parameter('state/w', [3]) }), INVALID, 'without "/"'],
  [make({ model: () => parameter('w'.repeat(201), [3]) }), INVALID, 'a name of 1 to 200 characters'],
  [make({ model: () => parameter(3 as Any, [3]) }), INVALID, 'received 3'],
  [make({ model: () => parameter('w', [0]) }), INVALID, "shape of 'w'[0] to be an integer from 1"],
  [make({ model: () => parameter('w', [-3]) }), INVALID, '-3'],
  [make({ model: () => parameter('w', [2 ** 16, 2 ** 16]) }), INVALID, 'fewer than 2^31 elements'],
  [make({ model: () => parameter('w', 3 as Any) }), INVALID, 'an array of integers'],
  [
    make({ model: () => parameter('w', [3], 'uniform' as Any) }),
    INVALID,
    "'heNormal', 'glorotUniform', 'zeros' or 'ones'",
  ],
  [make({ model: nn.dense(2 ** 31 - 1) }), INVALID, 'fewer than 2^31 elements'],
  [make({ inputShape: undefined }), INVALID, 'inputShape to be an array of integers'],
  [make({ inputShape: 4 }), INVALID, 'received 4'],
  [make({ inputShape: [-1] }), INVALID, 'inputShape[0] to be an integer from 1'],
  [make({ inputShape: [0] }), INVALID, 'inputShape[0] to be an integer from 1'],
  [make({ inputShape: [1.5] }), INVALID, '1.5'],
  [make({ inputShape: ['4'] }), INVALID, '"4"'],
  [make({ inputShape: [2 ** 20, 2 ** 20] }), INVALID, 'fewer than 2^31 elements'],
  [make({ inputShape: [2 ** 31 - 1] }), INVALID, 'fewer than 2^31 elements'],
  [
    make({ inputShape: [2, 2, 2, 2, 2, 2, 2, 2] }),
    INVALID,
    'inputShape of at most 7 sizes (the batch is one more axis)',
  ],
  [make({ inputType: 'float64' }), INVALID, "inputType to be 'float32' or 'int32'"],
  [make({ inputType: 'int32' }), DTYPE, ''],
  [make({ loss: undefined }), INVALID, 'loss to be a function'],
  [make({ loss: 'mse' }), INVALID, '"mse"'],
  [
    make({ gradient: undefined }),
    INVALID,
    'gradient to be made by backprop, forwardGradient or spsa but received undefined',
  ],
  [make({ gradient: 'backprop' }), INVALID, '"backprop"'],
  [make({ gradient: backprop }), INVALID, 'the function backprop'],
  [
    make({ gradient: { kind: 'forwardGradient', options: { directions: 0 } } }),
    INVALID,
    'directions to be an integer from 1 to 1024',
  ],
  [make({ optimizer: undefined }), INVALID, 'optimizer to be made by'],
  [make({ optimizer: { kind: 'sgd', learningRate: -1 } }), INVALID, 'learningRate'],
  [make({ optimizer: { kind: 'lion' } }), INVALID, 'optimizer to be made by'],
  [make({ seed: -1 }), INVALID, 'seed'],
  [make({ seed: 1.5 }), INVALID, '1.5'],
  [make({ seed: 2n ** 64n }), INVALID, 'seed'],
  [make({ seed: '1' }), INVALID, '"1"'],
  [make({ device: 'tpu' }), INVALID, "device to be 'auto', 'cpu'"],
  [make({ device: 'cuda' }), 'NO_DEVICE', "'cuda'"],
  [make({ device: 'cuda:7' }), 'NO_DEVICE', "'cuda:7'"],
  [make({ precision: 'tf32' }), INVALID, "precision 'f32' or 'bf16' on device 'cpu'"],
  [make({ precision: 'bfloat16' }), INVALID, 'precision'],
  [make({ threads: 0 }), INVALID, 'threads to be an integer from 1'],
  [make({ threads: 5000 }), INVALID, '5000'],
  [make({ fuse: 'no' }), INVALID, 'fuse to be true or false'],
  [make({ signal: AbortSignal.abort() }), INVALID, 'but received "signal"'],
  [make({ batchSize: 3 }), INVALID, 'but received "batchSize"'],
  [make({ loss: undefined, learningRate: 3 }), INVALID, 'but received "learningRate"'],
];

// ---- the methods of a live trainer ------------------------------------------------------------------------------------------------

async function* stream(...batches: unknown[]): AsyncGenerator<Batch> {
  for (const each of batches) yield each as Batch;
}
const lossOf = (loss: Any) => new Trainer({ ...good, loss });

const methods = (trainer: Trainer): Record<string, Misuse[]> => {
  const step = (inputs: unknown, targets: unknown) => () => trainer.step({ inputs, targets } as Batch);
  const groups: Record<string, Misuse[]> = {
    step: [
      [
        () => trainer.step(undefined as Any),
        INVALID,
        'batch to be an object with inputs and targets but received undefined',
      ],
      [() => trainer.step(null as Any), INVALID, 'received null'],
      [() => trainer.step([x, t] as Any), INVALID, 'an array of length 2'],
      [() => trainer.step({ inputs: x } as Any), INVALID, 'the key inputs'],
      [() => trainer.step(set as Any), INVALID, 'a Dataset'],
      [step([[1, 2, 3, 4]], t), INVALID, 'batch.inputs to be a Tensor'],
      [step('x', t), INVALID, '"x"'],
      [step(undefined, t), INVALID, 'undefined'],
      [step(Promise.resolve(x), t), INVALID, 'a promise'],
      [step(new Uint8Array(8), t), DTYPE, 'a Uint8Array of length 8'],
      [
        step(tensor(new Float32Array(8), [4, 2]), t),
        SHAPE,
        'batch.inputs of shape [B, 4] but received a float32 Tensor of shape [4, 2]',
      ],
      [step(new Float32Array(8), t), SHAPE, '[8]'],
      [step(1, t), SHAPE, '[B, 4]'],
      [step(tensor(new Float32Array(0), [0, 4]), tensor(new Int32Array(0))), SHAPE, 'at least one example'],
      [step(x, tensor(Int32Array.of(1))), SHAPE, 'batch.targets to have 2 examples, as batch.inputs has,'],
      [step(tensor(new Int32Array(8), [2, 4]), t), DTYPE, 'batch.inputs of float32'],
      [step(tensor(new Float64Array(8), [2, 4]), t), DTYPE, 'float64'],
      [step(x, tensor(Float32Array.of(0, 1))), DTYPE, 'softmaxCrossEntropy'],
      [step(x, tensor(new Float64Array(2))), DTYPE, 'float64'],
      [step(x, tensor(new Int32Array(6), [2, 3])), SHAPE, 'softmaxCrossEntropy'],
      [step(x, 1), SHAPE, 'batch.targets'],
      [step(gone(), t), INVALID, 'its buffer was transferred'],
      [step(x, transferred(tensor(Int32Array.of(1, 2)))), INVALID, 'its buffer was transferred'],
      [
        () => trainer.step({ inputs: x, targets: t }, { signal: 'stop' as Any }),
        INVALID,
        'signal to be an AbortSignal but received "stop"',
      ],
      [() => trainer.step({ inputs: x, targets: t }, { timeout: 3 } as Any), INVALID, 'but received "timeout"'],
      [() => trainer.step({ inputs: x, targets: t }, AbortSignal.abort() as Any), INVALID, 'a plain object of options'],
      [
        () => trainer.step({ inputs: x, targets: t }, { signal: AbortSignal.abort() }),
        'ABORTED',
        'an abort by its signal',
      ],
      [step(x, tensor(Int32Array.of(0, 3))), 'NUMERIC', 'that step changed nothing'],
    ],
    predict: [
      [() => trainer.predict(undefined as Any), INVALID, 'inputs to be a Tensor'],
      [() => trainer.predict([[1, 2, 3, 4]] as Any), INVALID, 'inputs to be a Tensor'],
      [() => trainer.predict(set as Any), INVALID, 'a Dataset'],
      [() => trainer.predict(Float32Array.of(1, 2, 3, 4)), SHAPE, 'inputs of shape [B, 4]'],
      [() => trainer.predict(tensor(new Float32Array(6), [2, 3])), SHAPE, '[2, 3]'],
      [() => trainer.predict(tensor(new Float32Array(0), [0, 4])), SHAPE, 'at least one example'],
      [() => trainer.predict(3), SHAPE, '[B, 4]'],
      [() => trainer.predict(tensor(new Int32Array(8), [2, 4])), DTYPE, 'inputs of float32'],
      [() => trainer.predict(tensor(new Float64Array(8), [2, 4])), DTYPE, 'float64'],
      [() => trainer.predict(gone()), INVALID, 'transferred'],
      [() => trainer.predict(x, { signal: {} as Any }), INVALID, 'signal to be an AbortSignal'],
      [() => trainer.predict(x, 5 as Any), INVALID, 'a plain object of options'],
      [() => trainer.predict(x, { batchSize: 5 } as Any), INVALID, 'but received "batchSize"'],
    ],
    setParameters: [
      [
        () => trainer.setParameters(undefined as Any),
        INVALID,
        'an object of parameters by name but received undefined',
      ],
      [() => trainer.setParameters(null as Any), INVALID, 'null'],
      [() => trainer.setParameters([x] as Any), INVALID, 'an array'],
      [() => trainer.setParameters(new Map() as Any), INVALID, 'a Map'],
      [() => trainer.setParameters({ '2.w': x }), INVALID, '2.w'],
      [() => trainer.setParameters({ __proto__x: x }), INVALID, '__proto__x'],
      [() => trainer.setParameters({ 'state/momentum/0.w': x }), INVALID, 'state/momentum/0.w'],
      [
        () => trainer.setParameters({ '0.w': x }),
        SHAPE,
        "'0.w' of shape [4, 5] but received a float32 Tensor of shape [2, 4]",
      ],
      [() => trainer.setParameters({ '0.w': new Float32Array(20) }), SHAPE, '[20]'],
      [() => trainer.setParameters({ '0.b': 1 }), SHAPE, '[5]'],
      [() => trainer.setParameters({ '0.b': tensor(new Int32Array(5)) }), DTYPE, "'0.b' of float32"],
      [() => trainer.setParameters({ '0.b': new Float64Array(5) }), DTYPE, 'float64'],
      [() => trainer.setParameters({ '0.b': new Uint8Array(5) as Any }), DTYPE, 'Uint8Array'],
      [() => trainer.setParameters({ '0.b': [1, 2, 3, 4, 5] as Any }), INVALID, "'0.b' to be a Tensor"],
      [() => trainer.setParameters({ '0.b': transferred(tensor(new Float32Array(5))) }), INVALID, 'transferred'],
    ],
    events: [
      [
        async () => trainer.events(undefined as Any, { epochs: 1, batchSize: 1 }).next(),
        INVALID,
        'data to be a Dataset or a function',
      ],
      [async () => trainer.events(set, undefined as Any).next(), INVALID, 'epochs'],
      [async () => trainer.events(set, 3 as Any).next(), INVALID, 'a plain object of options but received 3'],
      [
        async () => trainer.events(set, { epochs: 1, batchSize: 1, signal: {} as Any }).next(),
        INVALID,
        'signal to be an AbortSignal',
      ],
      [
        async () => trainer.events(set, { epochs: 1, batchSize: 1, onProgress: 3 as Any }).next(),
        INVALID,
        'onProgress to be a function',
      ],
      [async () => trainer.events(set, { epochs: 0, batchSize: 1 }).next(), INVALID, 'epochs to be an integer from 1'],
    ],
  };
  for (const [name, call] of [
    ['fit', (data: Any, options: Any = {}) => trainer.fit(data, { epochs: 1, batchSize: 2, ...options })],
    ['evaluate', (data: Any, options: Any = {}) => trainer.evaluate(data, options)],
  ] as const) {
    const otherShape = Dataset.from(tensor(new Float32Array(9), [3, 3]), tensor(new Int32Array(3)));
    const integers = Dataset.from(tensor(new Int32Array(8), [2, 4]), tensor(new Int32Array(2)));
    const real = Dataset.from(tensor(new Float32Array(8), [2, 4]), tensor(new Float32Array(2)));
    const oneHot = Dataset.from(tensor(new Float32Array(8), [2, 4]), tensor(new Int32Array(6), [2, 3]));
    groups[name] = [
      [() => call(undefined), INVALID, 'data to be a Dataset or a function'],
      [() => call([x, t]), INVALID, 'an array'],
      [() => call({ inputs: x, targets: t }), INVALID, 'the keys inputs, targets'],
      [() => call(stream({ inputs: x, targets: t })), INVALID, 'the stream itself'],
      [() => call(() => undefined), INVALID, 'data to return an AsyncIterable of batches but received undefined'],
      [() => call(() => [{ inputs: x, targets: t }]), INVALID, 'an AsyncIterable'],
      [() => call(async () => stream()), INVALID, 'a promise'],
      [() => call(() => stream()), INVALID, 'at least one batch'],
      [() => call(() => stream(undefined)), INVALID, 'batch 0 to be an object with inputs and targets'],
      [() => call(() => stream({ inputs: x, targets: t }, { inputs: x })), INVALID, 'batch 1'],
      [() => call(() => stream({ inputs: t, targets: t })), SHAPE, 'batch 0.inputs of shape [B, 4]'],
      [() => call(() => stream({ inputs: gone(), targets: t })), INVALID, 'transferred'],
      [() => call(() => stream({ inputs: x, targets: tensor(new Float64Array(2)) })), DTYPE, 'float64'],
      [() => call(otherShape), SHAPE, 'examples of shape [4] but received [3]'],
      [() => call(integers), DTYPE, 'inputs of float32 but received int32'],
      [() => call(real), DTYPE, 'softmaxCrossEntropy'],
      [() => call(oneHot), SHAPE, 'softmaxCrossEntropy'],
      [() => call(set, { batchSize: 0 }), INVALID, 'batchSize to be an integer from 1'],
      [() => call(set, { batchSize: -5 }), INVALID, '-5'],
      [() => call(set, { batchSize: 1.5 }), INVALID, '1.5'],
      [() => call(set, { batchSize: 2 ** 31 }), INVALID, 'batchSize'],
      [() => call(set, { batchSize: '2' }), INVALID, '"2"'],
      [() => call(set, { signal: { aborted: true } }), INVALID, 'signal to be an AbortSignal'],
      [() => call(set, { shuffle: true }), INVALID, 'but received "shuffle"'],
      [
        () => {
          const data = tensor(new Float32Array(8), [2, 4]);
          const moved = Dataset.from(data, t);
          transferred(data);
          return call(moved);
        },
        INVALID,
        'transferred',
      ],
    ];
  }
  groups.evaluate?.push(
    [() => trainer.evaluate(set, 7 as Any), INVALID, 'a plain object of options but received 7'],
    [() => trainer.evaluate(set, { signal: AbortSignal.abort() }), 'ABORTED', 'an abort by its signal'],
  );
  const fit = (change: Any) => () => trainer.fit(set, { epochs: 1, batchSize: 2, ...change });
  groups.fit?.push(
    [() => trainer.fit(set, undefined as Any), INVALID, 'epochs'],
    [() => trainer.fit(set, 'fast' as Any), INVALID, '"fast"'],
    [fit({ epochs: 0 }), INVALID, 'epochs to be an integer from 1'],
    [fit({ epochs: -1 }), INVALID, '-1'],
    [fit({ epochs: 0.5 }), INVALID, '0.5'],
    [fit({ epochs: Number.POSITIVE_INFINITY }), INVALID, 'Infinity'],
    [fit({ epochs: undefined }), INVALID, 'epochs'],
    [fit({ batchSize: undefined }), INVALID, 'batchSize'],
    [fit({ batchSize: 21 }), INVALID, 'a batchSize of at most the 20 examples but received 21'],
    [fit({ lastBatch: 'pad' }), INVALID, "lastBatch to be 'drop' or 'keep'"],
    [fit({ validation: 0.2 }), INVALID, 'validation to be a Dataset or a function'],
    [fit({ validation: stream() }), INVALID, 'the stream itself'],
    [fit({ onProgress: 'log' }), INVALID, 'onProgress to be a function but received "log"'],
    [fit({ validation: Dataset.from(tensor(new Float32Array(6), [2, 3]), t) }), SHAPE, '[3]'],
  );
  return groups;
};

// ---- losses that do not fit: found by the first step ---------------------------------------------------------------------------------

const losses: Misuse[] = [
  [
    () =>
      lossOf((y: Value, target: Value) => ops.softmaxCrossEntropy(y, target).mean()).step({ inputs: x, targets: t }),
    SHAPE,
    'one loss per example, [2] but received []',
  ],
  [
    () => lossOf((y: Value) => y).step({ inputs: x, targets: t }),
    SHAPE,
    'one loss per example, [2] but received [2, 3]',
  ],
  [
    () => lossOf(() => undefined).step({ inputs: x, targets: t }),
    INVALID,
    'a Value to be returned but received undefined',
  ],
  [() => lossOf(() => 3).step({ inputs: x, targets: t }), INVALID, 'a Value to be returned'],
  [() => lossOf(async (y: Value) => y).step({ inputs: x, targets: t }), INVALID, 'a Value to be returned'],
  [
    () => lossOf((y: Value) => y.sum({ axis: 1 }).greater(0)).step({ inputs: x, targets: t }),
    DTYPE,
    '[mean] expected input 0 of dtype real',
  ],
  [() => lossOf((y: Any) => (y > 0 ? y : y)).step({ inputs: x, targets: t }), INVALID, 'ops.where'],
  [
    () => lossOf((y: Value) => y.sum({ axis: 1 }).mul(parameter('scale', [1]))).step({ inputs: x, targets: t }),
    INVALID,
    "a function without parameters (the model declares them all) but received 'scale'",
  ],
  [
    () =>
      lossOf((y: Value) => y.sum({ axis: 1 }))
        .evaluate(set.slice(0, 1))
        .then(() => lossOf((y: Value) => y).evaluate(set)),
    SHAPE,
    'one loss per example',
  ],
];

async function refuseAll(items: readonly Misuse[]): Promise<void> {
  const wrong: string[] = [];
  for (const [i, misuse] of items.entries()) {
    try {
      await refuses(misuse);
    } catch (error) {
      const cause = (error as Error).cause;
      wrong.push(
        `${i} '${misuse[2]}' ${misuse[1]}: ${(error as Error).message}${cause ? ` / ${cause}` : ''}   ${misuse[0].toString().slice(0, 120)}`,
      );
    }
  }
  assert.is(wrong.length, 0, `\n${wrong.join('\n')}`);
}

test(`refused by the constructor: ${constructor_.length} misuses`, () => refuseAll(constructor_));
test(`refused losses: ${losses.length}`, () => refuseAll(losses));

const live = new Trainer(good);
for (const [name, items] of Object.entries(methods(live))) {
  test(`refused by ${name}: ${items.length} misuses; the trainer goes on and nothing changed`, async () => {
    const before = JSON.stringify(Object.values(await live.parameters()).map(({ data }) => [...data]));
    const steps = live.steps;
    await refuseAll(items);
    // A stream is trained on up to its bad batch, and a fit up to its bad validation: those alone may have moved.
    if (name !== 'fit') {
      assert.is(live.steps, steps);
      assert.is(JSON.stringify(Object.values(await live.parameters()).map(({ data }) => [...data])), before);
    }
    assert.ok(Number.isFinite((await live.step({ inputs: x, targets: t })).loss));
    assert.equal((await live.predict(x)).shape, [2, 3]);
  });
}

test('a disposed trainer refuses everything, whatever the arguments', async () => {
  const trainer = new Trainer(good);
  trainer.dispose();
  const batch = { inputs: x, targets: t };
  await refuseAll([
    [() => trainer.step(batch), 'DISPOSED', 'a live trainer but received a disposed one'],
    [() => trainer.fit(set, { epochs: 1, batchSize: 2 }), 'DISPOSED', 'Trainer.fit'],
    [() => trainer.events(set, { epochs: 1, batchSize: 2 }).next(), 'DISPOSED', 'a live trainer'],
    [() => trainer.evaluate(set), 'DISPOSED', 'Trainer.evaluate'],
    [() => trainer.predict(x), 'DISPOSED', 'Trainer.predict'],
    [() => trainer.parameters(), 'DISPOSED', 'Trainer.parameters'],
    [() => trainer.setParameters({}), 'DISPOSED', 'Trainer.setParameters'],
    [() => trainer.memory(), 'DISPOSED', 'Trainer.memory'],
    [() => trainer.describe(), 'DISPOSED', 'Trainer.describe'],
  ]);
  trainer.dispose();
  trainer[Symbol.dispose]();
});

test('methods called on something else are refused, not followed', async () => {
  for (const name of [
    'step',
    'fit',
    'evaluate',
    'predict',
    'parameters',
    'setParameters',
    'memory',
    'describe',
    'dispose',
  ] as const) {
    let refused: unknown;
    try {
      await (Trainer.prototype[name] as Any).call({}, set, { epochs: 1, batchSize: 1 });
    } catch (error) {
      refused = error;
    }
    assert.instance(refused, Error, name);
  }
});

test('a model larger than the machine is OUT_OF_MEMORY at the first call; other trainers go on', async () => {
  // 3,000 parameters of 4 GB.
  const layers = Array.from(
    { length: 3000 },
    (_, i) => (v: Value) => ops.dense(v, parameter(`w${i}`, [2 ** 15, 2 ** 15], 'zeros')),
  );
  const trainer = new Trainer({
    ...good,
    model: nn.sequential(...layers),
    inputShape: [2 ** 15],
    loss: ops.meanSquaredError,
  });
  const batch = {
    inputs: tensor(new Float32Array(2 ** 15), [1, 2 ** 15]),
    targets: tensor(new Float32Array(2 ** 15), [1, 2 ** 15]),
  };
  await refuses([() => trainer.step(batch), 'OUT_OF_MEMORY', 'bytes']);
  await refuses([() => trainer.parameters(), 'OUT_OF_MEMORY', 'bytes']);
  assert.ok(Number.isFinite((await live.step({ inputs: x, targets: t })).loss));
  trainer.dispose();
  await refuses([() => trainer.step(batch), 'DISPOSED', 'a live trainer']);
});

test('devices never throws', () => {
  const found = devices();
  assert.ok(found.some(({ name, available }) => name === 'cpu' && available));
  const cuda = found.find(({ name }) => name === 'cuda');
  assert.ok(cuda === undefined || cuda.available || typeof cuda.reason === 'string');
});

test.run();
