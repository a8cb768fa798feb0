// The paper's MLP on MNIST, trained by forward gradients and by backprop, one after the other on the same batches.
import { parseArgs } from 'node:util';
import { SingleBar } from 'cli-progress';
import {
  backprop,
  type DeviceName,
  data,
  type Evaluation,
  exponentialDecay,
  forwardGradient,
  type GradientEstimator,
  gaussian,
  lowRank,
  ops,
  PushforwardError,
  rademacher,
  type Sampler,
  sgd,
  sphere,
  Trainer,
} from 'pushforward';
import { measureRatios, mlp, type Ratio, timedPlans } from '../bench/ratios.ts';

const usage = `Trains the MLP 784-1024-1024-10 on MNIST by forward gradients and by backprop.

  npm run demo -- [options]

  --steps n            training steps of 64 examples each            2811 (3 epochs)
  --forward-rate r     first learning rate of forward gradients      0.0002 (the paper's)
  --backprop-rate r    first learning rate of backprop               0.3 (tuned)
  --sampler name       gaussian, rademacher, sphere or lowRank       gaussian (the paper's Algorithm 1)
  --directions k       tangents a step                               1
  --device name        auto, cpu or reference                        auto
  --seed n             of initial values, batches and tangents       0
  --one-rate           also backprop at the forward rate: the comparison of one rate for both
  --help
`;

const samplers: Record<string, () => Sampler> = { gaussian, rademacher, sphere, lowRank: () => lowRank({ rank: 1 }) };
const batchSize = 64;
const decay = 1e-4;

interface Settings {
  readonly steps: number;
  readonly forwardRate: number;
  readonly backpropRate: number;
  readonly sampler: Sampler;
  readonly samplerName: string;
  readonly directions: number;
  readonly device: DeviceName;
  readonly seed: number;
  readonly oneRate: boolean;
}

