// 100 layers of 1024 × 1024 without bias, relu, He-initialised, mean square loss: what depth costs in time (npm run bench -- deep 64 1024),
// in memory (-- deep memory), and when activations and cotangents shrink below the normal range (-- deep denormals).
import { backprop, forwardGradient, type GradientEstimator } from '../src/estimators/gradient.ts';
import { type Model, nn } from '../src/nn/index.ts';
import { ops } from '../src/ops/index.ts';
import { lowRank } from '../src/samplers.ts';
import {
  floorOf,
  interleaved,
  least,
  median,
  medianRatio,
  type Objective,
  type Timed,
  type TimedPlans,
  type TimedStep,
  timedPlans,
  waiting,
} from './ratios.ts';
import { machine, markOf, table, writeBetween } from './report.ts';

/** Layers without bias. */
export function deepModel(layers: number, width: number): Model {
  return nn.sequential(...Array.from({ length: layers }, () => nn.dense(width, { bias: false, activation: 'relu' })));
}

/** The estimators by the names that the tables use. */
export const deepEstimators: Readonly<Record<string, GradientEstimator>> = {
  'rank one': forwardGradient({ sampler: lowRank({ rank: 1 }) }),
  backprop: backprop(),
  'backprop, checkpointed': backprop({ checkpoint: true }),
};

/** The deep net's plans: its forward pass, the steps of {@link deepEstimators}, and others. */
export function deepPlans(
  layers: number,
  width: number,
  batch: number,
  threads = 1,
  others: Readonly<Record<string, TimedStep>> = {},
): Promise<TimedPlans> {
  const objective: Objective = { loss: ops.meanSquaredError, targetShape: [width] };
  const estimators = { ...deepEstimators, ...others };
  return timedPlans(deepModel(layers, width), [width], batch, estimators, { device: 'cpu', threads }, objective);
}

const namesOf = ({ steps }: TimedPlans): string[] => ['forward pass', ...steps.keys()];
const runsOf = ({ forward, steps, time }: TimedPlans): Timed[] =>
  [forward, ...steps.values()].map(
    (plan): Timed =>
      (n) =>
        time(plan, n),
  );

/** Rows of [step, ms, least, × forward, floor, share of the least]. */
async function timeTable(batch: number, layers: number, width: number): Promise<string> {
  const small = batch <= 64;
  const plans = await deepPlans(layers, width, batch, 1, small ? waiting : {});
  const names = namesOf(plans);
  const times = await interleaved(runsOf(plans), 5, small ? 8 : 1);
  const floors = [plans.forward, ...plans.steps.values()].map(floorOf);
  plans.session.dispose();
  const [bare = []] = times;
  const rows = times.map((found, i) => {
    const over = i === 0 ? '1' : medianRatio(found, bare).toFixed(2);
    const [floor, best] = [floors[i] ?? Number.NaN, least(found)];
    const share = `${Math.round((100 * floor) / best)} %`;
    return [names[i] ?? '', median(found).toFixed(1), best.toFixed(1), over, floor.toFixed(1), share];
  });
  return table([`batch ${batch}, 1 thread`, 'ms', 'least', '× forward', 'floor, ms', 'share'], rows);
}

/** Weights of U(−1/√n, 1/√n) have √⅙ of the spread of heNormal, so every layer shrinks by that much. */
export async function shrink(plans: TimedPlans, layers: number): Promise<void> {
  for (let layer = 0; layer < layers; layer++) {
    const weights = plans.session.read(`${layer}.w`) as Float32Array;
    plans.session.write(
      `${layer}.w`,
      weights.map((w) => w * Math.sqrt(1 / 6)),
    );
  }
}

async function denormalTable(batch: number, layers: number, width: number): Promise<string> {
  const [usual, shrinking] = [await deepPlans(layers, width, batch), await deepPlans(layers, width, batch)];
  await shrink(shrinking, layers);
  const names = namesOf(usual);
  const times = await interleaved([...runsOf(usual), ...runsOf(shrinking)], 9, 1);
  const rows = names.map((name, i) => {
    const [a, b] = [times[i]!, times[names.length + i]!];
    return [name, median(a).toFixed(1), median(b).toFixed(1), medianRatio(b, a).toFixed(2)];
  });
  for (const { session } of [usual, shrinking]) session.dispose();
  return table([`batch ${batch}, 1 thread`, 'usual, ms', 'shrinking, ms', 'ratio'], rows);
}

/** `--write` puts the tables into docs/performance.md; `--layers n` and `--width n` are for trying it out. */
export async function deepBenchmark(flags: readonly string[]): Promise<void> {
  const sizeOf = (flag: string, usual: number): number =>
    flags.includes(flag) ? Number(flags[flags.indexOf(flag) + 1]) : usual;
  const [layers, width] = [sizeOf('--layers', 100), sizeOf('--width', 1024)];
  const parts: Readonly<Record<string, () => Promise<string>>> = {
    64: () => timeTable(64, layers, width),
    1024: () => timeTable(1024, layers, width),
    denormals: () => denormalTable(64, layers, width),
    memory: async () => (await import('./deep_memory.ts')).memoryTable(layers, width),
  };
  const chosen = Object.keys(parts).filter((part) => flags.includes(part));
  for (const part of chosen.length > 0 ? chosen : Object.keys(parts)) {
    const text = `${machine()}\n\n${await parts[part]!()}`;
    console.log(`${text}\n`);
    if (flags.includes('--write')) writeBetween('docs/performance.md', markOf(`bench:deep-${part}`), text);
  }
}
