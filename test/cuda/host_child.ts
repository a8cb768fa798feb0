// What host.test.ts runs in processes of their own, since a process has one driver: a task on device cuda, its outcomes printed as JSON.
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import {
  backprop,
  Dataset,
  devices,
  evaluate,
  forwardGradient,
  gaussian,
  minimize,
  nn,
  ops,
  PushforwardError,
  type RunOptions,
  sgd,
  Trainer,
  tensor,
  type Value,
} from '../../src/index.ts';

/** An error, or what was computed. */
export interface Outcome {
  readonly code?: string;
  readonly message?: string;
  readonly result?: unknown;
}

const count = 48;
const pixels = Uint8Array.from({ length: count * 12 }, (_, i) => (i * 37) % 251);
const labels = Int32Array.from({ length: count }, (_, i) => i % 3);

function problem(options: RunOptions, width = 8, learningRate = 0.05): Trainer {
  return new Trainer({
    model: nn.sequential(nn.dense(width, { activation: 'tanh' }), nn.dense(3)),
    inputShape: [12],
    loss: ops.softmaxCrossEntropy,
    gradient: forwardGradient({ sampler: gaussian() }),
    optimizer: sgd({ learningRate }),
    seed: 5,
    ...options,
  });
}

const examples = (): Dataset => Dataset.from(pixels, tensor(labels), { inputShape: [12], scale: 1 / 255 });

/** Parameters after two epochs of a resident set. */
async function fitted(options: RunOptions): Promise<number[]> {
  const trainer = problem(options);
  try {
    await trainer.fit(examples(), { epochs: 2, batchSize: 8 });
    return Object.values(await trainer.parameters()).flatMap(({ data }) => [...data]);
  } finally {
    trainer.dispose();
  }
}

async function outcome(task: () => Promise<unknown>): Promise<Outcome> {
  try {
    return { result: await task() };
  } catch (error) {
    if (!(error instanceof PushforwardError)) throw error;
    return { code: error.code, message: error.message };
  }
}

const square = (x: Value): Value => x.square().sum();
const bowl = ({ x }: { x: Value }): Value => x.square().sum();
const sum = async (device: 'cpu' | 'cuda' | 'auto'): Promise<number> =>
  (await evaluate(square, { device })(Float32Array.of(1, 2, 3))).item();

const tasks: Readonly<Record<string, () => Promise<unknown>>> = {
  /** What there is, what 'auto' takes and warns of, what cuda says; and that the cpu still computes. */
  async open() {
    const warnings: string[] = [];
    process.on('warning', ({ message }) => warnings.push(message));
    const auto = [await sum('auto'), await sum('auto')];
    const chosen = problem({}).device;
    const cuda = await outcome(() => sum('cuda'));
    return { devices: devices(), auto, chosen, cuda, cpu: await sum('cpu'), warnings };
  },

  /** A device by its index. */
  index: () => outcome(async () => problem({ device: 'cuda:7' }).device),

  /** Everything that runs take in turn: a resident set, staged batches, records, a step that is not finite. */
  async runs() {
    const resident = await fitted({ device: 'cuda' });
    const again = await fitted({ device: 'cuda' });
    const stepped = async (device: 'cpu' | 'cuda'): Promise<number[]> => {
      const trainer = problem({ device });
      const losses: number[] = [];
      for await (const batch of examples().batches({ batchSize: 8 })) losses.push((await trainer.step(batch)).loss);
      trainer.dispose();
      return losses;
    };
    const descend = async (device: 'cpu' | 'cuda', learningRate: number): Promise<unknown> => {
      const options = { steps: 40, recordEvery: 8, optimizer: sgd({ learningRate }), gradient: backprop(), device };
      const { parameters, losses, path } = await minimize(bowl, { x: Float32Array.of(1, -2, 3) }, options);
      return { x: [...parameters.x.data], losses: [...losses], path: path.map(({ x }) => [...x.data]) };
    };
    return {
      same: JSON.stringify(resident) === JSON.stringify(again),
      resident,
      cpu: await fitted({ device: 'cpu' }),
      steps: [await stepped('cuda'), await stepped('cpu')],
      descents: [await descend('cuda', 0.05), await descend('cpu', 0.05)],
      overflows: [await outcome(() => descend('cuda', 1e20)), await outcome(() => descend('cpu', 1e20))],
    };
  },

  /** Training again and again until it goes well twice: what failed, and whether both gave the same. */
  async retry() {
    const failures: Outcome[] = [];
    let before: string | undefined;
    for (let tries = 0; tries < 100; tries++) {
      const { result, ...failure } = await outcome(() => fitted({ device: 'cuda' }));
      if (failure.code !== undefined) failures.push(failure);
      else if (before !== undefined) return { failures, same: before === JSON.stringify(result) };
      before = failure.code === undefined ? JSON.stringify(result) : undefined;
    }
    return { failures };
  },

  /** A model that does not fit beside one that does. */
  async large() {
    const small = problem({ device: 'cuda' });
    await small.fit(examples(), { epochs: 1, batchSize: 8 });
    const before = small.memory();
    const large = problem({ device: 'cuda' }, 4_000_000);
    const refused = await outcome(() => large.fit(examples(), { epochs: 1, batchSize: 8 }));
    large.dispose();
    await small.fit(examples(), { epochs: 1, batchSize: 8 });
    const after = small.memory();
    small.dispose();
    return { refused, before, after };
  },

  /** A kernel that fails: the device is lost, the rest goes on. */
  async lost() {
    const first = await outcome(() => fitted({ device: 'cuda' }));
    const second = await outcome(() => sum('cuda'));
    return { first, second, cpu: await sum('cpu') };
  },

  /** A worker terminated in the middle of endless training. */
  async worker() {
    const worker = new Worker(new URL('./host_worker.mjs', import.meta.url));
    await new Promise((resolve) => worker.once('message', resolve));
    await new Promise((resolve) => setTimeout(resolve, 200));
    const start = performance.now();
    await worker.terminate();
    return { milliseconds: performance.now() - start, sum: await sum('cuda') };
  },

  async endless() {
    const trainer = problem({ device: 'cuda' });
    const fit = trainer.fit(examples(), { epochs: 1_000_000, batchSize: 8 });
    parentPort?.postMessage('running');
    await fit;
  },
};

const name = isMainThread ? process.argv[2] : 'endless';
const task = tasks[name ?? ''];
if (task === undefined) throw new Error(`no task ${name}`);
const found = await task();
if (isMainThread) console.log(`OUTCOME ${JSON.stringify(found)}`);
