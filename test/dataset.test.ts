import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { assertSource, type BatchForm, checkBatch, readStream } from '../src/data/batches.ts';
import { contiguousArrays, Dataset, datasetArrays, gatherBatch, shuffledOrder } from '../src/data/dataset.ts';
import { Tensor, tensor } from '../src/tensor.ts';
import { shuffle } from './support/random.ts';
import { type Misuse, refuses } from './support/refusal.ts';

/** 12 examples of [2, 3] bytes, example i starting at byte 6 i, labels 0 to 11. */
const bytes = Uint8Array.from({ length: 72 }, (_, i) => 3 * i);
const labels = Int32Array.from({ length: 12 }, (_, i) => i);
const small = (): Dataset => Dataset.from(bytes, tensor(labels), { inputShape: [2, 3] });
const labelsOf = (dataset: Dataset): number[] => [...contiguousArrays('test', dataset).targets];

test('bytes stay bytes, referred to, scaled by 1/255 when gathered', () => {
  const set = small();
  assert.is(set.length, 12);
  assert.equal([...set.inputShape], [2, 3]);
  const arrays = datasetArrays('test', set);
  assert.is(arrays.inputs.buffer, bytes.buffer);
  assert.is(arrays.inputSize, 6);
  assert.is(arrays.inputsScale, Math.fround(1 / 255));
  assert.is(arrays.targetSize, 1);
  assert.equal([...arrays.targetShape], []);
  assert.is(arrays.rows, null);
  const { inputs, targets } = gatherBatch(set, [11, 0]);
  assert.equal([...inputs.shape], [2, 2, 3]);
  assert.equal([...targets.data], [11, 0]);
  assert.is(targets.dtype, 'int32');
  const expected = [...bytes.subarray(66), ...bytes.subarray(0, 6)].map((byte) =>
    Math.fround(byte * Math.fround(1 / 255)),
  );
  assert.equal([...inputs.data], expected);
});

test('float32 inputs keep their values, targets of any shape', () => {
  const inputs = tensor(
    Float32Array.from({ length: 8 }, (_, i) => i / 3),
    [4, 2],
  );
  const targets = tensor(
    Float32Array.from({ length: 12 }, (_, i) => -i),
    [4, 3],
  );
  const set = Dataset.from(inputs, targets);
  assert.equal([...set.inputShape], [2]);
  const batch = gatherBatch(set, [2]);
  assert.equal([...batch.inputs.data], [...inputs.data.subarray(4, 6)]);
  assert.equal(batch.targets.toArray(), [[-6, -7, -8]]);
  assert.equal(
    [...gatherBatch(Dataset.from(inputs, targets, { scale: 2 }), [2]).inputs.data],
    [...inputs.data.subarray(4, 6).map((value) => 2 * value)],
  );
  assert.equal([...Dataset.from(inputs, targets, { inputShape: [1, 2, 1] }).inputShape], [1, 2, 1]);
  assert.equal([...Dataset.from(tensor([1, 2]), tensor([3, 4])).inputShape], []);
  assert.equal([...Dataset.from(bytes, tensor(labels)).inputShape], [6]);
  assert.equal([...Dataset.from(Buffer.from(bytes), tensor(labels)).inputShape], [6]);
});

test('int32 inputs stay int32, in parts of a split too', () => {
  const tokens = tensor(
    Int32Array.from({ length: 24 }, (_, i) => 16_777_217 + i),
    [12, 2],
  );
  const set = Dataset.from(tokens, tensor(labels));
  assert.is(datasetArrays('test', set).inputType, 'int32');
  assert.equal(gatherBatch(set, [1]).inputs.toArray(), [[16_777_219, 16_777_220]]);
  const [part] = set.split(0.5);
  const { inputs } = contiguousArrays('test', part);
  assert.instance(inputs, Int32Array);
  assert.is(inputs[0], 16_777_217 + 2 * (labelsOf(part)[0] as number));
});

