// R_f and R_b of the paper: the time of a full training step (sampling and update included) over that of the bare forward pass, both in
// the same session and interleaved, so that a change of the machine's speed strikes both.
import { forwardGradient, type GradientEstimator } from '../src/estimators/gradient.ts';
import type { NativePlan, NativeSession } from '../src/native.ts';
import { type Model, nn } from '../src/nn/index.ts';
import { ops } from '../src/ops/index.ts';
import { sgd } from '../src/optimizers.ts';
import { openSession, type RunOptions, toTarget } from '../src/plan/engine.ts';
import { lowRank } from '../src/samplers.ts';
import { encodeProgram } from '../src/trace/encode.ts';
import { evaluationProgram, type ModelOptions, modelProgram, trainingProgram } from '../src/trainer/programs.ts';
import { initialisationProgram, type KnownEstimator, type KnownOptimizer } from '../src/trainer/training_program.ts';
import { traceContext } from '../src/transforms/execute.ts';

/** One estimator's figure. */
export interface Ratio {
  readonly name: string;
  /** Median over rounds of step time / forward time. */
  readonly ratio: number;
  /** Median of a step. */
  readonly milliseconds: number;
  readonly least: number;
  /** Median of the bare forward pass. */
  readonly forwardMilliseconds: number;
  readonly forwardLeast: number;
}

/** The middle value. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[sorted.length >> 1] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[(sorted.length >> 1) - 1] as number) + upper) / 2;
}

/** The median of x / y, pair by pair. */
export function medianRatio(x: readonly number[], y: readonly number[]): number {
  return median(x.map((value, i) => value / (y[i] as number)));
}

/** The least: of a machine whose cores have neighbours, the time without them. */
export const least = (values: readonly number[]): number => Math.min(...values);

/** Something to time: milliseconds of one of n repetitions. */
export type Timed = (n: number) => Promise<number>;

/** `rounds` times of each, in turns, after a turn that does not count: a change of the machine's speed strikes all. */
export async function interleaved(timed: readonly Timed[], rounds: number, repetitions: number): Promise<number[][]> {
  const times: number[][] = timed.map(() => []);
  for (const run of timed) await run(repetitions);
  for (let round = 0; round < rounds; round++) {
    for (const [i, run] of timed.entries()) times[i]?.push(await run(repetitions));
  }
  return times;
}

/** The least milliseconds that a step of the plan can take: the sum of describe(). */
export function floorOf(plan: NativePlan): number {
  return Number(/^ +total .*\s([\d.e+-]+)$/m.exec(plan.describe())?.[1] ?? Number.NaN) / 1000;
}

/** The paper's MLP. */
export function mlp(): Model {
  return nn.sequential(nn.dense(1024, { activation: 'relu' }), nn.dense(1024, { activation: 'relu' }), nn.dense(10));
}

/** A model's plans on random inputs: its forward pass, and a training step per estimator. */
export interface TimedPlans {
  readonly session: NativeSession;
  readonly forward: NativePlan;
  readonly steps: ReadonlyMap<string, NativePlan>;
  /** Milliseconds of one step of a plan, in a call of n. */
  time(plan: NativePlan, n: number): Promise<number>;
}

/** What a model is trained for: class labels, or outputs of the given shape. */
export interface Objective {
  readonly loss: ModelOptions['loss'];
  readonly targetShape?: readonly number[];
}

/** A training step: by a gradient estimator alone, or with updates that wait (sgd's mergeEvery): then time calls of so many steps. */
export type TimedStep = GradientEstimator | { readonly gradient: GradientEstimator; readonly mergeEvery: number };

/** Steps of small batches whose updates wait: for calls of 8 steps. */
export const waiting: Readonly<Record<string, TimedStep>> = {
  'rank one, merged every 8 steps': { gradient: forwardGradient({ sampler: lowRank({ rank: 1 }) }), mergeEvery: 8 },
};

const classes: Objective = { loss: ops.softmaxCrossEntropy };

/**
 * Compiles everything that will be timed. Inputs are uniform in (0, 1), labels i mod 10 (other targets uniform too), the learning
 * rate 1e-6.
 */
export async function timedPlans(
  model: Model,
  inputShape: readonly number[],
  batchSize: number,
  estimators: Readonly<Record<string, TimedStep>>,
  options: RunOptions = {},
  { loss, targetShape }: Objective = classes,
): Promise<TimedPlans> {
  const target = toTarget('bench', options);
  const session = openSession(target);
  const modelOptions: ModelOptions = { model, loss, inputShape, inputType: 'float32' };
  const targetType = targetShape === undefined ? 'int32' : 'float32';
  const form = { targetShape: targetShape ?? [], targetType } as const;
  const context = traceContext(target, true);
  const { declared } = modelProgram(modelOptions, context, batchSize);
  const compile = (graph: Parameters<typeof encodeProgram>[0]): NativePlan =>
    session.compile(encodeProgram(graph), target.fuse);
  const random = { keyLow: 1, keyHigh: 0, firstStep: 0 };
  await compile(initialisationProgram(context, declared)).run({ ...random, inputs: [], steps: 1 });
  const forward = compile(evaluationProgram(modelOptions, context, batchSize, form));
  const steps = new Map(
    Object.entries(estimators).map(([name, step]) => {
      const { gradient, mergeEvery } = 'gradient' in step ? step : { gradient: step, mergeEvery: 1 };
      const optimizer = sgd({ learningRate: 1e-6, mergeEvery }) as KnownOptimizer;
      const program = trainingProgram(modelOptions, context, batchSize, form, gradient as KnownEstimator, optimizer);
      return [name, compile(program)];
    }),
  );
  const uniform = (shape: readonly number[]): Float32Array =>
    Float32Array.from({ length: shape.reduce((product, axis) => product * axis, batchSize) }, Math.random);
  const labels = (): Int32Array => Int32Array.from({ length: batchSize }, (_, i) => i % 10);
  const inputs = [uniform(inputShape), targetShape === undefined ? labels() : uniform(targetShape)];
  const time = async (plan: NativePlan, n: number): Promise<number> => {
    const rates = new Float64Array(n).fill(1e-6);
    const result = await plan.run({ ...random, inputs, steps: n, rates });
    return result.milliseconds / n;
  };
  return { session, forward, steps, time };
}

/** Ratios of all estimators from `rounds` interleaved rounds. */
export async function measureRatios(
  { forward, steps, time }: TimedPlans,
  rounds = 15,
  callsPerRound = 5,
): Promise<Ratio[]> {
  const names = [...steps.keys()];
  const timed = [forward, ...steps.values()].map(
    (plan): Timed =>
      (n) =>
        time(plan, n),
  );
  const [bare = [], ...times] = await interleaved(timed, rounds, callsPerRound);
  return names.map((name, i) => ({
    name,
    ratio: medianRatio(times[i] ?? [], bare),
    milliseconds: median(times[i] ?? []),
    least: least(times[i] ?? []),
    forwardMilliseconds: median(bare),
    forwardLeast: least(bare),
  }));
}
