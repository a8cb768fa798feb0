// What workers.test.ts runs in a worker: loads the package there, does one task, posts what came of it.
import { parentPort, workerData } from 'node:worker_threads';
import {
  Dataset,
  forwardGradient,
  gaussian,
  minimize,
  nn,
  ops,
  sgd,
  Trainer,
  tensor,
  type Value,
} from '../../src/index.ts';
import { normals } from './draw.ts';

/** The task of a worker. */
export interface Task {
  readonly kind: 'fit' | 'endless fit' | 'endless minimize' | 'endless predict' | 'leave';
  readonly seed: number;
}

export function problem(seed: number): { trainer: Trainer; set: Dataset } {
  const trainer = new Trainer({
    model: nn.sequential(nn.dense(64, { activation: 'tanh' }), nn.dense(3)),
    inputShape: [16],
    loss: ops.softmaxCrossEntropy,
    gradient: forwardGradient({ sampler: gaussian(), directions: 2 }),
    optimizer: sgd({ learningRate: 1e-3 }),
    device: 'cpu',
    seed,
  });
  const labels = Int32Array.from({ length: 120 }, (_, i) => i % 3);
  return { trainer, set: Dataset.from(tensor(normals(120 * 16, seed), [120, 16]), tensor(labels)) };
}

/** The bits of a training run. */
export async function trained(seed: number): Promise<string> {
  const { trainer, set } = problem(seed);
  await trainer.fit(set, { epochs: 20, batchSize: 8 });
  const parameters = Object.values(await trainer.parameters());
  trainer.dispose();
  return parameters
    .map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64'))
    .join();
}

/** One native call of many seconds; it is on its way when this returns. */
function longMinimize(): Promise<unknown> {
  const f = ({ x }: { x: Value }): Value => x.square().sum();
  const options = { steps: 2e7, gradient: forwardGradient(), optimizer: sgd({ learningRate: 1e-9 }) };
  return minimize(f, { x: Float32Array.of(1, 2) }, options);
}

async function run({ kind, seed }: Task): Promise<void> {
  if (kind === 'fit') return parentPort?.postMessage(await trained(seed));
  const { trainer, set } = problem(seed);
  if (kind === 'leave') {
    // Ends with a trainer, its plans and two calls in flight.
    void trainer.fit(set, { epochs: 1000, batchSize: 8 });
    void longMinimize();
    await new Promise((resolve) => setTimeout(resolve, 50));
    parentPort?.postMessage('running');
    process.exit(0);
  }
  if (kind === 'endless minimize') {
    const running = longMinimize();
    parentPort?.postMessage('running');
    await running;
    return;
  }
  parentPort?.postMessage('running');
  if (kind === 'endless fit') await trainer.fit(set, { epochs: 2 ** 31 - 1, batchSize: 8 });
  while (true) await trainer.predict(tensor(normals(16_000, 1), [1000, 16]));
}

if (workerData !== null && typeof workerData === 'object' && 'kind' in workerData) await run(workerData as Task);
if (process.argv[2] === 'leave') await run({ kind: 'leave', seed: 1 }); // as a process of its own
