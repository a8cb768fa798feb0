// Test error by gradient estimator, each at its own tuned rate: after a fixed number of epochs, and after as many as fit in a fixed time.
// Batch 128, Adam whose rate decays to 0 along a cosine, four directions. A rate is the best on the ladder 10^(k/2) by the error on the last
// sixth of the training images after half the epochs (`--tune`, kept in estimator_rates.json); the tables come from all of them.
import { readFileSync, writeFileSync } from 'node:fs';
import type { Dataset } from '../src/data/dataset.ts';
import { type Model, nn } from '../src/nn/index.ts';
import { ops } from '../src/ops/index.ts';
import { adam } from '../src/optimizers.ts';
import { cosine } from '../src/schedules.ts';
import { Trainer } from '../src/trainer/trainer.ts';
import { cnn } from './cnn.ts';
import { dataSets, type Sets } from './data_sets.ts';
import { hiddenLayer, type Method, methods } from './estimator_methods.ts';
import { machine, table, writeBetween } from './report.ts';

interface Study {
  readonly data: string;
  readonly shape: readonly number[];
  /** Of the hidden layers as the method takes them. */
  readonly model: (hidden: (layer: Model) => Model) => Model;
  readonly epochs: number;
  /** Of the fixed time. */
  readonly seconds: number;
  readonly seeds: number;
  /** Training images, where not all. */
  readonly examples?: number;
}

const mlp =
  (width: number): Study['model'] =>
  (hidden) =>
    nn.sequential(
      hidden(nn.dense(width, { activation: 'relu' })),
      hidden(nn.dense(width, { activation: 'relu' })),
      nn.dense(10),
    );

const studies: Readonly<Record<string, Study>> = {
  mlp256: { data: 'MNIST', shape: [784], model: mlp(256), epochs: 10, seconds: 10, seeds: 1 },
  mlp512: { data: 'MNIST', shape: [784], model: mlp(512), epochs: 20, seconds: 40, seeds: 1 },
  mlp1024: { data: 'MNIST', shape: [784], model: mlp(1024), epochs: 4, seconds: 10, seeds: 1 },
  cnn: { data: 'MNIST', shape: [28, 28, 1], model: cnn, epochs: 2, seconds: 30, seeds: 1, examples: 6_000 },
  fashion: { data: 'Fashion-MNIST', shape: [784], model: mlp(256), epochs: 5, seconds: 10, seeds: 1 },
};

const batchSize = 128;

interface Outcome {
  /** Percent. */
  readonly error: number;
  readonly seconds: number;
  readonly bytes: number;
}

async function train(
  study: Study,
  method: Method,
  rate: number,
  epochs: number,
  seed: number,
  { train, test }: Sets,
): Promise<Outcome> {
  const trainer = new Trainer({
    model: study.model(hiddenLayer(method)),
    inputShape: study.shape,
    loss: ops.softmaxCrossEntropy,
    gradient: method.gradient,
    optimizer: adam({ learningRate: cosine(rate, epochs * Math.floor(train.length / batchSize)) }),
    seed,
  });
  try {
    const start = performance.now();
    await trainer.fit(train, { epochs, batchSize });
    const seconds = (performance.now() - start) / 1000;
    const { tape, workspace } = trainer.memory();
    const { metrics } = await trainer.evaluate(test, { batchSize: 1000 });
    return { error: 100 * (1 - (metrics.accuracy as number)), seconds, bytes: tape + workspace };
  } catch (error) {
    if ((error as { code?: string }).code !== 'NUMERIC') throw error;
    return { error: Number.NaN, seconds: Number.NaN, bytes: 0 };
  } finally {
    trainer.dispose();
  }
}

const ratesFile = new URL('estimator_rates.json', import.meta.url);
type Rates = Record<string, Record<string, number>>;

function readRates(): Rates {
  return JSON.parse(readFileSync(ratesFile, 'utf8')) as Rates;
}

/** The best rung: from 10⁻³ down while that helps, else up. */
async function tune(study: Study, method: Method, all: Dataset, show: (line: string) => void) {
  const cut = Math.floor((all.length * 5) / 6);
  const sets = { train: all.slice(0, cut), test: all.slice(cut) };
  const known = new Map<number, number>();
  const errorAt = async (rung: number): Promise<number> => {
    if (!known.has(rung)) {
      const { error } = await train(study, method, 10 ** (rung / 2), Math.ceil(study.epochs / 2), 0, sets);
      known.set(rung, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
      show(`10^${rung / 2}: ${error.toFixed(2)} %`);
    }
    return known.get(rung) as number;
  };
  let best = -6;
  for (const direction of [-1, 1]) while ((await errorAt(best + direction)) < (await errorAt(best))) best += direction;
  return 10 ** (best / 2);
}

async function rowOf(study: Study, name: string, rate: number, sets: Sets): Promise<string[]> {
  const method = methods[name] as Method;
  const fixed: Outcome[] = [];
  for (let seed = 0; seed < study.seeds; seed++) fixed.push(await train(study, method, rate, study.epochs, seed, sets));
  const { seconds, bytes } = fixed[0] as Outcome;
  const epochs = Math.max(1, Math.round((study.seconds / seconds) * study.epochs));
  const timed = await train(study, method, rate, epochs, 0, sets);
  return [
    name,
    rate.toPrecision(1),
    fixed.map(({ error }) => error.toFixed(2)).join(', '),
    seconds.toFixed(1),
    `${timed.error.toFixed(2)} (${epochs} epochs, ${timed.seconds.toFixed(1)} s)`,
    (bytes / 2 ** 20).toFixed(2),
  ];
}

/** `--study name`, `--method name`, `--tune`, `--write` (rates, or the study's table in docs/estimators.md). */
export async function estimatorsBenchmark(flags: readonly string[]): Promise<void> {
  const value = (flag: string): string | undefined =>
    flags.includes(flag) ? flags[flags.indexOf(flag) + 1] : undefined;
  const [only, onlyStudy] = [value('--method'), value('--study')];
  const rates = readRates();
  for (const [title, study] of Object.entries(studies)) {
    if (onlyStudy !== undefined && onlyStudy !== title) continue;
    const { train: all, test } = await (dataSets[study.data] as (typeof dataSets)[string])(study.shape);
    const sets = { train: study.examples === undefined ? all : all.slice(0, study.examples), test };
    const rows: string[][] = [];
    for (const [name, method] of Object.entries(methods)) {
      if (only !== undefined && only !== name) continue;
      if (flags.includes('--tune')) {
        const rate = await tune(study, method, sets.train, (line) => console.log(title, '|', name, '|', line));
        if (flags.includes('--write')) {
          const fresh = readRates();
          fresh[title] = { ...fresh[title], [name]: rate };
          writeFileSync(ratesFile, `${JSON.stringify(fresh, null, 2)}\n`);
        }
        continue;
      }
      const rate = rates[title]?.[name];
      if (rate === undefined) {
        rows.push([name, 'not tuned', ...Array.from({ length: 4 }, () => '–')]);
        continue;
      }
      rows.push(await rowOf(study, name, rate, sets));
      console.log(rows.at(-1)?.join(' | '));
    }
    if (flags.includes('--tune') || rows.length === 0) continue;
    const head = [
      'estimator',
      'rate',
      `test error, %, ${study.epochs} epochs, by seed`,
      'seconds',
      `test error, %, ${study.seconds} s`,
      'tape + workspace, MiB',
    ];
    const text = `${machine()}, 2 threads.\n\n${table(head, rows)}`;
    console.log(text);
    if (flags.includes('--write')) writeBetween('docs/estimators.md', `bench:${title}`, text);
  }
}
