// The demo's forward gradient, held to figures: the paper's MLP, its rate and its sampler, two epochs of the 60,000 images (npm run demo has three).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { forwardGradient, gaussian } from '../src/index.ts';
import { meanBetween, train } from './support/mnist.ts';

test('2.2 or more over the first 100 steps, 1.7 or less over steps 1,700 to 1,800', async () => {
  const { trainer, losses } = await train(forwardGradient({ sampler: gaussian() }), 2e-4, 2);
  const [begin, end] = [meanBetween(losses, 0, 100), meanBetween(losses, 1700, 1800)];
  assert.ok(begin >= 2.2 && end <= 1.7, `${begin}, ${end}`);
  trainer.dispose();
});

test.run();
