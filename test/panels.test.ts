// Weights in panels and planes: layers whose widths make whole panels, half ones and none are trained, read, written and
// shared as if their weights lay row by row. `reference`, where they do, is the judge.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/binding.ts';
import {
  adam,
  adamW,
  backprop,
  forwardGradient,
  type GradientEstimator,
  gaussian,
  lowRank,
  type Model,
  nn,
  type Optimizer,
  ops,
  type RunOptions,
  rademacher,
  scan,
  sgd,
  type Tensor,
  Trainer,
  tensor,
} from '../src/index.ts';
import { withIsa } from './support/isa.ts';

const sets = native.instructionSets();
const input = 48;
const classes = 16;
const batch = 12;

/** Widths of one panel and a half of AVX-512 (80), half a panel (16), whole ones (64), and one that is no multiple (20). */
const deep = (): Model =>
  nn.sequential(
    nn.dense(80, { activation: 'tanh' }),
    nn.dense(64, { activation: 'tanh' }),
    nn.dense(20, { activation: 'tanh' }),
    nn.dense(classes),
  );

/** A weight used twice: its gradient is a sum, and a buffer. */
const tied = (): Model => {
  const layer = nn.dense(48, { activation: 'tanh' });
  return nn.sequential(layer, layer, nn.dense(classes));
};

/** A weight that a loop reads, row by row. */
const looped = (): Model => {
  const layer = nn.dense(48, { activation: 'tanh' });
  const twice: Model = (x) => scan((carry) => [layer(carry), carry], x, x.reshape([1, ...x.shape]))[0];
  return nn.sequential(twice, nn.dense(classes));
};

async function train(
  model: () => Model,
  gradient: GradientEstimator,
  optimizer: Optimizer,
  options: RunOptions,
): Promise<{ parameters: Record<string, Tensor>; loss: number; output: Tensor }> {
  const trainer = new Trainer({
    model: model(),
    inputShape: [input],
    loss: ops.softmaxCrossEntropy,
    gradient,
    optimizer,
    seed: 5,
    ...options,
  });
  const inputs = tensor(
    Float32Array.from({ length: batch * input }, (_, i) => Math.sin(i)),
    [batch, input],
  );
  const targets = tensor(Int32Array.from({ length: batch }, (_, i) => i % classes));
  let loss = 0;
  for (let step = 0; step < 4; step++) ({ loss } = await trainer.step({ inputs, targets }));
  const parameters = await trainer.parameters();
  const output = await trainer.predict(inputs);
  trainer.dispose();
  return { parameters, loss, output };
}

function assertNear(actual: ArrayLike<number>, expected: ArrayLike<number>, bound: number, what: string): void {
  assert.is(actual.length, expected.length);
  let largest = 0;
  let scale = 1;
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs((actual[i] as number) - (expected[i] as number)));
    scale = Math.max(scale, Math.abs(expected[i] as number));
  }
  assert.ok(largest <= bound * scale, `${what}: ${largest} of ${bound * scale}`);
}

const rate = { learningRate: 0.01 };
const optimizers = {
  sgd: sgd(rate),
  nesterov: sgd({ ...rate, momentum: 0.9, nesterov: true, weightDecay: 0.01 }),
  adam: adam({ ...rate, epsilon: 0.01 }),
  adamW: adamW({ ...rate, epsilon: 0.01, weightDecay: 0.1 }),
};
const gradients = {
  backprop: backprop(),
  'rank one': forwardGradient(),
  'rank two, three directions': forwardGradient({ sampler: lowRank({ rank: 2 }), directions: 3 }),
  'two gaussian directions': forwardGradient({ sampler: gaussian(), directions: 2 }),
  rademacher: forwardGradient({ sampler: rademacher() }),
};

// Of float32 against float64, of the largest number, after four steps; of bf16, where a sum near a tie may round to the
// other side.
const bounds = { f32: 2e-5, bf16: 4e-3 };

for (const [name, gradient] of Object.entries(gradients))
  for (const [rule, optimizer] of Object.entries(optimizers))
    test(`${name}, ${rule}: four steps are those of reference`, async () => {
      for (const [precision, bound] of Object.entries(bounds)) {
        const judged = precision === 'bf16' ? 'bf16' : 'f64';
        const expected = await train(deep, gradient, optimizer, { device: 'reference', precision: judged });
        for (const isa of sets.filter((set) => set !== 'amx'))
          await withIsa(isa, async () => {
            const options = { device: 'cpu', precision: precision as 'f32' | 'bf16', threads: 2 } as const;
            const actual = await train(deep, gradient, optimizer, options);
            const what = `${isa} ${precision}`;
            for (const [key, { data }] of Object.entries(expected.parameters))
              assertNear((actual.parameters[key] as Tensor).data, data, bound, `${what} ${key}`);
            assertNear(actual.output.data, expected.output.data, 20 * bound, `${what} output`);
          });
      }
    });

