// A small problem for the tests of the trainer: 4 classes of points in 20 dimensions, and a trainer of it.
import {
  adam,
  adamW,
  type Batch,
  backprop,
  Dataset,
  forwardGradient,
  type GradientEstimator,
  gaussian,
  lowRank,
  type Model,
  nn,
  type Optimizer,
  ops,
  rademacher,
  sgd,
  sphere,
  Trainer,
  type TrainerOptions,
  tensor,
} from '../../src/index.ts';
import { normals, uniforms } from './draw.ts';

export const size: number = 20;
export const classes: number = 4;
export const examples: number = 203;
export const points: Float32Array = normals(examples * size, 1);
export const labels: Int32Array = (() => {
  const next = uniforms(2);
  return Int32Array.from({ length: examples }, () => Math.floor(next() * classes));
})();
for (let i = 0; i < examples; i++) points[i * size + labels[i]!]! += 3;
export const set: Dataset = Dataset.from(tensor(points, [examples, size]), tensor(labels));
export const bytes: Dataset = Dataset.from(
  Uint8Array.from(points, (x) => Math.max(0, Math.min(255, 128 + 40 * x))),
  tensor(labels),
);

export const model = (): Model => nn.sequential(nn.dense(33, { activation: 'relu' }), nn.dense(classes));
export function trainerOf(options: Partial<TrainerOptions> = {}): Trainer {
  return new Trainer({
    model: model(),
    inputShape: [size],
    loss: ops.softmaxCrossEntropy,
    gradient: forwardGradient(),
    optimizer: sgd({ learningRate: 0.02 }),
    device: 'cpu',
    seed: 6,
    ...options,
  });
}

export async function* batchesOf(
  source: Dataset,
  batchSize: number,
  seed?: number,
  epoch = 0,
  lastBatch: 'drop' | 'keep' = 'drop',
): AsyncGenerator<Batch> {
  yield* source.batches({ batchSize, epoch, lastBatch, ...(seed === undefined ? {} : { seed }) });
}
export async function batch(at = 0, count = 32): Promise<Batch> {
  for await (const found of batchesOf(set.slice(at, at + count), count)) return found;
  throw new Error('no batch');
}

/** The bits of all parameters. */
export async function bitsOf(trainer: Trainer): Promise<string> {
  const parameters = await trainer.parameters();
  return Object.entries(parameters)
    .map(
      ([name, { data }]) => `${name} ${Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64')}`,
    )
    .join('\n');
}

export const optimizers: Record<string, Optimizer> = {
  sgd: sgd({ learningRate: 0.02 }),
  momentum: sgd({ learningRate: 0.02, momentum: 0.9, weightDecay: 1e-3 }),
  nesterov: sgd({ learningRate: 0.02, momentum: 0.9, nesterov: true }),
  adam: adam({ learningRate: 0.01 }),
  adamW: adamW({ learningRate: 0.01 }),
};
export const estimators: Record<string, GradientEstimator> = {
  backprop: backprop(),
  default: forwardGradient(),
  gaussian: forwardGradient({ sampler: gaussian(), directions: 3 }),
  rademacher: forwardGradient({ sampler: rademacher() }),
  sphere: forwardGradient({ sampler: sphere(), directions: 2 }),
  'low rank 3': forwardGradient({ sampler: lowRank({ rank: 3 }), directions: 2 }),
};
