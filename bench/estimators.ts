// Test error by gradient estimator, each at its own tuned rate: after a fixed number of epochs, and after as many steps as fit in a fixed time.
import { ops } from '../src/ops/index.ts';
import { cosine } from '../src/schedules.ts';
import { Trainer } from '../src/trainer/trainer.ts';
import { dataSets, type Sets } from './data_sets.ts';
import { hiddenLayer, type Method } from './estimator_methods.ts';
import { type Outcome, onFile, record, type Setting, stepTimes } from './estimator_results.ts';
import { type Study, studies } from './estimator_studies.ts';
import { interleaved, median } from './ratios.ts';
import { machine, table, writeBetween } from './report.ts';

/** A study with its data: that of the test, and that of tuning. */
interface Loaded {
  readonly name: string;
  readonly study: Study;
  readonly sets: Readonly<Record<Setting['on'], Sets>>;
}

async function load(name: string, study: Study): Promise<Loaded> {
  const { train: all, test } = await (dataSets[study.data] as (typeof dataSets)[string])(study.shape);
  const train = all.slice(0, study.examples);
  const cut = Math.floor((train.length * 5) / 6);
  return {
    name,
    study,
    sets: { test: { train, test }, validation: { train: train.slice(0, cut), test: train.slice(cut) } },
  };
}

const stepsOf = (epochs: number, { train }: Sets, { batchSize }: Study): number =>
  epochs * Math.floor(train.length / batchSize);

function trainerOf(study: Study, method: Method, rate: number, steps: number, seed: number): Trainer {
  return new Trainer({
    model: study.model(hiddenLayer(method)),
    inputShape: study.shape,
    loss: ops.softmaxCrossEntropy,
    gradient: method.gradient,
    optimizer: study.optimizer(cosine(rate, steps)),
    device: 'cpu',
    threads: 1,
    precision: study.precision,
    seed,
  });
}

/** Whole epochs, and what is left of the steps on the set's first examples. */
async function train(trainer: Trainer, { batchSize }: Study, { train }: Sets, steps: number): Promise<void> {
  const each = Math.floor(train.length / batchSize);
  const [epochs, rest] = [Math.floor(steps / each), steps % each];
  if (epochs > 0) await trainer.fit(train, { epochs, batchSize });
  if (rest > 0) await trainer.fit(train.slice(0, rest * batchSize), { epochs: 1, batchSize });
}

async function run({ study, sets }: Loaded, method: Method, { on, rate, steps, seed }: Setting): Promise<Outcome> {
  const trainer = trainerOf(study, method, rate, steps, seed);
  try {
    await train(trainer, study, sets[on], steps);
    const { tape, workspace } = trainer.memory();
    const { metrics } = await trainer.evaluate(sets[on].test, { batchSize: 500 });
    return { error: Number((100 * (1 - (metrics.accuracy as number))).toFixed(4)), bytes: tape + workspace };
  } catch (error) {
    if ((error as { code?: string }).code !== 'NUMERIC') throw error;
    return { error: null, bytes: 0 };
  } finally {
    trainer.dispose();
  }
}

/** From the file, or run now. */
type Find = (setting: Setting) => Promise<Outcome | undefined>;

const finder =
  (loaded: Loaded, fresh: boolean): Find =>
  async (setting) => {
    const known = onFile(setting);
    if (known !== undefined || !fresh) return known;
    const outcome = await run(loaded, loaded.study.methods[setting.method] as Method, setting);
    record({ ...setting, ...outcome });
    console.log(JSON.stringify({ ...setting, ...outcome }));
    return outcome;
  };

/**
 * The best rate on the ladder 10^(rung/2): up or down from the method's rung while that helps. Undefined where the file lacks a run.
 */
async function tune({ name, study, sets }: Loaded, method: string, find: Find): Promise<number | undefined> {
  const steps = stepsOf(study.tuningEpochs, sets.validation, study);
  const rateOf = (rung: number): number => Number((10 ** (rung / 2)).toPrecision(3));
  const errorAt = async (rung: number): Promise<number | undefined> => {
    const outcome = await find({ study: name, method, on: 'validation', rate: rateOf(rung), steps, seed: 0 });
    return outcome && (outcome.error ?? Number.POSITIVE_INFINITY);
  };
  let best = (study.methods[method] as Method).rung;
  let least = await errorAt(best);
  for (const direction of [-1, 1]) {
    for (;;) {
      const next = await errorAt(best + direction);
      if (least === undefined || next === undefined) return undefined;
      if (next >= least) break;
      [best, least] = [best + direction, next];
    }
  }
  return rateOf(best);
}

const missing = 'not measured';
const percent = ({ error }: Outcome): string => (error === null ? 'NUMERIC' : error.toFixed(2));