test('parts of a split of a Buffer are plain bytes', () => {
  const [part] = Dataset.from(Buffer.from(bytes), tensor(labels)).split(0.5);
  const { inputs } = contiguousArrays('test', part);
  assert.is(inputs.length, 36);
  assert.is(inputs.constructor, Uint8Array);
});

test('slices are views, of slices too', () => {
  const set = small().slice(2).slice(1, 5);
  assert.is(set.length, 4);
  assert.equal(labelsOf(set), [3, 4, 5, 6]);
  const arrays = datasetArrays('test', set);
  assert.is(arrays.inputs.buffer, bytes.buffer);
  assert.is(arrays.inputs.byteOffset, bytes.byteOffset + 18);
  assert.is(arrays.inputs.length, 24);
  assert.equal([...gatherBatch(set, [0]).targets.data], [3]);
});

test('split: two disjoint parts in the order of the seed', () => {
  const [first, second] = small().split(0.75, 5);
  assert.is(first.length, 9);
  assert.is(second.length, 3);
  const order = shuffle(12, 5, 0, 0);
  assert.equal([...labelsOf(first), ...labelsOf(second)], [...order]);
  assert.equal(labelsOf(small().split(0.75)[0]), [...shuffle(12, 0, 0, 0).subarray(0, 9)]);
  const { inputs, targets } = gatherBatch(first, [4]);
  assert.equal(targets.item(), order[4]);
  assert.is(inputs.data[0], Math.fround(bytes[6 * order[4]!]! * Math.fround(1 / 255)));
  const arrays = datasetArrays('test', first);
  assert.is(arrays.inputs.buffer, bytes.buffer);
  assert.equal([...arrays.rows!], [...order.subarray(0, 9)]);
  const copied = contiguousArrays('test', first);
  assert.is(copied.inputs.length, 54);
  assert.is(copied.inputs[6 * 4], bytes[6 * order[4]!]);
});

test('splits and slices of each other', () => {
  const [part] = small().slice(4).split(0.5, 7n);
  const order = [...shuffle(8, 7, 0, 0)].map((i) => i + 4);
  assert.equal(labelsOf(part), order.slice(0, 4));
  assert.equal(labelsOf(part.slice(1, 3)), order.slice(1, 3));
  const [inner] = part.split(0.5, 2n ** 64n - 1n);
  const again = shuffle(4, 2 ** 32 - 1, 2 ** 32 - 1, 0);
  assert.equal(labelsOf(inner), [order[again[0]!], order[again[1]!]]);
});

test('shuffles are those of the contract, bit for bit', () => {
  for (const [length, low, high, epoch] of [
    [1, 0, 0, 0],
    [2, 1, 0, 0],
    [5, 42, 0, 0],
    [257, 42, 7, 3],
    [1000, 2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1],
  ] as const) {
    const order = shuffledOrder(length, [low, high], epoch);
    assert.equal([...order], [...shuffle(length, low, high, epoch)]);
    assert.equal(
      [...order].sort((a, b) => a - b),
      Array.from({ length }, (_, i) => i),
    );
  }
});

test('batches: the last one dropped or kept, shuffled by seed and epoch', async () => {
  const collect = async (options: Parameters<Dataset['batches']>[0]) => {
    const found: number[][] = [];
    for await (const { inputs, targets } of small().batches(options)) {
      assert.is(inputs.shape[0], targets.data.length);
      found.push([...targets.data]);
    }
    return found;
  };
  assert.equal(await collect({ batchSize: 5 }), [
    [0, 1, 2, 3, 4],
    [5, 6, 7, 8, 9],
  ]);
  assert.equal((await collect({ batchSize: 5, lastBatch: 'keep' })).at(-1), [10, 11]);
  assert.equal((await collect({ batchSize: 12, seed: 3, epoch: 2 }))[0], [...shuffle(12, 3, 0, 2)]);
});

test('a transferred buffer is noticed', () => {
  const own = bytes.slice();
  const set = Dataset.from(own, tensor(labels));
  structuredClone(own.buffer, { transfer: [own.buffer] });
  return refuses([() => datasetArrays('Trainer.fit', set), 'INVALID_ARGUMENT', 'one whose buffer was transferred']);
});

