// The demo's forward gradient, held to figures: the paper's MLP, its rate and its sampler, three epochs of the 60,000 images.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { forwardGradient, gaussian } from '../src/index.ts';
import { meanBetween, train } from './support/mnist.ts';

test('2.2 or more over the first 100 steps, 1.7 or less over steps 2,700 to 2,800', async () => {
  const { trainer, losses } = await train(forwardGradient({ sampler: gaussian() }), 2e-4);
  const [begin, end] = [meanBetween(losses, 0, 100), meanBetween(losses, 2700, 2800)];
  assert.ok(begin >= 2.2 && end <= 1.7, `${begin}, ${end}`);
  trainer.dispose();
});

test.run();
