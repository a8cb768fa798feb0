// rnn and gru: against the formulas in plain JavaScript, in training, and in memory over time.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  adam,
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
  sgd,
  type Tensor,
  Trainer,
  tensor,
} from '../src/index.ts';

const [B, T, N, H] = [2, 6, 3, 4];

function wave(shape: readonly number[], phase: number): Tensor {
  const size = shape.reduce((product, axis) => product * axis, 1);
  return tensor(
    Float64Array.from({ length: size }, (_, i) => Math.sin(1.3 * i + phase)),
    shape,
  );
}

function trainerOf(
  model: Model,
  gradient: GradientEstimator,
  optimizer: Optimizer,
  length: number,
  options: RunOptions,
): Trainer {
  return new Trainer({ model, inputShape: [length, N], loss: ops.meanSquaredError, gradient, optimizer, ...options });
}

const sigma = (x: number): number => 1 / (1 + Math.exp(-x));

/** x · w + b for one row. */
function affine(x: readonly number[], w: Tensor, b: Tensor): number[] {
  const columns = w.shape[1] as number;
  return Array.from({ length: columns }, (_, j) =>
    x.reduce((sum, value, i) => sum + value * (w.data[i * columns + j] as number), b.data[j] as number),
  );
}

type Cell = (h: number[], x: number[], p: Record<string, Tensor>) => number[];
const cells: Record<'rnn' | 'gru', Cell> = {
  rnn: (h, x, p) => {
    const b = affine(h, p.wh as Tensor, p.bh as Tensor);
    return affine(x, p.wx as Tensor, p.bx as Tensor).map((a, j) => Math.tanh(a + (b[j] as number)));
  },
  gru: (h, x, p) => {
    const a = affine(x, p.wx as Tensor, p.bx as Tensor);
    const b = affine(h, p.wh as Tensor, p.bh as Tensor);
    const at = (from: number[], gate: number, j: number): number => from[gate * H + j] as number;
    return h.map((old, j) => {
      const r = sigma(at(a, 0, j) + at(b, 0, j));
      const z = sigma(at(a, 1, j) + at(b, 1, j));
      const n = Math.tanh(at(a, 2, j) + r * at(b, 2, j));
      return (1 - z) * n + z * old;
    });
  },
};

for (const kind of ['rnn', 'gru'] as const) {
  for (const sequence of [false, true]) {
    test(`${kind}, ${sequence ? 'every state' : 'the last state'}: the formulas`, async () => {
      const trainer = trainerOf(nn[kind](H, { sequence }), backprop(), sgd({ learningRate: 0.1 }), T, {
        device: 'reference',
      });
      const names = Object.keys(await trainer.parameters());
      const shapes = Object.values(await trainer.parameters()).map(({ shape }) => shape);
      const values = Object.fromEntries(names.map((name, i) => [name, wave(shapes[i] as number[], i)]));
      await trainer.setParameters(values);
      const x = wave([B, T, N], 9);
      const y = await trainer.predict(x);
      assert.equal([...y.shape], sequence ? [B, T, H] : [B, H]);
      for (let b = 0; b < B; b++) {
        let h: number[] = new Array(H).fill(0);
        for (let t = 0; t < T; t++) {
          const at = (b * T + t) * N;
          h = cells[kind](h, [...x.data.slice(at, at + N)], values);
          if (!sequence && t < T - 1) continue;
          for (let j = 0; j < H; j++) {
            const got = y.data[(sequence ? b * T + t : b) * H + j] as number;
            assert.ok(Math.abs(got - (h[j] as number)) < 1e-13, `${b} ${t} ${j}: ${got} for ${h[j]}`);
          }
        }
      }
      trainer.dispose();
    });
  }
}

