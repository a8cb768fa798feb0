// What the demo shows, held to figures: the paper's MLP on the 60,000 images, three epochs by backprop and by forward gradients.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { mlp } from '../bench/ratios.ts';
import {
  backprop,
  data,
  exponentialDecay,
  forwardGradient,
  type GradientEstimator,
  gaussian,
  ops,
  sgd,
  Trainer,
} from '../src/index.ts';

const sets = await data.mnist({ inputShape: [784] });

/** Losses at the steps that ended a native call, and the trainer. */
async function train(
  gradient: GradientEstimator,
  rate: number,
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
    epochs: 3,
    batchSize: 64,
    onProgress: ({ step, loss }) => losses.push([step, loss]),
  });
  assert.equal([steps, aborted], [2811, false]);
  return { trainer, losses };
}

function meanBetween(losses: readonly [number, number][], from: number, to: number): number {
  const part = losses.filter(([step]) => step >= from && step < to).map(([, loss]) => loss);
  return part.reduce((sum, loss) => sum + loss, 0) / part.length;
}

test('backprop reaches 97.5 % in three epochs at its tuned rate', async () => {
  const { trainer } = await train(backprop(), 0.3);
  const { metrics } = await trainer.evaluate(sets.test);
  assert.ok((metrics.accuracy ?? 0) >= 0.975, `${metrics.accuracy}`);
  trainer.dispose();
});

test("the forward gradient, at the paper's rate: 2.2 or more over the first 100 steps, 1.7 or less over steps 2,700 to 2,800", async () => {
  const { trainer, losses } = await train(forwardGradient({ sampler: gaussian() }), 2e-4);
  const [begin, end] = [meanBetween(losses, 0, 100), meanBetween(losses, 2700, 2800)];
  assert.ok(begin >= 2.2 && end <= 1.7, `${begin}, ${end}`);
  trainer.dispose();
});

test.run();
