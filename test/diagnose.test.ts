// trainer.diagnose: what it measures is what the estimators' closed formulas predict, parameter by parameter.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  backprop,
  forwardGradient,
  type GradientEstimator,
  gaussian,
  lowRank,
  nn,
  ops,
  rademacher,
  sgd,
  sphere,
  Trainer,
  tensor,
} from '../src/index.ts';
import { refuses } from './support/refusal.ts';

const batch = 16;
const inputs = tensor(
  Float32Array.from({ length: batch * 12 }, (_, i) => Math.sin(i * i)),
  [batch, 12],
);
const targets = tensor(Int32Array.from({ length: batch }, (_, i) => i % 4));

function trainer(gradient: GradientEstimator): Trainer {
  return new Trainer({
    model: nn.sequential(nn.dense(16, { activation: 'tanh' }), nn.dense(4)),
    inputShape: [12],
    loss: ops.softmaxCrossEntropy,
    gradient,
    optimizer: sgd({ learningRate: 0.1 }),
    seed: 3,
    device: 'cpu',
  });
}

const estimators = {
  gaussian: forwardGradient({ sampler: gaussian() }),
  rademacher: forwardGradient({ sampler: rademacher() }),
  sphere: forwardGradient({ sampler: sphere() }),
  'rank one': forwardGradient({ sampler: lowRank({ rank: 1 }) }),
  'rank three': forwardGradient({ sampler: lowRank({ rank: 3 }) }),
  'four gaussian directions': forwardGradient({ sampler: gaussian(), directions: 4 }),
};

const projection = { directions: 60, combine: 'projection' } as const;
for (const sampler of [gaussian(), sphere()])
  test(`projection, ${sampler.kind}: the predicted error within 5 %, by parameter and in all`, async () => {
    const each = trainer(forwardGradient({ sampler, ...projection }));
    const { total, parameters } = await each.diagnose({ inputs, targets }, { samples: 4_000 });
    for (const [what, { relativeVariance, predicted }] of Object.entries({ total, ...parameters })) {
      const ratio = relativeVariance / (predicted as number);
      assert.ok(Math.abs(ratio - 1) < 0.05, `${what}: ${relativeVariance} of ${predicted}`);
    }
    assert.ok(Math.abs((total.predicted as number) - (1 - 60 / total.size)) < 1e-12, `${total.predicted}`);
    each.dispose();
  });

test('what has no formula in products of c and v is measured alone', async () => {
  for (const options of [
    { sampler: rademacher(), ...projection },
    { clip: 1 },
    { perExample: true },
    { perturb: 'activations' },
  ] as const) {
    const each = trainer(forwardGradient(options));
    const { total } = await each.diagnose({ inputs, targets }, { samples: 2 });
    assert.not('predicted' in total, JSON.stringify(options));
    assert.ok(total.relativeVariance > 0);
    each.dispose();
  }
});

// Of 40,000 samples the mean of c²‖v‖², of relative deviation about √2, has a standard error of 0.7 %.
for (const [name, gradient] of Object.entries(estimators))
  test(`${name}: the measured variance is the predicted one within 5 %, by parameter and in all`, async () => {
    const each = trainer(gradient);
    const { total, parameters, samples } = await each.diagnose({ inputs, targets }, { samples: 40_000 });
    assert.is(samples, 40_000);
    assert.equal(Object.keys(parameters), ['0.w', '0.b', '1.w', '1.b']);
    assert.is(total.size, 12 * 16 + 16 + 16 * 4 + 4);
    for (const [what, { relativeVariance, predicted }] of Object.entries({ total, ...parameters })) {
      const ratio = relativeVariance / (predicted as number);
      assert.ok(Math.abs(ratio - 1) < 0.05, `${what}: ${relativeVariance} of ${predicted}`);
    }
    assert.ok(total.cosine > 0 && total.cosine < 0.2, `${total.cosine}`);
    each.dispose();
  });

test('backprop is its own gradient; nothing is trained, and the tape is freed', async () => {
  const each = trainer(backprop());
  const before = await each.parameters();
  const { total, loss } = await each.diagnose({ inputs, targets }, { samples: 2 });
  assert.is(total.relativeVariance, 0);
  assert.is(total.predicted, 0);
  assert.ok(Math.abs(total.cosine - 1) < 1e-6);
  assert.is(each.steps, 0);
  assert.equal(await each.parameters(), before);
  assert.is(each.memory().tape, 0);
  const { loss: stepped } = await each.step({ inputs, targets });
  assert.ok(Math.abs(loss - stepped) < 1e-6);
  each.dispose();
});

test('misuse', async () => {
  const each = trainer(backprop());
  await refuses([() => each.diagnose({ inputs, targets }, { samples: 0 }), 'INVALID_ARGUMENT', 'samples']);
  await refuses([() => each.diagnose({ inputs } as never), 'INVALID_ARGUMENT', 'inputs and targets']);
  await refuses([() => each.diagnose({ inputs, targets }, { count: 3 } as never), 'INVALID_ARGUMENT', 'samples']);
  each.dispose();
  await refuses([() => each.diagnose({ inputs, targets }), 'DISPOSED', 'disposed']);
});

test.run();
