// What the modules of the trainer share: the trainer as they see it, and the types of its results.
import type { BatchForm, CheckedBatch } from '../data/batches.ts';
import type { NativeArray, NativePlan, NativeResident } from '../native.ts';
import type { Engine, Target } from '../plan/engine.ts';
import type { Value } from '../trace/value.ts';

/** One loss per example, [B]; the batch loss is their mean. `ops.softmaxCrossEntropy` is one. */
export type Loss = (output: Value, target: Value) => Value;

/** The shape, without the batch axis, and the type of the targets. */
export interface TargetForm {
  readonly targetShape: readonly number[];
  readonly targetType: 'float32' | 'int32';
}

/** What one training step gives. */
export interface StepResult {
  /** The step's number, from 0. */
  step: number;
  /** The batch loss before the update; of a model in blocks, that of its output. */
  loss: number;
  /** The losses of `nn.block`'s heads, block by block and group by group; absent where the model has none. */
  localLosses?: number[];
  /**
   * c_k = ∇f·v_k, one per direction; absent under backprop. With local losses, those of the model's output first, then as many for each of
   * `localLosses`.
   */
  directionalDerivatives?: number[];
}

/** What the modules of the trainer share. @internal */
export interface TrainerCore {
  readonly target: Target;
  readonly engine: Engine;
  readonly key: readonly [low: number, high: number];
  readonly steps: number;
  /** Steps from one merge of updates that wait to the next. */
  readonly mergeEvery: number;
  nextEpoch(): number;
  checkedBatch(where: string, batch: unknown, name?: string): CheckedBatch;
  trainingPlan(size: number, form: TargetForm): NativePlan;
  evaluationPlan(size: number, form: TargetForm): NativePlan;
  takeSteps(where: string, plan: NativePlan, request: StepsRequest): Promise<StepResult[]>;
  /** Runs in order with every other call, and rejects with DISPOSED once the trainer is. */
  enqueue<T>(where: string, task: () => Promise<T>): Promise<T>;
  readonly inputShape: readonly number[];
  readonly inputType: 'float32' | 'int32';
  readonly batchForm: BatchForm;
}

/** Some steps in one native call. @internal */
export interface StepsRequest {
  readonly steps: number;
  /** 'staged': a batch that the plan has copied already; a copy in JavaScript would wait for the collector. */
  readonly inputs: readonly (NativeArray | null)[] | 'staged';
  readonly resident?: NativeResident;
  readonly indices?: Int32Array;
  readonly signal?: AbortSignal | undefined;
}
