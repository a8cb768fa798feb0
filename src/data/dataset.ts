// A set of examples in memory. Bytes stay bytes: they are scaled to float32 only when they are gathered into a batch.
import { native } from '../binding.ts';
import {
  allocate,
  assertFinite,
  assertInteger,
  assertSeed,
  describe,
  describeAs,
  describeShape,
  PushforwardError,
  readOptions,
  type Seed,
} from '../errors.ts';
import { translate } from '../plan/engine.ts';
import { assertShape, type Leaf, ownMemory, sizeOf, Tensor, toTensor } from '../tensor.ts';

/** Some examples, as one training step takes them. */
export interface Batch {
  /** Inputs, `[B, ...inputShape]`. */
  inputs: Leaf;
  /** Targets, B of them: `[B, …]` as the loss takes them. */
  targets: Leaf;
}

/** A batch in JavaScript memory, as {@link Dataset.batches} gives it. */
export interface TensorBatch extends Batch {
  /** Inputs, `[B, ...inputShape]`. */
  inputs: Tensor;
  /** Targets, `[B, …]`. */
  targets: Tensor;
}

/** Options of {@link Dataset.from}. */
export interface DatasetOptions {
  /** The shape of one example, at most 7 integers ≥ 1. Default: the tensor's shape without its first axis; `[length / n]` of bytes. */
  inputShape?: readonly number[];
  /** What an element is multiplied by when it is gathered, in float32: finite, not 0. Default: 1/255 of bytes, 1 of float32; int32 has none */
  scale?: number;
}

/** Options of {@link Dataset.batches}. */
export interface BatchesOptions {
  /** Examples of a batch: an integer from 1 to the set's length. Required. */
  batchSize: number;
  /** Shuffles by this seed, as `fit` does with its trainer's. Default: no shuffling */
  seed?: Seed;
  /** Which of the seed's orders: an integer from 0 to 2^32 − 1. Default: 0 */
  epoch?: number;
  /** Whether a last batch of fewer examples is given. Default: 'drop' */
  lastBatch?: 'drop' | 'keep';
}

/**
 * Everything the native side needs of a set, in its order: `length` examples of `inputSize` elements, `length` targets of `targetSize`.
 * @internal
 */
export interface DatasetArrays {
  readonly length: number;
  readonly inputs: Uint8Array | Float32Array | Int32Array;
  /** Of a gathered batch: float32 for bytes. */
  readonly inputType: 'float32' | 'int32';
  readonly inputsScale: number;
  readonly inputSize: number;
  readonly inputShape: readonly number[];
  readonly targets: Float32Array | Int32Array;
  readonly targetSize: number;
  readonly targetShape: readonly number[];
  /** Not null in parts of a split: the arrays hold the whole set, and example i of this one is their row `rows[i]`. */
  readonly rows: Int32Array | null;
}

/** What all views of a set share; `length` is of all examples, to notice a buffer that was transferred to a worker since. */
type Storage = Omit<DatasetArrays, 'rows'>;

const storages = new WeakMap<Dataset, { storage: Storage; start: number; rows: Int32Array | null }>();

/**
 * The order of the examples in an epoch: a permutation of 0 … length − 1 from stream 3 of the seed.
 * @internal
 */
export function shuffledOrder(length: number, key: readonly [low: number, high: number], epoch: number): Int32Array {
  return translate(() => native.shuffle(length, key[0], key[1], epoch));
}

/** A set of examples in memory. `fit` makes it resident on the device; until then it refers to the arrays it was made from. */
export class Dataset {
  /** The number of examples, at least 1. */
  readonly length: number;
  /** The shape of one example's input. */
  readonly inputShape: readonly number[];

  private constructor(storage: Storage, start: number, length: number, rows: Int32Array | null) {
    this.length = length;
    this.inputShape = storage.inputShape;
    storages.set(this, { storage, start, rows });
    Object.freeze(this);
  }