function readSettings(): Settings | undefined {
  const { values } = parseArgs({
    options: {
      steps: { type: 'string', default: '2811' },
      'forward-rate': { type: 'string', default: '0.0002' },
      'backprop-rate': { type: 'string', default: '0.3' },
      sampler: { type: 'string', default: 'gaussian' },
      directions: { type: 'string', default: '1' },
      device: { type: 'string', default: 'auto' },
      seed: { type: 'string', default: '0' },
      'one-rate': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const sampler = Object.hasOwn(samplers, values.sampler) ? samplers[values.sampler] : undefined;
  if (sampler === undefined)
    throw new Error(`--sampler: expected ${Object.keys(samplers).join(', ')} but received ${values.sampler}`);
  const steps = Number(values.steps);
  if (!Number.isSafeInteger(steps) || steps < 1)
    throw new Error(`--steps: expected a positive integer but received ${values.steps}`);
  return {
    steps,
    forwardRate: Number(values['forward-rate']),
    backpropRate: Number(values['backprop-rate']),
    sampler: sampler(),
    samplerName: values.sampler,
    directions: Number(values.directions),
    device: values.device as DeviceName,
    seed: Number(values.seed),
    oneRate: values['one-rate'],
  };
}

interface Run {
  readonly name: string;
  readonly rate: number;
  readonly trainer: Trainer;
  readonly firstLoss: number;
  /** Over the first 10,000 training images, after the last step. */
  readonly trainLoss: number;
  readonly test: Evaluation;
  /** Of the training alone: before the evaluation. */
  readonly bytes: ReturnType<Trainer['memory']>;
  readonly millisecondsPerStep: number;
}

function makeTrainer(settings: Settings, gradient: GradientEstimator, rate: number): Trainer {
  return new Trainer({
    model: mlp(),
    inputShape: [784],
    loss: ops.softmaxCrossEntropy,
    gradient,
    optimizer: sgd({ learningRate: exponentialDecay(rate, decay) }),
    seed: settings.seed,
    device: settings.device,
  });
}

async function train(
  settings: Settings,
  name: string,
  gradient: GradientEstimator,
  rate: number,
  sets: Awaited<ReturnType<typeof data.mnist>>,
): Promise<Run> {
  const trainer = makeTrainer(settings, gradient, rate);
  const bar = new SingleBar({
    format: `${name.padEnd(17)} {bar} {value}/{total}  loss {loss}  {speed} samples/s  {eta} s left`,
    noTTYOutput: true,
    notTTYSchedule: 10_000,
    fps: 5,
  });
  const stop = new AbortController();
  const losses: number[] = [];
  let busy = 0;
  bar.start(settings.steps, 0, { loss: '-', speed: '-' });
  const epochs = Math.ceil(settings.steps / Math.floor(sets.train.length / batchSize));
  const start = performance.now();
  await trainer.fit(sets.train, {
    epochs,
    batchSize,
    signal: stop.signal,
    onProgress: (event) => {
      losses.push(event.loss);
      busy = performance.now() - start;
      bar.update(Math.min(event.step + 1, settings.steps), {
        loss: event.loss.toFixed(3),
        speed: Math.round(event.examplesPerSecond),
      });
      if (event.step + 1 >= settings.steps) stop.abort();
    },
  });
  bar.stop();
  const mean = (part: readonly number[]): number => part.reduce((sum, loss) => sum + loss, 0) / part.length;
  const tenth = Math.max(1, Math.floor(losses.length / 25));
  const bytes = trainer.memory();
  return {
    name,
    rate,
    bytes,
    trainer,
    firstLoss: mean(losses.slice(0, tenth)),
    trainLoss: (await trainer.evaluate(sets.train.slice(0, 10_000), { batchSize: 500 })).loss,
    test: await trainer.evaluate(sets.test, { batchSize: 500 }),
    millisecondsPerStep: busy / trainer.steps,
  };
}

function row(cells: readonly (string | number)[], widths: readonly number[]): string {
  return cells
    .map((cell, i) => (i === 0 ? String(cell).padEnd(widths[i] ?? 0) : String(cell).padStart(widths[i] ?? 0)))
    .join('  ');
}

function printTable(runs: readonly Run[], ratios: readonly Ratio[]): void {
  const widths = [26, 9, 11, 10, 9, 9, 8];
  console.log(`\n${row(['', 'rate', 'first loss', 'train loss', 'test acc.', 'ms/step', 'ratio'], widths)}`);
  for (const run of runs) {
    const timing = ratios.find(({ name }) => run.name.startsWith(name));
    const accuracy = `${(100 * (run.test.metrics.accuracy ?? 0)).toFixed(2)} %`;
    const ratio =
      timing === undefined ? '' : `${timing.name === 'backprop' ? 'R_b' : 'R_f'} ${timing.ratio.toFixed(2)}`;
    console.log(
      row(
        [
          run.name,
          run.rate,
          run.firstLoss.toFixed(3),
          run.trainLoss.toFixed(3),
          accuracy,
          run.millisecondsPerStep.toFixed(2),
          ratio,
        ],
        widths,
      ),
    );
  }
  console.log('\nbytes                           parameters        state         tape    workspace         data');
  for (const run of runs) {
    const { bytes } = run;
    const cells = [bytes.parameters, bytes.state, bytes.tape, bytes.workspace, bytes.data].map((n) =>
      n.toLocaleString('en'),
    );
    console.log(row([run.name, ...cells], [26, 15, 11, 11, 11, 11]));
  }
}

async function main(): Promise<void> {
  let settings: Settings | undefined;
  try {
    settings = readSettings();
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exitCode = 1;
    return;
  }
  if (settings === undefined) {
    process.stdout.write(usage);
    return;
  }
  const sets = await data.mnist({ inputShape: [784] });
  const gradient = forwardGradient({ sampler: settings.sampler, directions: settings.directions });
  const runs = [
    await train(settings, 'forward gradient', gradient, settings.forwardRate, sets),
    await train(settings, 'backprop', backprop(), settings.backpropRate, sets),
  ];
  if (settings.oneRate) runs.push(await train(settings, 'backprop, one rate', backprop(), settings.forwardRate, sets));
  const estimators = { 'forward gradient': gradient, backprop: backprop() };
  const plans = await timedPlans(mlp(), [784], batchSize, estimators, { device: settings.device });
  const ratios = await measureRatios(plans);
  plans.session.dispose();
  printTable(runs, ratios);
  const [forward, back] = runs as [Run, Run];
  console.log(`
R_f, R_b: time of a full step, sampling and update included, over the bare forward pass, interleaved in one run.
Device ${forward.trainer.device}, ${settings.samplerName} tangents, ${settings.directions} direction(s), seed ${settings.seed}.`);
  const faster = back.trainLoss < forward.trainLoss ? 'Backprop' : 'The forward gradient';
  console.log(`${faster} learns faster, step for step, each at its own rate.`);
  for (const { trainer } of runs) trainer.dispose();
}

main().catch((error: unknown) => {
  if (!(error instanceof PushforwardError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
});
