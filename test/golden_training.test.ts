// The golden training runs on reference, fused and unfused; golden_training_float32.test.ts has the other devices.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { tensor } from '../src/index.ts';
import { type TrainingRun, training } from './golden.ts';
import { checkAll, float64, trainerOf } from './support/golden_runs.ts';

test('every run', () => {
  assert.is(training.runs.length, 20);
});

for (const fuse of [true, false])
  test(fuse ? 'fused' : 'unfused', () => checkAll({ device: 'reference', fuse }, float64));

test('given data as typed arrays', async () => {
  const trainer = trainerOf(training.runs[0] as TrainingRun, { device: 'cpu' });
  const result = await trainer.step({
    inputs: tensor(new Float32Array(784), [1, 784]),
    targets: tensor(Int32Array.of(3), [1]),
  });
  assert.ok(Number.isFinite(result.loss));
});

test.run();