  /**
   * Makes a set of n examples. It refers to the given arrays and copies nothing.
   *
   * @param inputs a float32 Tensor `[n, ...inputShape]`; or bytes, n · product(inputShape) of them, example after example, which become
   *   float32; or an int32 Tensor, for models of `inputType: 'int32'`
   * @param targets a float32 or int32 Tensor `[n, …]`; n ≥ 1 is taken from it
   * @param options the shape of one input and the scale of its elements
   * @throws PushforwardError SHAPE_MISMATCH where inputs, targets and inputShape do not fit each other, DTYPE_MISMATCH for other element
   *   types, INVALID_ARGUMENT for other kinds of arguments, no examples, or options that are unknown or out of their range
   */
  static from(inputs: Tensor | Uint8Array, targets: Tensor, options?: DatasetOptions): Dataset {
    const where = 'Dataset.from';
    const read = readOptions<DatasetOptions>(where, options, ['inputShape', 'scale']);
    const isBytes = inputs instanceof Uint8Array;
    if (!isBytes && !(inputs instanceof Tensor)) {
      const code = ArrayBuffer.isView(inputs) ? 'DTYPE_MISMATCH' : 'INVALID_ARGUMENT';
      throw new PushforwardError(code, where, 'inputs to be a Tensor or a Uint8Array', describe(inputs));
    }
    if (!(targets instanceof Tensor)) {
      throw new PushforwardError('INVALID_ARGUMENT', where, 'targets to be a Tensor', describe(targets));
    }
    const elements = isBytes ? ownMemory(inputs) : toTensor(where, 'inputs', inputs).data;
    if (elements instanceof Float64Array) {
      throw new PushforwardError('DTYPE_MISMATCH', where, 'inputs of float32, int32 or bytes', describe(inputs));
    }
    const labels = toTensor(where, 'targets', targets).data;
    if (labels instanceof Float64Array) {
      throw new PushforwardError('DTYPE_MISMATCH', where, 'targets of float32 or int32', describe(targets));
    }
    const [length, ...targetShape] = targets.shape;
    if (length === undefined || labels.length === 0) {
      const expected = 'targets of shape [n, …] with n of at least 1';
      throw new PushforwardError('INVALID_ARGUMENT', where, expected, describe(targets));
    }
    const inputShape = readInputShape(where, inputs, length, read.inputShape);
    const { scale = isBytes ? 1 / 255 : 1 } = read;
    assertFinite(where, 'scale', scale);
    if (Math.fround(scale) === 0 || !Number.isFinite(Math.fround(scale))) {
      throw new PushforwardError('INVALID_ARGUMENT', where, 'scale to be a float32 other than 0', describe(scale));
    }
    if (elements instanceof Int32Array && scale !== 1) {
      throw new PushforwardError('INVALID_ARGUMENT', where, 'no scale for int32 inputs', describe(scale));
    }
    const storage: Storage = {
      inputs: elements,
      inputType: elements instanceof Int32Array ? 'int32' : 'float32',
      inputsScale: Math.fround(scale),
      inputSize: sizeOf(inputShape),
      inputShape,
      targets: labels,
      targetSize: sizeOf(targetShape),
      targetShape: Object.freeze(targetShape),
      length,
    };
    return new Dataset(storage, 0, length, null);
  }

  /**
   * The examples `start` to `end − 1`, as a view: nothing is copied.
   * @param start an integer from 0 to length − 1
   * @param end an integer from start + 1 to length. Default: length
   * @throws PushforwardError INVALID_ARGUMENT for other numbers (they are not clamped, and do not count from the end)
   */
  slice(start: number, end: number = this.length): Dataset {
    assertInteger('Dataset.slice', 'start', start, 0, this.length - 1);
    assertInteger('Dataset.slice', 'end', end, start + 1, this.length);
    const { storage, start: from, rows } = partsOf(this);
    if (rows !== null) return new Dataset(storage, 0, end - start, rows.subarray(start, end));
    return new Dataset(storage, from + start, end - start, null);
  }

