// Milliseconds of a training step of the paper's MLP for every estimator, precision and batch, on one thread and on two: its ratio to the
// bare forward pass, and its floor's share of its least time. Floors come from ceilings that are measured between the rounds too: the best
// of both, so that a neighbour on the same core, who slows some rounds, changes neither.
import { PushforwardError } from '../src/errors.ts';
import { backprop, forwardGradient } from '../src/estimators/gradient.ts';
import type { RunOptions } from '../src/plan/engine.ts';
import { gaussian, lowRank, rademacher, sphere } from '../src/samplers.ts';
import {
  floorOf,
  interleaved,
  least,
  median,
  medianRatio,
  mlp,
  type Timed,
  type TimedStep,
  timedPlans,
  waiting,
} from './ratios.ts';
import { ceilings, machine, markOf, table, writeBetween } from './report.ts';

const rounds = 24;

const rankOne = lowRank({ rank: 1 });
const estimators: Readonly<Record<string, TimedStep>> = {
  backprop: backprop(),
  'rank one': forwardGradient({ sampler: rankOne }),
  rademacher: forwardGradient({ sampler: rademacher() }),
  gaussian: forwardGradient({ sampler: gaussian() }),
  sphere: forwardGradient({ sampler: sphere() }),
  '8 directions of rank one': forwardGradient({ sampler: rankOne, directions: 8 }),
  'perturbed activities': forwardGradient({ perturb: 'activations' }),
};

interface Row {
  readonly batch: number;
  readonly precision: string;
  readonly step: string;
  /** On one thread, then on two. */
  readonly milliseconds: readonly number[];
  readonly least: readonly number[];
  readonly overForward: readonly number[];
  readonly floors: readonly number[];
  /** Of one thread over two. */
  readonly speedup: number;
}

/** One batch in one precision: the forward pass, and from 64 examples on every estimator. */
async function measure(batch: number, precision: NonNullable<RunOptions['precision']>): Promise<Row[]> {
  const known = batch > 64 ? estimators : batch === 64 ? { ...estimators, ...waiting } : {};
  const open = (threads: number) => timedPlans(mlp(), [784], batch, known, { device: 'cpu', precision, threads });
  const sets = [await open(1), await open(2)];
  const plans = sets.map(({ forward, steps }) => [forward, ...steps.values()]);
  const timed = sets.flatMap(({ time }, s) =>
    (plans[s] ?? []).map(
      (plan): Timed =>
        (n) =>
          time(plan, n),
    ),
  );
  const times: number[][] = timed.map(() => []);
  const parts = batch < 64 ? 1 : 3; // each after a measurement of the ceilings
  for (let part = 0; part < parts; part++) {
    ceilings();
    const more = await interleaved(timed, rounds / parts, batch > 64 ? 2 : batch < 64 ? 20 : 8);
    for (const [i, list] of more.entries()) times[i]?.push(...list);
  }
  const names = ['forward pass', ...Object.keys(known)];
  const of = (s: number, i: number): number[] => times[s * names.length + i] as number[];
  const rows = names.map((step, i) => ({
    batch,
    precision,
    step,
    milliseconds: [0, 1].map((s) => median(of(s, i))),
    least: [0, 1].map((s) => least(of(s, i))),
    overForward: [0, 1].map((s) => medianRatio(of(s, i), of(s, 0))),
    floors: plans.map((list) => floorOf(list[i]!)),
    speedup: medianRatio(of(0, i), of(1, i)),
  }));
  for (const { session } of sets) session.dispose();
  return rows;
}

const digits = (ms: number): string => ms.toFixed(ms < 1 ? 3 : 2);
const percent = (share: number | undefined): string => `${Math.round(100 * (share ?? Number.NaN))} %`;
const both = (values: readonly number[], text: (value: number) => string): string[] => values.map(text);

function cells({
  batch,
  precision,
  step,
  milliseconds,
  least,
  overForward,
  floors,
  speedup,
}: Row): Record<string, string> {
  const [one = '', two = ''] = both(milliseconds, digits);
  const [leastOne = '', leastTwo = ''] = both(least, digits);
  const [overOne = '', overTwo = ''] = both(overForward, (ratio) => (step === 'forward pass' ? '1' : ratio.toFixed(2)));
  const [shareOne = '', shareTwo = ''] = least.map((ms, s) => percent((floors[s] as number) / ms));
  return {
    batch: String(batch),
    precision,
    step,
    '1 thread, ms': one,
    least: leastOne,
    '× forward': overOne,
    'floor, ms': (floors[0] as number).toFixed(3),
    share: shareOne,
    '2 threads, ms': two,
    'least, 2': leastTwo,
    '× forward, 2': overTwo,
    'share, 2': shareTwo,
    '1 / 2 threads': speedup.toFixed(2),
  };
}

const columns = Object.keys(
  cells({
    batch: 0,
    precision: '',
    step: '',
    milliseconds: [0, 0],
    least: [0, 0],
    overForward: [0, 0],
    floors: [0, 0],
    speedup: 0,
  }),
);
const shortColumns = ['batch', 'precision', 'step', '1 thread, ms', '× forward', '2 threads, ms', '× forward, 2'];

/** `--write` puts the whole table into docs/performance.md and the times into README.md; other words are batch sizes, in place of all. */
export async function stepBenchmark(flags: readonly string[]): Promise<void> {
  const chosen = flags.filter((flag) => /^\d+$/.test(flag)).map(Number);
  const head = `MLP 784-1024-1024-10, plain SGD. ${machine()}. Medians and least of ${rounds} interleaved rounds.`;
  console.log(`${head}\n`);
  const rows: Record<string, string>[] = [];
  for (const precision of ['f32', 'bf16'] as const) {
    try {
      for (const batch of chosen.length > 0 ? chosen : [1, 8, 64, 512]) {
        rows.push(...(await measure(batch, precision)).map(cells));
      }
    } catch (error) {
      if (!(error instanceof PushforwardError)) throw error;
      rows.push({ batch: 'all', precision, step: `not measured: ${error.message}` });
    }
  }
  const tableOf = (names: readonly string[], kept = rows): string =>
    table(
      names,
      kept.map((row) => names.map((name) => row[name] ?? '–')),
    );
  const limits = ceilings();
  console.log(`${limits}\n\n${tableOf(columns)}`);
  if (!flags.includes('--write')) return;
  writeBetween('docs/performance.md', markOf('bench:ceilings'), limits);
  writeBetween('docs/performance.md', markOf('bench:step'), `${head}\n\n${tableOf(columns)}`);
  if (markOf('bench:step') !== 'bench:step') return; // the README has one machine
  const measured = rows.filter((row) => row['1 thread, ms'] !== undefined);
  writeBetween('README.md', 'bench:step', `${head}\n\n${tableOf(shortColumns, measured)}`);
}
