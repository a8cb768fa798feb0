// R_f and R_b of the paper: the time of a full training step (sampling and update included) over that of the bare forward pass, both in
// the same session and interleaved, so that a change of the machine's speed strikes both.
import type { GradientEstimator } from '../src/estimators/gradient.ts';
import type { NativePlan, NativeSession } from '../src/native.ts';
import { type Model, nn } from '../src/nn/index.ts';
import { ops } from '../src/ops/index.ts';
import { sgd } from '../src/optimizers.ts';
import { openSession, type RunOptions, toTarget } from '../src/plan/engine.ts';
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
  /** Median of the bare forward pass. */
  readonly forwardMilliseconds: number;
}

/** The middle value. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[sorted.length >> 1] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[(sorted.length >> 1) - 1] as number) + upper) / 2;
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

/** Compiles everything that will be timed. Inputs are uniform in (0, 1), labels i mod 10, the learning rate 1e-6. */
export async function timedPlans(
  model: Model,
  inputShape: readonly number[],
  batchSize: number,
  estimators: Readonly<Record<string, GradientEstimator>>,
  options: RunOptions = {},
): Promise<TimedPlans> {
  const target = toTarget('bench', options);
  const session = openSession(target);
  const modelOptions: ModelOptions = { model, loss: ops.softmaxCrossEntropy, inputShape, inputType: 'float32' };
  const form = { targetShape: [], targetType: 'int32' } as const;
  const context = traceContext(target, true);
  const { declared } = modelProgram(modelOptions, context, batchSize);
  const compile = (graph: Parameters<typeof encodeProgram>[0]): NativePlan =>
    session.compile(encodeProgram(graph), target.fuse);
  const random = { keyLow: 1, keyHigh: 0, firstStep: 0 };
  await compile(initialisationProgram(context, declared)).run({ ...random, inputs: [], steps: 1 });
  const forward = compile(evaluationProgram(modelOptions, context, batchSize, form));
  const optimizer = sgd({ learningRate: 1e-6 }) as KnownOptimizer;
  const steps = new Map(
    Object.entries(estimators).map(([name, gradient]) => [
      name,
      compile(trainingProgram(modelOptions, context, batchSize, form, gradient as KnownEstimator, optimizer)),
    ]),
  );
  const size = batchSize * inputShape.reduce((product, axis) => product * axis, 1);
  const x = Float32Array.from({ length: size }, Math.random);
  const labels = Int32Array.from({ length: batchSize }, (_, i) => i % 10);
  const time = async (plan: NativePlan, n: number): Promise<number> => {
    const rates = new Float64Array(n).fill(1e-6);
    const result = await plan.run({ ...random, inputs: [x, labels], steps: n, rates });
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
  const forwards: number[] = [];
  const times = new Map([...steps.keys()].map((name) => [name, [] as number[]]));
  const ratios = new Map([...steps.keys()].map((name) => [name, [] as number[]]));
  await time(forward, callsPerRound);
  for (const plan of steps.values()) await time(plan, callsPerRound);
  for (let round = 0; round < rounds; round++) {
    const bare = await time(forward, callsPerRound);
    forwards.push(bare);
    for (const [name, plan] of steps) {
      const step = await time(plan, callsPerRound);
      times.get(name)?.push(step);
      ratios.get(name)?.push(step / bare);
    }
  }
  return [...steps.keys()].map((name) => ({
    name,
    ratio: median(ratios.get(name) ?? []),
    milliseconds: median(times.get(name) ?? []),
    forwardMilliseconds: median(forwards),
  }));
}
