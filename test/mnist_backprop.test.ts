// The demo's backprop, held to a figure: the paper's MLP at its tuned rate, three epochs of the 60,000 images.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backprop } from '../src/index.ts';
import { sets, train } from './support/mnist.ts';

test('97.5 % or more of the test images', async () => {
  const { trainer } = await train(backprop(), 0.3, 3);
  const { metrics } = await trainer.evaluate(sets.test);
  assert.ok((metrics.accuracy ?? 0) >= 0.975, `${metrics.accuracy}`);
  trainer.dispose();
});

test.run();
