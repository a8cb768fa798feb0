// Batches that a program's user streams in: what a batch must be, and what an epoch's source must be.
import { describe, describeShape, isPlainObject, PushforwardError } from '../errors.ts';
import { type DType, sameShape, type Tensor, toTensor } from '../tensor.ts';
import { type Batch, Dataset } from './dataset.ts';

/** Where training and evaluation take their examples from: a set, or a function, so that every epoch can start the stream again. */
export type DataSource = Dataset | (() => AsyncIterable<Batch>);

/**
 * What the batches of a call must be. Fields left out are not checked.
 * @internal
 */
export interface BatchForm {
  /** Of one example, without the batch axis. */
  readonly inputShape: readonly number[];
  readonly inputType: DType;
  /** Of one example. */
  readonly targetShape?: readonly number[];
  readonly targetType?: DType;
  /** Whether float64 counts as float32: on `reference`. Default: false */
  readonly double?: boolean;
}

/**
 * A batch whose parts are Tensors with the same number of examples.
 * @internal
 */
export interface CheckedBatch {
  readonly size: number;
  readonly inputs: Tensor;
  readonly targets: Tensor;
}

/**
 * Requires examples [B, …shape] of one type; with `double`, float64 counts as float32. Throws INVALID_ARGUMENT, SHAPE_MISMATCH or DTYPE_MISMATCH.
 * @internal
 */
export function checkLeaf(
  where: string,
  name: string,
  leaf: unknown,
  shape: readonly number[] | undefined,
  dtype: DType | undefined,
  double: boolean,
): Tensor {
  const found = toTensor(where, name, leaf);
  const wanted = shape === undefined ? '[B, …]' : describeShape(['B' as never, ...shape]);
  const [size] = found.shape;
  if (size === undefined || (shape !== undefined && !sameShape(found.shape.slice(1), shape))) {
    throw new PushforwardError('SHAPE_MISMATCH', where, `${name} of shape ${wanted}`, describe(found));
  }
  if (found.data.length === 0) {
    throw new PushforwardError('SHAPE_MISMATCH', where, `${name} of at least one example`, describe(found));
  }
  const kind = double && found.dtype === 'float64' ? 'float32' : found.dtype;
  if (kind === 'float64' || (dtype !== undefined && kind !== dtype)) {
    throw new PushforwardError('DTYPE_MISMATCH', where, `${name} of ${dtype ?? 'float32 or int32'}`, describe(found));
  }
  return found;
}

/**
 * Requires a batch of a form. Throws INVALID_ARGUMENT, SHAPE_MISMATCH or DTYPE_MISMATCH.
 * @param name what the sentence calls the batch: `batch 3`
 * @internal
 */
export function checkBatch(where: string, batch: unknown, form: BatchForm, name = 'batch'): CheckedBatch {
  if (!isPlainObject(batch) || !Object.hasOwn(batch, 'inputs') || !Object.hasOwn(batch, 'targets')) {
    const expected = `${name} to be an object with inputs and targets`;
    throw new PushforwardError('INVALID_ARGUMENT', where, expected, describe(batch));
  }
  const inputs = checkLeaf(
    where,
    `${name}.inputs`,
    batch.inputs,
    form.inputShape,
    form.inputType,
    form.double ?? false,
  );
  const targets = checkLeaf(
    where,
    `${name}.targets`,
    batch.targets,
    form.targetShape,
    form.targetType,
    form.double ?? false,
  );
  const size = inputs.shape[0] as number;
  if (targets.shape[0] !== size) {
    const expected = `${name}.targets to have ${size} examples, as ${name}.inputs has,`;
    throw new PushforwardError('SHAPE_MISMATCH', where, expected, describe(targets));
  }
  return { size, inputs, targets };
}

/**
 * Requires a Dataset or a function. Throws INVALID_ARGUMENT; a stream that is given itself is told to come as a function.
 * @internal
 */
export function assertSource(where: string, name: string, source: unknown): asserts source is DataSource {
  if (source instanceof Dataset || typeof source === 'function') return;
  const isStream = typeof source === 'object' && source !== null && Symbol.asyncIterator in source;
  const received = isStream ? `the stream itself, ${describe(source)}: it ends after one epoch` : describe(source);
  const expected = `${name} to be a Dataset or a function that returns an AsyncIterable of batches`;
  throw new PushforwardError('INVALID_ARGUMENT', where, expected, received);
}

/**
 * Starts a stream of one epoch. What the function throws passes through as it is.
 * @internal
 */
export function openStream(where: string, name: string, source: () => AsyncIterable<Batch>): AsyncIterable<unknown> {
  const stream: unknown = source();
  if (typeof stream === 'object' && stream !== null) {
    if (typeof (stream as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator] === 'function') {
      return stream as AsyncIterable<unknown>;
    }
    // A refused promise must not end the process as an unhandled rejection.
    if (stream instanceof Promise) stream.catch(() => undefined);
  }
  throw new PushforwardError(
    'INVALID_ARGUMENT',
    where,
    `${name} to return an AsyncIterable of batches`,
    describe(stream),
  );
}

/**
 * The checked batches of one epoch. Throws INVALID_ARGUMENT for a source that returns no AsyncIterable, a stream without batches, or a
 * value that is no batch; SHAPE_MISMATCH and DTYPE_MISMATCH for a batch of another form. The stream is closed whatever ends the loop.
 * @internal
 */
export async function* readStream(
  where: string,
  name: string,
  source: () => AsyncIterable<Batch>,
  form: BatchForm,
): AsyncGenerator<CheckedBatch, void, undefined> {
  let count = 0;
  for await (const batch of openStream(where, name, source)) {
    yield checkBatch(where, batch, form, `batch ${count}`);
    count++;
  }
  if (count === 0) {
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      where,
      `${name} to give at least one batch`,
      'a stream that ended at once',
    );
  }
}