test('a gru learns which of two inputs came first, by backprop and, more slowly, by forward gradients', async () => {
  const x = Float32Array.from({ length: 32 * T * N }, (_, i) => Math.cos(i * i));
  const inputs = tensor(x, [32, T, N]);
  const targets = tensor(
    Float32Array.from({ length: 32 }, (_, b) => (x[b * T * N] as number) - (x[b * T * N + N] as number)),
    [32, 1],
  );
  const model = (): Model => nn.sequential(nn.gru(16), nn.dense(1));
  const losses = async (
    gradient: GradientEstimator,
    optimizer: Optimizer,
    steps: number,
  ): Promise<[number, number]> => {
    const trainer = trainerOf(model(), gradient, optimizer, T, { device: 'cpu' });
    const first = (await trainer.step({ inputs, targets })).loss;
    let last = first;
    for (let step = 1; step < steps; step++) last = (await trainer.step({ inputs, targets })).loss;
    trainer.dispose();
    return [first, last];
  };
  const [begin, end] = await losses(backprop(), adam({ learningRate: 0.01 }), 300);
  assert.ok(end < 0.1 * begin, `backprop: ${begin} to ${end}`);
  const [first, last] = await losses(forwardGradient({ directions: 8 }), adam({ learningRate: 0.003 }), 600);
  assert.ok(last < 0.8 * first, `forward gradient: ${first} to ${last}`);
});

/** Bytes of one training step, without the sequence itself. */
async function bytes(length: number, gradient: GradientEstimator): Promise<{ workspace: number; tape: number }> {
  const trainer = trainerOf(nn.sequential(nn.gru(32), nn.dense(1)), gradient, sgd({ learningRate: 1e-3 }), length, {
    device: 'cpu',
  });
  await trainer.step({
    inputs: tensor(new Float32Array(B * length * N).fill(0.1), [B, length, N]),
    targets: tensor(new Float32Array(B), [B, 1]),
  });
  const { workspace, tape } = trainer.memory();
  trainer.dispose();
  const sequence = Math.ceil((4 * B * length * N) / 64) * 64; // transposed: time first
  return { workspace: workspace - sequence, tape };
}

test('a gru over 10,000 steps of time needs the workspace of 100 in forward mode, and linear memory in backprop', async () => {
  for (const sampler of [gaussian(), lowRank({ rank: 1 })]) {
    const [short, long] = [
      await bytes(100, forwardGradient({ sampler })),
      await bytes(10_000, forwardGradient({ sampler })),
    ];
    assert.equal(long, short);
    assert.is(short.tape, 0);
  }
  const [short, long] = [await bytes(100, backprop()), await bytes(10_000, backprop())];
  assert.ok(long.tape > 90 * short.tape && long.tape < 110 * short.tape, `${short.tape} and ${long.tape} bytes`);
});

test('inside a gru too, no generated tangent is stored whole', async () => {
  const units = 512;
  for (const sampler of [gaussian(), rademacher(), lowRank({ rank: 1 })]) {
    const gradient = forwardGradient({ sampler });
    const trainer = trainerOf(nn.sequential(nn.gru(units), nn.dense(1)), gradient, sgd({ learningRate: 1e-3 }), T, {
      device: 'cpu',
      threads: 1,
    });
    const inputs = tensor(new Float32Array(B * T * N).fill(0.1), [B, T, N]);
    await trainer.step({ inputs, targets: tensor(new Float32Array(B), [B, 1]) });
    const [{ workspace }, weights] = [trainer.memory(), 4 * units * 3 * units];
    assert.ok(workspace < weights / 4, `${sampler.kind}: ${workspace} bytes beside ${weights} of wh`);
    trainer.dispose();
  }
});

test('misuse', () => {
  for (const call of [() => nn.gru(0), () => nn.rnn(1.5), () => nn.gru(3, { sequences: true } as never)]) {
    assert.throws(call, (error: { code?: string }) => error.code === 'INVALID_ARGUMENT');
  }
  const wrong = () =>
    new Trainer({
      model: nn.gru(3),
      inputShape: [4],
      loss: ops.meanSquaredError,
      gradient: backprop(),
      optimizer: sgd({ learningRate: 1 }),
    });
  assert.throws(wrong, (error: { code?: string }) => error.code === 'SHAPE_MISMATCH');
});

test.run();
