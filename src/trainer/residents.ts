// Datasets in native memory: copied once per trainer, bytes as bytes.
import { contiguousArrays, type Dataset } from '../data/dataset.ts';
import { describeShape, PushforwardError } from '../errors.ts';
import type { NativeResident } from '../native.ts';
import { type Engine, translate } from '../plan/engine.ts';
import { sizeOf } from '../tensor.ts';
import type { TargetForm } from './core.ts';

/** A resident set and what its targets look like. */
export interface ResidentSet {
  readonly resident: NativeResident;
  readonly form: TargetForm;
}

const residents = new WeakMap<Engine, WeakMap<Dataset, ResidentSet>>();

/** The set in the engine's memory, whose examples have as many elements as the model's inputs; SHAPE_MISMATCH or DTYPE_MISMATCH when its examples do not fit the model. */
export function residentSet(
  where: string,
  engine: Engine,
  dataset: Dataset,
  inputShape: readonly number[],
  inputType: 'float32' | 'int32',
): ResidentSet {
  let known = residents.get(engine);
  if (known === undefined) {
    known = new WeakMap();
    residents.set(engine, known);
  }
  const found = known.get(dataset);
  if (found !== undefined) return found;
  const arrays = contiguousArrays(where, dataset);
  if (arrays.inputSize !== sizeOf(inputShape)) {
    throw new PushforwardError(
      'SHAPE_MISMATCH',
      where,
      `examples of shape ${describeShape(inputShape)}`,
      describeShape(arrays.inputShape),
    );
  }
  if (arrays.inputType !== inputType) {
    throw new PushforwardError('DTYPE_MISMATCH', where, `inputs of ${inputType}`, arrays.inputType);
  }
  const columns = [
    { data: arrays.inputs, size: arrays.inputSize, scale: arrays.inputsScale },
    { data: arrays.targets, size: arrays.targetSize, scale: 1 },
  ];
  const made = {
    resident: translate(() => engine.session.resident(columns, arrays.length)),
    form: { targetShape: arrays.targetShape, targetType: arrays.targets instanceof Int32Array ? 'int32' : 'float32' },
  } as const;
  known.set(dataset, made);
  return made;
}
