// The paper's MLP on MNIST, as the demo trains it.
import * as assert from 'uvu/assert';
import { mlp } from '../../bench/ratios.ts';
import { data, exponentialDecay, type GradientEstimator, type Mnist, ops, sgd, Trainer } from '../../src/index.ts';

export const sets: Mnist = await data.mnist({ inputShape: [784] });

/** The trainer, and losses at the steps that ended a native call. */
export async function train(
  gradient: GradientEstimator,
  rate: number,
  epochs: number,
): Promise<{ trainer: Trainer; losses: [step: number, loss: number][] }> {
  const trainer = new Trainer({
    model: mlp(),
    inputShape: [784],
    loss: ops.softmaxCrossEntropy,
    gradient,
    optimizer: sgd({ learningRate: exponentialDecay(rate, 1e-4) }),
    seed: 0,
  });
  const losses: [number, number][] = [];
  const { steps, aborted } = await trainer.fit(sets.train, {
    epochs,
    batchSize: 64,
    onProgress: ({ step, loss }) => losses.push([step, loss]),
  });
  assert.equal([steps, aborted], [937 * epochs, false]);
  return { trainer, losses };
}

/** The mean of the losses at steps in [from, to). */
export function meanBetween(
  losses: readonly (readonly [step: number, loss: number])[],
  from: number,
  to: number,
): number {
  const part = losses.filter(([step]) => step >= from && step < to).map(([, loss]) => loss);
  return part.reduce((sum, loss) => sum + loss, 0) / part.length;
}