/** The method's row, and the seeds' runs and the timed one where `find` may run them. */
async function rowOf(loaded: Loaded, method: string, find: Find, seeds: readonly number[]): Promise<string[]> {
  const { name, study, sets } = loaded;
  const rate = await tune(loaded, method, find);
  if (rate === undefined) return [method, ...Array.from({ length: 5 }, () => missing)];
  const test = { study: name, method, on: 'test', rate } as const;
  const steps = stepsOf(study.epochs, sets.test, study);
  const found: Outcome[] = [];
  for (const seed of seeds) {
    const outcome = await find({ ...test, steps, seed });
    if (outcome !== undefined) found.push(outcome);
  }
  const mean = found.reduce((sum, { error }) => sum + (error ?? Number.NaN), 0) / found.length;
  const time = stepTimes(name)?.milliseconds[method];
  const fit = time === undefined ? 0 : Math.floor((study.seconds * 1000) / time.median);
  const timed = fit === 0 || !seeds.includes(0) ? undefined : await find({ ...test, steps: fit, seed: 0 });
  const epochs = (fit / stepsOf(1, sets.test, study)).toPrecision(3);
  return [
    method,
    String(rate),
    found.length === 0 ? missing : `${found.map(percent).join(', ')}${found.length < 3 ? '' : ` (${mean.toFixed(2)})`}`,
    time === undefined ? missing : `${time.median.toPrecision(3)} (${time.least.toPrecision(3)})`,
    timed === undefined ? missing : `${percent(timed)} (${epochs})`,
    found[0] === undefined ? missing : (found[0].bytes / 2 ** 20).toFixed(2),
  ];
}

const millisecondsPerTurn = 40;
const secondsInAll = 40;

/** Times a step of every method, batches gathered and parameters updated, in turns on one thread. */
async function measure({ name, study, sets }: Loaded): Promise<void> {
  const names = Object.keys(study.methods);
  const trainers = names.map((method) => trainerOf(study, study.methods[method] as Method, 1e-6, 1, 0));
  const timed = trainers.map((trainer) => async (steps: number): Promise<number> => {
    const start = performance.now();
    await train(trainer, study, sets.test, steps);
    return (performance.now() - start) / steps;
  });
  const first = (await interleaved(timed, 1, 2)).map(([time]) => time as number);
  const steps = first.map((time) => Math.max(1, Math.round(millisecondsPerTurn / time)));
  const turn = first.reduce((sum, time, i) => sum + time * (steps[i] as number), 0);
  const rounds = Math.min(101, Math.max(3, Math.floor((secondsInAll * 1000) / turn)));
  const times = await interleaved(
    timed.map((time, i) => () => time(steps[i] as number)),
    rounds,
    1,
  );
  const rounded = (milliseconds: number): number => Number(milliseconds.toPrecision(4));
  const milliseconds = Object.fromEntries(
    names.map((method, i) => {
      const all = times[i] as number[];
      return [method, { median: rounded(median(all)), least: rounded(Math.min(...all)) }];
    }),
  );
  for (const trainer of trainers) trainer.dispose();
  record({ study: name, machine: machine(), milliseconds });
  console.log(name, rounds, 'rounds', milliseconds);
}

async function write(loaded: Loaded): Promise<void> {
  const { name, study } = loaded;
  const find = finder(loaded, false);
  const seeds = Array.from({ length: study.seeds }, (_, seed) => seed);
  const rows: string[][] = [];
  for (const method of Object.keys(study.methods)) rows.push(await rowOf(loaded, method, find, seeds));
  const head = [
    'estimator',
    'rate',
    `test error, %, ${study.epochs} epoch${study.epochs === 1 ? '' : 's'}, by seed (mean)`,
    'a step, ms (least)',
    `test error, %, ${study.seconds} s (epochs)`,
    'tape + workspace, MiB',
  ];
  writeBetween(
    'docs/estimators.md',
    `bench:${name}`,
    `${stepTimes(name)?.machine ?? machine()}, 1 thread.\n\n${table(head, rows)}`,
  );
}

/**
 * `--study name`, `--method name`, `--seed n`: what to run, of what is not on file yet. `--time`: measures the steps of a study instead, on which the
 * runs of fixed time depend. `--tune`: no more than the rates. `--write`: the tables in docs/estimators.md from the file, without a run.
 */
export async function estimatorsBenchmark(flags: readonly string[]): Promise<void> {
  const value = (flag: string): string | undefined =>
    flags.includes(flag) ? flags[flags.indexOf(flag) + 1] : undefined;
  const [onlyStudy, onlyMethod, onlySeed] = [value('--study'), value('--method'), value('--seed')];
  if (onlyStudy !== undefined && !Object.hasOwn(studies, onlyStudy)) {
    throw new Error(`bench: expected --study ${Object.keys(studies).join(', ')} but received ${onlyStudy}`);
  }
  for (const [name, study] of Object.entries(studies)) {
    if (onlyStudy !== undefined && onlyStudy !== name) continue;
    const loaded = await load(name, study);
    if (flags.includes('--time')) await measure(loaded);
    else if (flags.includes('--write')) await write(loaded);
    else {
      const all = Array.from({ length: study.seeds }, (_, seed) => seed);
      const seeds = flags.includes('--tune') ? [] : onlySeed === undefined ? all : [Number(onlySeed)];
      for (const method of Object.keys(study.methods)) {
        if (onlyMethod !== undefined && onlyMethod !== method) continue;
        console.log((await rowOf(loaded, method, finder(loaded, true), seeds)).join(' | '));
      }
    }
  }
}
