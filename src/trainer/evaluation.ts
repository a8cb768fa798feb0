// Evaluation: losses and outputs of whole sources, batch by batch.
import { type DataSource, readStream } from '../data/batches.ts';
import { contiguousArrays, Dataset } from '../data/dataset.ts';
import type { NativeArray } from '../native.ts';
import { aborted, runPlan } from '../plan/engine.ts';
import type { TargetForm, TrainerCore } from './core.ts';
import { residentSet } from './residents.ts';

/** What an evaluation gives. */
export interface Evaluation {
  /** The mean loss over all examples. */
  loss: number;
  /** `accuracy`, the share of examples whose largest output is the label's, where targets are int32 and outputs [B, classes]. */
  metrics: Record<string, number>;
}

interface Sums {
  examples: number;
  loss: number;
  correct: number;
  labelled: boolean;
}

/** Adds a batch's losses [B] and outputs [B, classes]. */
function add(sums: Sums, losses: NativeArray, output: NativeArray, labels: ArrayLike<number> | undefined): void {
  const size = losses.length;
  sums.examples += size;
  for (const loss of losses) sums.loss += loss;
  if (labels === undefined) {
    sums.labelled = false;
    return;
  }
  const classes = output.length / size;
  for (let i = 0; i < size; i++) {
    let best = 0;
    for (let j = 1; j < classes; j++) {
      if ((output[i * classes + j] as number) > (output[i * classes + best] as number)) best = j;
    }
    if (best === labels[i]) sums.correct++;
  }
}

function finish({ examples, loss, correct, labelled }: Sums): Evaluation {
  return { loss: loss / examples, metrics: labelled ? { accuracy: correct / examples } : {} };
}

/** Labels are metrics' business when they are one int32 per example. */
function isLabelled({ targetShape, targetType }: TargetForm): boolean {
  return targetType === 'int32' && targetShape.length === 0;
}

/** Evaluates a source; each batch is a turn in the trainer's queue. */
export async function evaluateSource(
  core: TrainerCore,
  where: string,
  data: DataSource,
  batchSize: number,
  signal: AbortSignal | undefined,
): Promise<Evaluation> {
  const sums: Sums = { examples: 0, loss: 0, correct: 0, labelled: true };
  const key = { keyLow: core.key[0], keyHigh: core.key[1], firstStep: 0, steps: 1 };
  if (data instanceof Dataset) {
    const { resident, form } = residentSet(where, core.engine, data, core.inputShape, core.inputType);
    const labels = isLabelled(form) ? (contiguousArrays(where, data).targets as Int32Array) : undefined;
    for (let start = 0; start < data.length; start += batchSize) {
      const size = Math.min(batchSize, data.length - start);
      const indices = Int32Array.from({ length: size }, (_, i) => start + i);
      const plan = core.evaluationPlan(size, form);
      const request = { ...key, inputs: [null, null], resident, indices };
      const { outputs } = await core.enqueue(where, () => runPlan(where, plan, request, signal));
      add(sums, outputs[0] as NativeArray, outputs[1] as NativeArray, labels?.subarray(start, start + size));
    }
    return finish(sums);
  }
  for await (const batch of readStream(where, 'data', data, core.batchForm)) {
    if (signal?.aborted) throw aborted(where);
    const target: TargetForm = {
      targetShape: batch.targets.shape.slice(1),
      targetType: batch.targets.dtype === 'int32' ? 'int32' : 'float32',
    };
    const plan = core.evaluationPlan(batch.size, target);
    const request = { ...key, inputs: [batch.inputs.data.slice(), batch.targets.data.slice()] as NativeArray[] };
    const { outputs } = await core.enqueue(where, () => runPlan(where, plan, request, signal));
    add(
      sums,
      outputs[0] as NativeArray,
      outputs[1] as NativeArray,
      isLabelled(target) ? batch.targets.data : undefined,
    );
  }
  return finish(sums);
}