  /**
   * Two disjoint random parts with all examples, as views: the first of `round(fraction · length)`, the second of the rest. Each is in the
   * random order; the same seed gives the same parts on every machine.
   * @param fraction of the first part: a number in (0, 1) that leaves no part empty
   * @param seed of the order (Fisher–Yates over Philox4x32-10, stream 3, epoch 0). Default: 0
   * @throws PushforwardError INVALID_ARGUMENT
   */
  split(fraction: number, seed: Seed = 0): [Dataset, Dataset] {
    assertFinite('Dataset.split', 'fraction', fraction, { min: 0, max: 1, above: true, below: true });
    const key = assertSeed('Dataset.split', 'seed', seed);
    const first = Math.round(fraction * this.length);
    if (first === 0 || first === this.length) {
      const expected = `a fraction that leaves at least one of ${this.length} examples in each part`;
      throw new PushforwardError('INVALID_ARGUMENT', 'Dataset.split', expected, describe(fraction));
    }
    const { storage, start, rows } = partsOf(this);
    const order = shuffledOrder(this.length, key, 0).map((i) => (rows === null ? start + i : (rows[i] as number)));
    return [
      new Dataset(storage, 0, first, order.subarray(0, first)),
      new Dataset(storage, 0, this.length - first, order.subarray(first)),
    ];
  }

  /**
   * The set as batches in JavaScript memory, inputs `[B, ...inputShape]` (bytes as float32) and targets `[B, …]`: for a stream that changes them on
   * the way, `fit(() => augmented(set.batches({ batchSize: 64, seed, epoch })))`. `fit` with the set itself gathers natively and is faster.
   * @throws PushforwardError INVALID_ARGUMENT, at the call
   */
  batches(options: BatchesOptions): AsyncGenerator<TensorBatch, void, undefined> {
    const where = 'Dataset.batches';
    const names = ['batchSize', 'seed', 'epoch', 'lastBatch'] as const;
    const { batchSize, seed, epoch = 0, lastBatch = 'drop' } = readOptions<BatchesOptions>(where, options, names);
    assertInteger(where, 'batchSize', batchSize, 1, this.length);
    assertInteger(where, 'epoch', epoch, 0, 2 ** 32 - 1);
    if (lastBatch !== 'drop' && lastBatch !== 'keep') {
      throw new PushforwardError('INVALID_ARGUMENT', where, "lastBatch to be 'drop' or 'keep'", describe(lastBatch));
    }
    const key = seed === undefined ? undefined : assertSeed(where, 'seed', seed);
    return generate(this, batchSize, key, epoch, lastBatch);
  }
}

describeAs(Dataset.prototype, (dataset) => {
  return `a Dataset of ${dataset.length} examples of shape ${describeShape(dataset.inputShape)}`;
});

function partsOf(dataset: Dataset): { storage: Storage; start: number; rows: Int32Array | null } {
  const parts = storages.get(dataset);
  if (parts !== undefined) return parts;
  throw new PushforwardError('INVALID_ARGUMENT', 'Dataset', 'a set made by Dataset.from', describe(dataset));
}

function readInputShape(
  where: string,
  inputs: Tensor | Uint8Array,
  length: number,
  wanted: unknown,
): readonly number[] {
  if (inputs instanceof Tensor && inputs.shape[0] !== length) {
    const expected = `inputs of shape [${length}, …], as there are ${length} targets,`;
    throw new PushforwardError('SHAPE_MISMATCH', where, expected, describe(inputs));
  }
  const elements = inputs instanceof Tensor ? inputs.data.length : inputs.length;
  if (wanted !== undefined) {
    const shape = assertShape(where, 'inputShape', wanted, 1);
    if (shape.length > 7) {
      throw new PushforwardError('INVALID_ARGUMENT', where, 'inputShape to have at most 7 sizes', describe(wanted));
    }
    if (sizeOf(shape) * length === elements) return shape;
    const expected = `${sizeOf(shape) * length} input elements, ${length} examples of shape ${describeShape(shape)},`;
    throw new PushforwardError('SHAPE_MISMATCH', where, expected, describe(inputs));
  }
  if (elements === 0 || elements % length !== 0) {
    const expected = `inputs that ${length} examples share, as there are ${length} targets,`;
    throw new PushforwardError('SHAPE_MISMATCH', where, expected, describe(inputs));
  }
  return Object.freeze(inputs instanceof Tensor ? inputs.shape.slice(1) : [elements / length]);
}

