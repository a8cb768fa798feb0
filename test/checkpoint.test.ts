// Checkpointing: the same gradients with less tape.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  backprop,
  checkpoint,
  type GradientEstimator,
  grad,
  jvp,
  nn,
  ops,
  type RunOptions,
  sgd,
  type Tensor,
  Trainer,
  tensor,
  Value,
} from '../src/index.ts';

const layers = 24;
const width = 64;

async function train(
  gradient: GradientEstimator,
  options: RunOptions,
): Promise<{ parameters: number[]; tape: number }> {
  const trainer = new Trainer({
    model: nn.sequential(
      ...Array.from({ length: layers }, () => nn.dense(width, { activation: 'tanh' })),
      nn.dense(10),
    ),
    inputShape: [width],
    loss: ops.softmaxCrossEntropy,
    gradient,
    optimizer: sgd({ learningRate: 0.01, momentum: 0.9 }),
    ...options,
  });
  const inputs = tensor(
    Float32Array.from({ length: 32 * width }, (_, i) => Math.sin(i)),
    [32, width],
  );
  const targets = tensor(Int32Array.from({ length: 32 }, (_, i) => i % 10));
  for (let step = 0; step < 3; step++) await trainer.step({ inputs, targets });
  const parameters = Object.values(await trainer.parameters()).flatMap(({ data }) => [...data]);
  const { tape } = trainer.memory();
  trainer.dispose();
  return { parameters, tape };
}

for (const segments of [true, 3, 8]) {
  test(`backprop with checkpoint ${segments}: the same bits in float64, rounding apart in float32, a shorter tape`, async () => {
    for (const device of ['reference', 'cpu'] as const) {
      const plain = await train(backprop(), { device });
      const kept = await train(backprop({ checkpoint: segments }), { device });
      for (const [i, value] of plain.parameters.entries()) {
        const error = Math.abs(value - (kept.parameters[i] as number));
        assert.ok(error <= (device === 'reference' ? 0 : 1e-6), `${device} ${i}: ${error}`);
      }
      assert.ok(kept.tape < plain.tape * 0.7, `${device}: ${kept.tape} of ${plain.tape} bytes`);
    }
  });
}

const x = tensor(Float64Array.of(0.3, -0.7, 1.1));
const inner = (v: Value): Value => v.tanh().mul(v.exp()).sin();
const plain = (v: Value): Value => inner(inner(v)).sum();
const saved = (v: Value): Value => checkpoint(inner)(checkpoint(inner)(v)).sum();
const reference = { device: 'reference' } as const;
const numbers = (t: Tensor): number[] => [...t.data];

test('grad, jvp and jvp of grad through checkpoint(f) are those of f', async () => {
  assert.equal(numbers(await grad(saved, reference)(x)), numbers(await grad(plain, reference)(x)));
  const v = tensor(Float64Array.of(1, -2, 0.5));
  assert.equal(
    (await jvp(saved, [x], [v], reference)).map(numbers),
    (await jvp(plain, [x], [v], reference)).map(numbers),
  );
  const second = (f: (v: Value) => Value) => jvp((p: Value) => grad(f)(p), [x], [v], reference);
  assert.equal((await second(saved)).map(numbers), (await second(plain)).map(numbers));
});

test('a tree in, a tree out, and what f closes over', async () => {
  const f = (a: Value, b: Value): Value => {
    const step = checkpoint(({ p, q }: { p: Value; q: Value }) => ({ p: p.mul(q).add(b), q: q.sin() }));
    const { p, q } = step(step({ p: a, q: b }));
    return p.mul(q).sum();
  };
  const direct = (a: Value, b: Value): Value => {
    const step = ({ p, q }: { p: Value; q: Value }) => ({ p: p.mul(q).add(b), q: q.sin() });
    const { p, q } = step(step({ p: a, q: b }));
    return p.mul(q).sum();
  };
  for (const argnums of [0, 1]) {
    const options = { ...reference, argnums };
    const expected = numbers(await grad(direct, options)(x, x));
    // A value with two readers may have its cotangents added in another order.
    for (const [i, value] of numbers(await grad(f, options)(x, x)).entries()) {
      assert.ok(Math.abs(value - (expected[i] as number)) < 1e-14 * Math.abs(value), `${value} for ${expected[i]}`);
    }
  }
});

test('bad segments', () => {
  for (const bad of [0, -1, 1.5, 1e9, 'yes']) {
    assert.throws(
      () => backprop({ checkpoint: bad as number }),
      (error: { code?: string }) => error.code === 'INVALID_ARGUMENT',
    );
  }
  assert.throws(() => checkpoint(3 as never), /checkpoint/);
  assert.ok(Value);
});

test.run();