const any = (value: unknown): never => value as never;
const from = (inputs: unknown, targets: unknown, options?: unknown) => () =>
  Dataset.from(any(inputs), any(targets), any(options));
const y = tensor(labels);
const forged = Object.create(Dataset.prototype) as Dataset;
const misuses: Record<string, Misuse> = {
  'no inputs': [from(undefined, y), 'INVALID_ARGUMENT', 'inputs to be a Tensor or a Uint8Array'],
  'an array of inputs': [from([1, 2], y), 'INVALID_ARGUMENT', '[1, 2]'],
  'a Float32Array for inputs': [from(new Float32Array(12), y), 'DTYPE_MISMATCH', 'a Float32Array of length 12'],
  'signed bytes': [from(new Int8Array(12), y), 'DTYPE_MISMATCH', 'an Int8Array'],
  'float64 inputs': [from(tensor(new Float64Array(12)), y), 'DTYPE_MISMATCH', 'inputs of float32, int32 or bytes'],
  'a scale of int32': [from(y, y, { scale: 2 }), 'INVALID_ARGUMENT', 'no scale for int32 inputs but received 2'],
  'no targets': [from(bytes, undefined), 'INVALID_ARGUMENT', 'targets to be a Tensor but received undefined'],
  'an array of targets': [from(bytes, labels), 'INVALID_ARGUMENT', 'an Int32Array of length 12'],
  'float64 targets': [from(bytes, tensor(new Float64Array(12))), 'DTYPE_MISMATCH', 'targets of float32 or int32'],
  'a scalar target': [from(bytes, tensor(1)), 'INVALID_ARGUMENT', 'targets of shape [n, …]'],
  'no examples': [from(new Uint8Array(), tensor([])), 'INVALID_ARGUMENT', 'n of at least 1'],
  'bytes that do not divide': [from(bytes.subarray(1), y), 'SHAPE_MISMATCH', 'inputs that 12 examples share'],
  'no bytes': [from(new Uint8Array(), y), 'SHAPE_MISMATCH', 'a Uint8Array of length 0'],
  'more inputs than targets': [from(tensor([[1], [2]]), tensor([1])), 'SHAPE_MISMATCH', 'inputs of shape [1, …]'],
  'a scalar input': [from(tensor(1), tensor([1])), 'SHAPE_MISMATCH', 'a float32 Tensor of shape []'],
  'an inputShape of another size': [from(bytes, y, { inputShape: [7] }), 'SHAPE_MISMATCH', '84 input elements'],
  'a negative inputShape': [
    from(bytes, y, { inputShape: [-6] }),
    'INVALID_ARGUMENT',
    'inputShape[0] to be an integer from 1',
  ],
  'a huge inputShape': [from(bytes, y, { inputShape: [2 ** 20, 2 ** 20] }), 'INVALID_ARGUMENT', 'fewer than 2^31'],
  'an inputShape of 8 axes': [
    from(bytes, y, { inputShape: [1, 1, 1, 1, 1, 1, 1, 6] }),
    'INVALID_ARGUMENT',
    'at most 7',
  ],
  'an inputShape that is a number': [from(bytes, y, { inputShape: 6 }), 'INVALID_ARGUMENT', 'an array of integers'],
  'a scale of 0': [from(bytes, y, { scale: 0 }), 'INVALID_ARGUMENT', 'scale'],
  'a scale of NaN': [from(bytes, y, { scale: Number.NaN }), 'INVALID_ARGUMENT', 'scale'],
  'a scale beyond float32': [from(bytes, y, { scale: 1e300 }), 'INVALID_ARGUMENT', 'a float32 other than 0'],
  'an unknown option': [
    from(bytes, y, { shape: [6] }),
    'INVALID_ARGUMENT',
    'only the options inputShape, scale but received "shape"',
  ],
  'options that are an array': [from(bytes, y, [6]), 'INVALID_ARGUMENT', 'a plain object of options'],
  'slice from -1': [() => small().slice(-1), 'INVALID_ARGUMENT', 'start to be an integer from 0 to 11 but received -1'],
  'slice from the end': [() => small().slice(12), 'INVALID_ARGUMENT', 'start'],
  'an empty slice': [() => small().slice(3, 3), 'INVALID_ARGUMENT', 'end to be an integer from 4 to 12'],
  'a slice past the end': [() => small().slice(3, 13), 'INVALID_ARGUMENT', 'received 13'],
  'a broken slice': [() => small().slice(0.5), 'INVALID_ARGUMENT', '0.5'],
  'split(0)': [() => small().split(0), 'INVALID_ARGUMENT', 'fraction to be a finite number above 0 and below 1'],
  'split(1)': [() => small().split(1), 'INVALID_ARGUMENT', 'received 1'],
  'split(90)': [() => small().split(90), 'INVALID_ARGUMENT', 'received 90'],
  'split of NaN': [() => small().split(Number.NaN), 'INVALID_ARGUMENT', 'NaN'],
  'a split with an empty part': [
    () => small().split(0.01),
    'INVALID_ARGUMENT',
    'at least one of 12 examples in each part',
  ],
  'a negative seed': [
    () => small().split(0.5, -1),
    'INVALID_ARGUMENT',
    'seed to be an integer from 0 to 2^53 - 1 or a bigint',
  ],
  'a seed of 2n ** 64n': [() => small().split(0.5, 2n ** 64n), 'INVALID_ARGUMENT', '18446744073709551616n'],
  'a broken seed': [() => small().split(0.5, 0.1), 'INVALID_ARGUMENT', '0.1'],
  'a seed of 2^53': [() => small().split(0.5, 2 ** 53), 'INVALID_ARGUMENT', '9007199254740992'],
  'no batch size': [
    () => small().batches(any(undefined)),
    'INVALID_ARGUMENT',
    'batchSize to be an integer from 1 to 12',
  ],
  'a batch size of 0': [() => small().batches({ batchSize: 0 }), 'INVALID_ARGUMENT', 'received 0'],
  'a batch larger than the set': [() => small().batches({ batchSize: 13 }), 'INVALID_ARGUMENT', 'received 13'],
  'a negative epoch': [() => small().batches({ batchSize: 1, epoch: -1 }), 'INVALID_ARGUMENT', 'epoch'],
  'another lastBatch': [
    () => small().batches({ batchSize: 1, lastBatch: any('pad') }),
    'INVALID_ARGUMENT',
    "'drop' or 'keep'",
  ],
  'an unknown batches option': [() => small().batches(any({ size: 1 })), 'INVALID_ARGUMENT', 'received "size"'],
  'a forged set': [() => forged.split(0.5), 'INVALID_ARGUMENT', 'Dataset'],
};
for (const [name, misuse] of Object.entries(misuses)) test(`Dataset refuses ${name}`, () => refuses(misuse));

