// Longer training runs on device cuda against float64 on reference, at the tolerances of the golden runs: the paper's MLP with its hidden
// layer at 128 and whole, and the CNN with 8 channels. Prints how long each took and how near it came.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backprop, forwardGradient, gaussian, lowRank } from '../../src/index.ts';
import { cnn, mlp, type Setting, trained } from '../support/run.ts';

const small = { model: mlp(128), inputShape: [784], rate: 2e-4, batch: 64, steps: 200 };
const image = { model: cnn(8), inputShape: [28, 28, 1], rate: 2e-4, batch: 8, steps: 20 };
const settings: Readonly<Record<string, Setting>> = {
  '784-128-10, gaussian': { ...small, gradient: forwardGradient({ sampler: gaussian() }) },
  '784-128-10, rank one': { ...small, gradient: forwardGradient({ sampler: lowRank({ rank: 1 }) }) },
  '784-128-10, backprop': { ...small, gradient: backprop(), rate: 0.1, steps: 50 },
  'cnn, gaussian': { ...image, gradient: forwardGradient({ sampler: gaussian() }) },
  'cnn, backprop': { ...image, gradient: backprop(), rate: 0.05 },
  '784-1024-1024-10, gaussian': {
    ...small,
    model: mlp(1024, 1024),
    gradient: forwardGradient({ sampler: gaussian() }),
    steps: 1,
  },
};

/** The largest difference, relative to max(1, |expected|). */
function worst(actual: readonly number[], expected: readonly number[]): number {
  assert.is(actual.length, expected.length);
  const errors = actual.map((x, i) => {
    const y = expected[i] as number;
    return Math.abs(x - y) / Math.max(1, Math.abs(y));
  });
  return errors.some(Number.isNaN) ? Number.NaN : Math.max(0, ...errors);
}

for (const [name, setting] of Object.entries(settings)) {
  test(`${name}: ${setting.steps} steps`, async () => {
    const cuda = await trained(setting, { device: 'cuda' });
    const reference = await trained(setting, { device: 'reference' });
    const loss = worst(cuda.losses, reference.losses);
    const derivative = worst(cuda.derivatives.flat(), reference.derivatives.flat());
    console.log(
      `\nNOTE ${name}: ${cuda.seconds.toFixed(1)} s for ${setting.steps} steps, loss within ${loss.toExponential(1)}, derivatives ${derivative.toExponential(1)}`,
    );
    assert.ok(loss <= 5e-6, `${loss}`);
    assert.ok(derivative <= 2e-5, `${derivative}`);
    for (const [i, { data }] of cuda.parameters.entries()) {
      const expected = reference.parameters[i]?.data as Float64Array;
      let [error, size] = [0, 0];
      for (const [j, value] of expected.entries()) {
        error += ((data[j] as number) - value) ** 2;
        size += value ** 2;
      }
      assert.ok(Math.sqrt(error) <= 2e-5 * Math.sqrt(size), `parameter ${i}: ${Math.sqrt(error / size)}`);
    }
  });
}

test.run();
