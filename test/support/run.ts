// Whole training runs on a chosen device: losses, directional derivatives and parameters after some steps on MNIST.
import {
  type Dataset,
  data,
  type GradientEstimator,
  type Model,
  nn,
  ops,
  type RunOptions,
  sgd,
  type Tensor,
  Trainer,
} from '../../src/index.ts';

/** What to train. */
export interface Setting {
  readonly model: () => Model;
  readonly inputShape: readonly number[];
  readonly gradient: GradientEstimator;
  readonly rate: number;
  readonly batch: number;
  readonly steps: number;
}

/** What came of it. */
export interface Result {
  readonly losses: readonly number[];
  readonly derivatives: readonly (readonly number[])[];
  readonly parameters: readonly Tensor[];
  readonly seconds: number;
}

/** 784-…-10 with ReLU. */
export const mlp =
  (...widths: number[]) =>
  (): Model =>
    nn.sequential(...widths.map((width) => nn.dense(width, { activation: 'relu' })), nn.dense(10));

/** The demo's small network of one convolution. */
export const cnn = (channels: number) => (): Model =>
  nn.sequential(
    nn.conv2d(channels, { kernel: 3, padding: 1, activation: 'relu' }),
    nn.maxPool2d({ window: 2 }),
    nn.flatten(),
    nn.dense(10),
  );

const sets = new Map<string, Promise<{ train: Dataset }>>();

function setOf(inputShape: readonly number[]): Promise<{ train: Dataset }> {
  const key = inputShape.join();
  let set = sets.get(key);
  if (set === undefined) {
    set = data.mnist({ inputShape: [...inputShape] });
    sets.set(key, set);
  }
  return set;
}

/** The setting, trained on the first batches of the training set. */
export async function trained(setting: Setting, options: RunOptions): Promise<Result> {
  const { model, inputShape, gradient, rate, batch, steps } = setting;
  const { train } = await setOf(inputShape);
  const start = performance.now();
  const trainer = new Trainer({
    model: model(),
    inputShape: [...inputShape],
    loss: ops.softmaxCrossEntropy,
    gradient,
    optimizer: sgd({ learningRate: rate }),
    seed: 11,
    ...options,
  });
  try {
    const losses: number[] = [];
    const derivatives: (readonly number[])[] = [];
    for await (const each of train.slice(0, batch * steps).batches({ batchSize: batch })) {
      const { loss, directionalDerivatives = [] } = await trainer.step(each);
      losses.push(loss);
      derivatives.push([...directionalDerivatives]);
    }
    const parameters = Object.values(await trainer.parameters());
    return { losses, derivatives, parameters, seconds: (performance.now() - start) / 1000 };
  } finally {
    trainer.dispose();
  }
}