// ---- streams ---------------------------------------------------------------------------------------------------------------

const form: BatchForm = { inputShape: [3], inputType: 'float32', targetShape: [], targetType: 'int32' };
const x = tensor(new Float32Array(6), [2, 3]);
const t = tensor(new Int32Array(2));

test('a batch of the form passes, typed arrays as rank 1', () => {
  const batch = checkBatch('Trainer.step', { inputs: x, targets: new Int32Array(2) }, form);
  assert.is(batch.size, 2);
  assert.is(batch.inputs, x);
  assert.ok(batch.targets instanceof Tensor);
});

test('a stream gives its batches, and is closed when the loop ends early', async () => {
  let closed = 0;
  const source = async function* () {
    try {
      for (let i = 0; i < 3; i++) yield { inputs: x, targets: t };
    } finally {
      closed++;
    }
  };
  const sizes: number[] = [];
  for await (const { size } of readStream('Trainer.fit', 'data', source, form)) sizes.push(size);
  assert.equal(sizes, [2, 2, 2]);
  for await (const _ of readStream('Trainer.fit', 'data', source, form)) break;
  assert.is(closed, 2);
});

test("an error of the caller's own stream passes through as it is", async () => {
  const own = new Error('disk on fire');
  const source = async function* () {
    yield { inputs: x, targets: t };
    throw own;
  };
  try {
    for await (const _ of readStream('Trainer.fit', 'data', source, form));
    assert.unreachable();
  } catch (error) {
    assert.is(error, own);
  }
});