/**
 * The arrays of a set. Throws INVALID_ARGUMENT where they were transferred to a worker since the set was made.
 * @internal
 */
export function datasetArrays(where: string, dataset: Dataset): DatasetArrays {
  const { storage, start, rows } = partsOf(dataset);
  const { inputs, inputSize, targets, targetSize } = storage;
  if (inputs.length !== storage.length * inputSize || targets.length !== storage.length * targetSize) {
    const expected = `a Dataset with its ${storage.length} examples in memory`;
    throw new PushforwardError('INVALID_ARGUMENT', where, expected, 'one whose buffer was transferred');
  }
  if (rows !== null) return { ...storage, length: dataset.length, rows };
  const end = start + dataset.length;
  return {
    ...storage,
    length: dataset.length,
    inputs: inputs.subarray(start * inputSize, end * inputSize),
    targets: targets.subarray(start * targetSize, end * targetSize),
    rows,
  };
}

function gather<T extends Uint8Array | Float32Array | Int32Array>(
  where: string,
  from: T,
  size: number,
  rows: Int32Array,
): T {
  const Kind = from.constructor as new (length: number) => T;
  // A Buffer given for bytes makes a Buffer without going through its constructor, which is deprecated.
  const to = allocate(where, `${rows.length} examples`, () =>
    from instanceof Uint8Array ? (new Uint8Array(rows.length * size) as T) : new Kind(rows.length * size),
  );
  for (let i = 0; i < rows.length; i++) {
    const row = (rows[i] as number) * size;
    to.set(from.subarray(row, row + size), i * size);
  }
  return to;
}

/**
 * The arrays of a set in its own order, `rows` being null: parts of a split are copied, everything else is a view.
 * @internal
 */
export function contiguousArrays(where: string, dataset: Dataset): DatasetArrays & { readonly rows: null } {
  const arrays = datasetArrays(where, dataset);
  const { inputs, inputSize, targets, targetSize, rows } = arrays;
  if (rows === null) return { ...arrays, rows };
  return {
    ...arrays,
    inputs: gather(where, inputs, inputSize, rows),
    targets: gather(where, targets, targetSize, rows),
    rows: null,
  };
}

/**
 * A batch gathered in JavaScript, element by element: what the native gather must give bit for bit (one float32 product per element).
 * @param examples ordinals in the set, each from 0 to length − 1
 * @internal
 */
export function gatherBatch(dataset: Dataset, examples: ArrayLike<number>): TensorBatch {
  const { inputs, inputType, inputsScale, inputSize, inputShape, targets, targetSize, targetShape, rows } =
    datasetArrays('Dataset.batches', dataset);
  const count = examples.length;
  const gathered = inputType === 'int32' ? new Int32Array(count * inputSize) : new Float32Array(count * inputSize);
  const labels =
    targets instanceof Int32Array ? new Int32Array(count * targetSize) : new Float32Array(count * targetSize);
  for (let i = 0; i < count; i++) {
    const example = examples[i] as number;
    const row = rows === null ? example : (rows[example] as number);
    for (let j = 0; j < inputSize; j++)
      gathered[i * inputSize + j] = (inputs[row * inputSize + j] as number) * inputsScale;
    for (let j = 0; j < targetSize; j++) labels[i * targetSize + j] = targets[row * targetSize + j] as number;
  }
  return {
    inputs: Tensor.of(gathered, [count, ...inputShape]),
    targets: Tensor.of(labels, [count, ...targetShape]),
  };
}

async function* generate(
  dataset: Dataset,
  batchSize: number,
  key: readonly [number, number] | undefined,
  epoch: number,
  lastBatch: 'drop' | 'keep',
): AsyncGenerator<TensorBatch, void, undefined> {
  const order = key
    ? shuffledOrder(dataset.length, key, epoch)
    : Int32Array.from({ length: dataset.length }, (_, i) => i);
  const end = lastBatch === 'keep' ? order.length : order.length - (order.length % batchSize);
  for (let i = 0; i < end; i += batchSize) yield gatherBatch(dataset, order.subarray(i, i + batchSize));
}