for (const [name, model] of Object.entries({ tied, looped }))
  test(`a ${name} weight is that of reference`, async () => {
    for (const gradient of [backprop(), forwardGradient()]) {
      const expected = await train(model, gradient, optimizers.nesterov, { device: 'reference' });
      for (const isa of sets.filter((set) => set !== 'amx'))
        await withIsa(isa, async () => {
          const actual = await train(model, gradient, optimizers.nesterov, { device: 'cpu' });
          for (const [key, { data }] of Object.entries(expected.parameters))
            assertNear((actual.parameters[key] as Tensor).data, data, bounds.f32, `${isa} ${key}`);
        });
    }
  });

test('more panels than δ is packed for at once: an update is that of reference', async () => {
  const [examples, width, inputs] = [1030, 1056, 16]; // δ has more than the 4 MB that are packed at once
  const stepped = async (options: RunOptions): Promise<Tensor> => {
    using trainer = new Trainer({
      model: nn.sequential(nn.dense(width, { activation: 'tanh' }), nn.dense(classes)),
      inputShape: [inputs],
      loss: ops.softmaxCrossEntropy,
      gradient: backprop(),
      optimizer: sgd({ learningRate: 30 }), // makes the update as large as the weights
      seed: 5,
      ...options,
    });
    const x = Float32Array.from({ length: examples * inputs }, (_, i) => Math.sin(i));
    const targets = tensor(Int32Array.from({ length: examples }, (_, i) => i % classes));
    await trainer.step({ inputs: tensor(x, [examples, inputs]), targets });
    return (await trainer.parameters())['0.w'] as Tensor;
  };
  for (const [precision, bound] of Object.entries(bounds)) {
    const expected = await stepped({ device: 'reference', precision: precision === 'bf16' ? 'bf16' : 'f64' });
    for (const isa of sets)
      await withIsa(isa, async () => {
        const actual = await stepped({ device: 'cpu', precision: precision as 'f32' | 'bf16' });
        assertNear(actual.data, expected.data, bound, `${isa} ${precision}`);
      });
  }
});

test('a row alone, which reads panels without packing, is what it is among others', async () => {
  const rows = tensor(
    Float32Array.from({ length: batch * input }, (_, i) => Math.sin(i)),
    [batch, input],
  );
  for (const precision of ['f32', 'bf16'] as const)
    for (const isa of sets)
      await withIsa(isa, async () => {
        using trainer = new Trainer({
          model: deep(),
          inputShape: [input],
          loss: ops.softmaxCrossEntropy,
          gradient: backprop(),
          optimizer: sgd(rate),
          device: 'cpu',
          precision,
        });
        const together = await trainer.predict(rows);
        for (let i = 0; i < batch; i++) {
          const row = rows.data.slice(i * input, (i + 1) * input);
          const alone = await trainer.predict(tensor(row, [1, input]));
          const expected = together.data.slice(i * classes, (i + 1) * classes);
          assertNear(alone.data, expected, bounds[precision], `${isa} ${precision} row ${i}`);
        }
      });
});

test('what is written is read back, bit for bit, at every precision', async () => {
  for (const precision of ['f32', 'bf16'] as const)
    for (const isa of sets)
      await withIsa(isa, async () => {
        const trainer = new Trainer({
          model: deep(),
          inputShape: [input],
          loss: ops.softmaxCrossEntropy,
          gradient: backprop(),
          optimizer: sgd(rate),
          device: 'cpu',
          precision,
        });
        const before = await trainer.parameters();
        const written = Object.fromEntries(
          Object.entries(before).map(([key, { data, shape }]) => {
            const values = Float32Array.from(data, (_, i) => Math.fround(Math.sin(i + 1) * 2 ** ((i % 60) - 30)));
            values.set([0, -0, 1 + 2 ** -8, 1 + 2 ** -8 + 2 ** -23, -1 - 2 ** -8, Infinity, -Infinity, 3e38]);
            return [key, tensor(values, shape)];
          }),
        );
        await trainer.setParameters(written);
        const after = await trainer.parameters();
        for (const [key, { data }] of Object.entries(written))
          assert.equal(
            new Int32Array((after[key] as Tensor).data.buffer),
            new Int32Array(data.buffer),
            `${isa} ${precision} ${key}`,
          );
        trainer.dispose();
      });
});

test('no step of a plain network copies its weights', async () => {
  const trainer = new Trainer({
    model: deep(),
    inputShape: [input],
    loss: ops.softmaxCrossEntropy,
    gradient: backprop(),
    optimizer: sgd(rate),
    device: 'cpu',
  });
  await trainer.step({ inputs: tensor(new Float32Array(input), [1, input]), targets: tensor(new Int32Array(1)) });
  assert.not.match(trainer.describe(), /strided_copy|planes/);
  trainer.dispose();
});

test.run();
