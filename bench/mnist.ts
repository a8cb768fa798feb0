// Test error on MNIST by gradient estimator: an MLP 784-512-512-10 with relu, batch 128, Adam whose rate decays to 0 along a cosine. The rate
// of each estimator is the best of a grid on the last 10,000 training images (`--tune`); the table comes from all 60,000. Local losses: a block and a
// head for each hidden layer; the two have the rates of the same estimators without blocks.
import { mnist } from '../src/data/mnist.ts';
import { backprop, forwardGradient, type GradientEstimator } from '../src/estimators/gradient.ts';
import { type Model, nn } from '../src/nn/index.ts';
import { ops } from '../src/ops/index.ts';
import { adam } from '../src/optimizers.ts';
import { lowRank, rademacher } from '../src/samplers.ts';
import { cosine } from '../src/schedules.ts';
import { Trainer } from '../src/trainer/trainer.ts';
import { machine, table, writeBetween } from './report.ts';

interface Method {
  readonly gradient: GradientEstimator;
  /** Chosen by `--tune`. */
  readonly rate: number;
  /** Whether each hidden layer is a block with a dense head. */
  readonly isLocal?: boolean;
}

function model(isLocal: boolean): Model {
  const hidden = (): Model => {
    const layer = nn.dense(512, { activation: 'relu' });
    return isLocal ? nn.block(layer, { loss: nn.localHead({ outputs: 10 }) }) : layer;
  };
  return nn.sequential(hidden(), hidden(), nn.dense(10));
}

const directions = 4;
const methods: Readonly<Record<string, Method>> = {
  backprop: { gradient: backprop(), rate: 1e-3 },
  'backprop, checkpointed': { gradient: backprop({ checkpoint: true }), rate: 1e-3 },
  activations: { gradient: forwardGradient({ perturb: 'activations', directions }), rate: 1e-3 },
  'activations, exactLast': {
    gradient: forwardGradient({ perturb: 'activations', directions, exactLast: true }),
    rate: 1e-3,
  },
  'local losses, backprop': { gradient: backprop(), rate: 1e-3, isLocal: true },
  'local losses, activities': {
    gradient: forwardGradient({ perturb: 'activations', directions, exactLast: true }),
    rate: 1e-3,
    isLocal: true,
  },
  'per example, rank one': {
    gradient: forwardGradient({ perExample: true, sampler: lowRank({ rank: 1 }), directions }),
    rate: 1e-3,
  },
  'weights, rank one': { gradient: forwardGradient({ sampler: lowRank({ rank: 1 }), directions }), rate: 3e-4 },
  'weights, rademacher': { gradient: forwardGradient({ sampler: rademacher(), directions }), rate: 3e-4 },
};

const batchSize = 128;

interface Outcome {
  readonly error: number;
  readonly seconds: number;
  readonly bytes: number;
}

async function train(
  { gradient, isLocal = false }: Method,
  rate: number,
  epochs: number,
  seed: number,
  [train, test]: Parameters<Trainer['fit']>[0][],
): Promise<Outcome> {
  const examples = (train as { length: number }).length;
  const trainer = new Trainer({
    model: model(isLocal),
    inputShape: [784],
    loss: ops.softmaxCrossEntropy,
    gradient,
    optimizer: adam({ learningRate: cosine(rate, epochs * Math.floor(examples / batchSize)) }),
    seed,
  });
  const start = performance.now();
  await trainer.fit(train as never, { epochs, batchSize });
  const seconds = (performance.now() - start) / 1000;
  const { tape, workspace } = trainer.memory();
  const { metrics } = await trainer.evaluate(test as never, { batchSize: 1000 });
  trainer.dispose();
  return { error: 100 * (1 - (metrics.accuracy as number)), seconds, bytes: tape + workspace };
}

/** `--epochs n` (40), `--seeds n` (1), `--method name`, `--rate r`, `--tune`, `--write` (docs/estimators.md). */
export async function mnistBenchmark(flags: readonly string[]): Promise<void> {
  const value = (flag: string, usual: string): string =>
    flags.includes(flag) ? (flags[flags.indexOf(flag) + 1] as string) : usual;
  const [epochs, seeds] = [Number(value('--epochs', '40')), Number(value('--seeds', '1'))];
  const only = value('--method', '');
  const { train: all, test } = await mnist();
  const rows: string[][] = [];
  for (const [name, method] of Object.entries(methods)) {
    if (only !== '' && only !== name) continue;
    if (flags.includes('--tune')) {
      for (const factor of [0.1, 0.3, 1, 3]) {
        const rate = method.rate * factor;
        const sets = [all.slice(0, 50_000), all.slice(50_000)];
        const { error, seconds } = await train(method, rate, epochs, 0, sets);
        console.log(name, rate, `${error.toFixed(2)} %`, `${seconds.toFixed(0)} s`);
      }
      continue;
    }
    const rate = Number(value('--rate', String(method.rate)));
    const outcomes: Outcome[] = [];
    for (let seed = 0; seed < seeds; seed++) outcomes.push(await train(method, rate, epochs, seed, [all, test]));
    const errors = outcomes.map(({ error }) => error.toFixed(2)).join(', ');
    const { seconds, bytes } = outcomes[0] as Outcome;
    rows.push([name, String(rate), `${errors} %`, seconds.toFixed(0), bytes.toLocaleString('en')]);
    console.log(rows.at(-1)?.join(' | '));
  }
  if (flags.includes('--tune')) return;
  const head = ['estimator', 'rate', `test error by seed, ${epochs} epochs`, 'seconds', 'tape + workspace, bytes'];
  const text = `${machine()}, 2 threads.\n\n${table(head, rows)}`;
  console.log(text);
  if (flags.includes('--write')) writeBetween('docs/estimators.md', 'bench:mnist', text);
}