const check = (batch: unknown) => () => checkBatch('Trainer.step', batch, form);
const stream = (source: unknown) => async () => {
  for await (const _ of readStream('Trainer.fit', 'data', any(source), form));
};
const source = (value: unknown) => () => assertSource('Trainer.fit', 'data', value);
const streamMisuses: Record<string, Misuse> = {
  'no batch': [check(undefined), 'INVALID_ARGUMENT', 'batch to be an object with inputs and targets'],
  'an array for a batch': [check([x, t]), 'INVALID_ARGUMENT', 'an array of length 2'],
  'a batch without targets': [check({ inputs: x }), 'INVALID_ARGUMENT', 'an object with the key inputs'],
  'an array for a leaf': [
    check({ inputs: [[1, 2, 3]], targets: t }),
    'INVALID_ARGUMENT',
    'batch.inputs to be a Tensor',
  ],
  'bytes for a leaf': [check({ inputs: new Uint8Array(3), targets: t }), 'DTYPE_MISMATCH', 'batch.inputs'],
  'inputs without the batch axis': [check({ inputs: tensor([1, 2, 3]), targets: t }), 'SHAPE_MISMATCH', 'shape [B, 3]'],
  'a number for inputs': [check({ inputs: 1, targets: t }), 'SHAPE_MISMATCH', 'a float32 Tensor of shape []'],
  'wider inputs': [check({ inputs: tensor([[1, 2, 3, 4]]), targets: t }), 'SHAPE_MISMATCH', 'shape [1, 4]'],
  'no examples': [check({ inputs: tensor([], [0, 3]), targets: t }), 'SHAPE_MISMATCH', 'at least one example'],
  'int32 inputs': [
    check({ inputs: tensor(new Int32Array(3), [1, 3]), targets: t }),
    'DTYPE_MISMATCH',
    'inputs of float32',
  ],
  'float targets': [check({ inputs: x, targets: tensor([1, 2]) }), 'DTYPE_MISMATCH', 'batch.targets of int32'],
  'targets of another shape': [
    check({ inputs: x, targets: tensor(new Int32Array(4), [2, 2]) }),
    'SHAPE_MISMATCH',
    '[B]',
  ],
  'fewer targets': [check({ inputs: x, targets: tensor(new Int32Array(1)) }), 'SHAPE_MISMATCH', 'to have 2 examples'],
  'no source': [source(undefined), 'INVALID_ARGUMENT', 'data to be a Dataset or a function'],
  'an array of batches': [source([{ inputs: x, targets: t }]), 'INVALID_ARGUMENT', 'an array of length 1'],
  'the stream itself': [source(small().batches({ batchSize: 1 })), 'INVALID_ARGUMENT', 'it ends after one epoch'],
  'a function of nothing': [stream(() => undefined), 'INVALID_ARGUMENT', 'data to return an AsyncIterable'],
  'a function of an array': [stream(() => [{ inputs: x, targets: t }]), 'INVALID_ARGUMENT', 'an array of length 1'],
  'a function of a rejecting promise': [stream(() => Promise.reject(new Error('no'))), 'INVALID_ARGUMENT', 'a promise'],
  'an empty stream': [stream(async function* () {}), 'INVALID_ARGUMENT', 'at least one batch'],
  'a wrong second batch': [
    stream(async function* () {
      yield { inputs: x, targets: t };
      yield { inputs: t, targets: t };
    }),
    'SHAPE_MISMATCH',
    'batch 1.inputs of shape [B, 3] but received an int32 Tensor of shape [2]',
  ],
};
for (const [name, misuse] of Object.entries(streamMisuses)) test(`a stream refuses ${name}`, () => refuses(misuse));

test.run();
