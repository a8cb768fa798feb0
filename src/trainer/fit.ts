// fit: epochs of steps, as many in one native call as take about 20 ms, so that other calls are served in between.
import { assertSource, type DataSource, readStream } from '../data/batches.ts';
import { Dataset, shuffledOrder } from '../data/dataset.ts';
import { assertFunction, assertInteger, assertSignal, describe, PushforwardError, readOptions } from '../errors.ts';
import type { NativeArray } from '../native.ts';
import { translate } from '../plan/engine.ts';
import type { StepResult, TrainerCore } from './core.ts';
import { type Evaluation, evaluateSource } from './evaluation.ts';
import { residentSet } from './residents.ts';

/** Progress of {@link Trainer.fit}: the last step of a native call, or of an epoch. */
export interface FitEvent extends StepResult {
  /** Epochs of this fit that came before, from 0. */
  epoch: number;
  /** Of the steps since the last event. */
  examplesPerSecond: number;
  /** Of an epoch's last event, where `validation` was given. */
  validation?: Evaluation;
}

/** Options of {@link Trainer.fit}. */
export interface FitOptions {
  /** Passes over the data, at least 1. */
  epochs: number;
  /** Examples of a step; a stream brings its own sizes, and ignores it. */
  batchSize: number;
  /** What becomes of a last batch of fewer examples. Default: 'drop' */
  lastBatch?: 'drop' | 'keep';
  /** Evaluated after each epoch. */
  validation?: DataSource;
  /** Ends after the step in flight; fit resolves with `aborted: true`. */
  signal?: AbortSignal;
  /** Called after every native call and every epoch. What it throws ends the training and rejects fit. */
  onProgress?: (event: FitEvent) => void;
}

const millisecondsPerCall = 20;

interface Fit {
  readonly core: TrainerCore;
  readonly where: string;
  readonly batchSize: number;
  readonly lastBatch: 'drop' | 'keep';
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((event: FitEvent) => void) | undefined;
  epoch: number;
  last: FitEvent | undefined;
}

/** Checks the options of fit. @internal */
export function readFitOptions(where: string, options: unknown): FitOptions {
  const names = ['epochs', 'batchSize', 'lastBatch', 'validation', 'signal', 'onProgress'] as const;
  const {
    epochs,
    batchSize,
    lastBatch = 'drop',
    validation,
    signal,
    onProgress,
  } = readOptions<FitOptions>(where, options, names);
  assertInteger(where, 'epochs', epochs, 1, 2 ** 31 - 1);
  assertInteger(where, 'batchSize', batchSize, 1, 2 ** 31 - 1);
  if (lastBatch !== 'drop' && lastBatch !== 'keep') {
    throw new PushforwardError('INVALID_ARGUMENT', where, "lastBatch to be 'drop' or 'keep'", describe(lastBatch));
  }
  if (validation !== undefined) assertSource(where, 'validation', validation);
  assertSignal(where, signal);
  if (onProgress !== undefined) assertFunction(where, 'onProgress', onProgress);
  return { epochs, batchSize, lastBatch, validation, signal, onProgress } as FitOptions;
}

function report(fit: Fit, results: readonly StepResult[], examples: number, start: number): void {
  const result = results.at(-1);
  if (result === undefined) return;
  const examplesPerSecond = examples / Math.max(1e-9, (performance.now() - start) / 1000);
  fit.last = { ...result, epoch: fit.epoch, examplesPerSecond };
  fit.onProgress?.(fit.last);
}

/** Trains on a source for some epochs. */
export async function fitSource(
  core: TrainerCore,
  where: string,
  data: DataSource,
  options: FitOptions,
): Promise<{ steps: number; epochs: FitEvent[]; aborted: boolean }> {
  const { epochs, batchSize, lastBatch = 'drop', validation, signal, onProgress } = readFitOptions(where, options);
  const fit: Fit = { core, where, batchSize, lastBatch, signal, onProgress, epoch: 0, last: undefined };
  const first = core.steps;
  const events: FitEvent[] = [];
  while (fit.epoch < epochs && !signal?.aborted) {
    const order = core.nextEpoch();
    if (data instanceof Dataset) await fitDataset(fit, data, order);
    else await fitStream(fit, data);
    if (signal?.aborted) break;
    let event = fit.last as FitEvent;
    if (validation !== undefined) {
      event = {
        ...event,
        validation: await evaluateSource(core, where, validation, Math.max(batchSize, 256), undefined),
      };
      onProgress?.(event);
    }
    events.push(event);
    fit.epoch++;
  }
  return { steps: core.steps - first, epochs: events, aborted: signal?.aborted ?? false };
}

async function fitDataset(fit: Fit, data: Dataset, epoch: number): Promise<void> {
  const { core, where, batchSize } = fit;
  const { resident, form } = residentSet(where, core.engine, data, core.inputShape, core.inputType);
  const whole = Math.floor(data.length / batchSize);
  const rest = fit.lastBatch === 'keep' ? data.length % batchSize : 0;
  if (whole + rest === 0) {
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      where,
      `a batchSize of at most the ${data.length} examples`,
      String(batchSize),
    );
  }
  const order = shuffledOrder(data.length, core.key, epoch);
  const plan = core.trainingPlan(batchSize, form);
  let chunk = 1;
  for (let step = 0; step < whole && !fit.signal?.aborted; ) {
    // A call merges at its end: it ends where updates are merged anyway, or its length, a matter of time, would change bits.
    const end = Math.ceil((core.steps + chunk) / core.mergeEvery) * core.mergeEvery;
    const steps = Math.min(end - core.steps, whole - step);
    const indices = order.slice(step * batchSize, (step + steps) * batchSize);
    const start = performance.now();
    const results = await core.enqueue(where, () =>
      core.takeSteps(where, plan, { steps, inputs: [null, null], resident, indices }),
    );
    const elapsed = performance.now() - start;
    chunk = Math.max(1, Math.min(4096, Math.floor((steps * millisecondsPerCall) / Math.max(elapsed, 0.01))));
    step += steps;
    report(fit, results, steps * batchSize, start);
  }
  if (rest > 0 && !fit.signal?.aborted) {
    const indices = order.slice(whole * batchSize);
    const last = core.trainingPlan(rest, form);
    const start = performance.now();
    const results = await core.enqueue(where, () =>
      core.takeSteps(where, last, { steps: 1, inputs: [null, null], resident, indices }),
    );
    report(fit, results, rest, start);
  }
}

async function fitStream(fit: Fit, data: Exclude<DataSource, Dataset>): Promise<void> {
  const { core, where } = fit;
  for await (const batch of readStream(where, 'data', data, core.batchForm)) {
    if (fit.signal?.aborted) return;
    const target = {
      targetShape: batch.targets.shape.slice(1),
      targetType: batch.targets.dtype === 'int32' ? 'int32' : 'float32',
    } as const;
    const plan = core.trainingPlan(batch.size, target);
    translate(() => plan.stage([batch.inputs.data, batch.targets.data] as NativeArray[]));
    const start = performance.now();
    const results = await core.enqueue(where, () => core.takeSteps(where, plan, { steps: 1, inputs: 'staged' }));
    report(fit, results, batch.size, start);
  }
}
