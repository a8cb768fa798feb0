// A low-rank direction of the weights for every example: c and the estimate against factors written out here; nothing stored whole; refusals.
// The variance is in example_noise.test.ts.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  adam,
  forwardGrad,
  forwardGradient,
  grad,
  lowRank,
  type Model,
  nn,
  type Optimizer,
  ops,
  sgd,
  type Tensor,
  Trainer,
  tensor,
  type Value,
} from '../src/index.ts';
import { normals } from './support/draw.ts';
import { signs } from './support/random.ts';
import { type Misuse, refuses } from './support/refusal.ts';

const [B, T, seed, step] = [4, 3, 9, 6];
const values = (shape: readonly number[], from: number): Tensor =>
  tensor(
    Float64Array.from(
      normals(
        shape.reduce((a, b) => a * b, 1),
        from,
        0.5,
      ),
    ),
    shape,
  );
// The first layer is used on every position of an example, and the second layer twice: a parameter has one direction for an example.
const shapes = [[5, 130], [130], [130, 130], [130], [130, 3]] as const;
const parameters = shapes.map((shape, i) => values(shape, 30 + i));
const x = values([B, T, 5], 1);
const t = values([B, 3], 2);
const loss = ([w0, b0, w1, b1, w2]: readonly Value[], input: Value, target: Value): Value => {
  const h = ops.dense(input, w0!, b0!, { activation: 'tanh' }).mean({ axis: 1 });
  const twice = ops.dense(ops.dense(h, w1!, b1!, { activation: 'relu' }), w1!, b1!, { activation: 'tanh' });
  return ops.meanSquaredError(ops.matmul(twice, w2!), target).mean();
};

/** V of parameter p for an example and a direction. */
function direction(p: number, example: number, k: number, rank: number): Float64Array {
  const shape = shapes[p]!;
  const row = (stream: number, n: number, at: number): number[] =>
    signs(B, n, [p, stream, at, step], [seed, 0]).slice(example * n, (example + 1) * n);
  if (shape.length === 1) return Float64Array.from(row(7, shape[0], k));
  const [rows, columns] = shape;
  const v = new Float64Array(rows * columns);
  for (let q = 0; q < rank; q++) {
    const [a, b] = [row(7, rows, k * rank + q), row(8, columns, k * rank + q)];
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) v[i * columns + j]! += (a[i]! * b[j]!) / Math.sqrt(rank);
  }
  return v;
}

interface Estimate {
  readonly gradient: readonly Tensor[];
  readonly directionalDerivatives: number[];
}

for (const [rank, directions] of [
  [1, 1],
  [3, 2],
] as const) {
  test(`rank ${rank}, K ${directions}: c and the estimate are those of the definition`, async () => {
    const expected = shapes.map((shape) => new Float64Array(shape.reduce((a: number, b) => a * b, 1)));
    const c = new Float64Array(directions);
    let norm = 0; // the largest ‖∇f_i‖
    const gradient = grad(loss as never, { device: 'reference' }) as (...args: unknown[]) => Promise<unknown>;
    for (let i = 0; i < B; i++) {
      const example = ({ data, shape }: Tensor): Tensor =>
        tensor(data.slice((i * data.length) / B, ((i + 1) * data.length) / B), [1, ...shape.slice(1)]);
      const g = (await gradient(parameters, example(x), example(t))) as Tensor[];
      const squares = g.reduce((sum, { data }) => Float64Array.from(data).reduce((s, v) => s + v * v, sum), 0);
      norm = Math.max(norm, Math.sqrt(squares));
      for (let k = 0; k < directions; k++) {
        const v = shapes.map((_, p) => direction(p, i, k, rank));
        let own = 0;
        for (const [p, row] of v.entries()) for (const [j, value] of row.entries()) own += value * g[p]!.data[j]!;
        c[k]! += own / B;
        for (const [p, row] of v.entries())
          for (const [j, value] of row.entries()) expected[p]![j]! += (own * value) / (B * directions);
      }
    }
    for (const device of ['reference', 'cpu'] as const) {
      for (const fuse of [true, false]) {
        const options = {
          device,
          fuse,
          perExample: true,
          sampler: lowRank({ rank }),
          directions,
          seed,
          firstStep: step,
        } as const;
        const run = forwardGrad(loss as never, options) as (...args: unknown[]) => Promise<unknown>;
        const single = ({ data, shape }: Tensor): Tensor =>
          tensor(device === 'cpu' ? Float32Array.from(data) : data, shape);
        const found = (await run(parameters.map(single), single(x), single(t))) as Estimate;
        // c_i sums as many roundings as ∇f_i has elements, of random signs (identity.test.ts); an element of V is at most √r.
        const tolerance = 32 * Math.sqrt(rank) * norm * (device === 'cpu' ? 2 ** -23 : 2 ** -52);
        for (const [k, value] of c.entries())
          assert.ok(Math.abs(found.directionalDerivatives[k]! - value) <= tolerance, `${device} c ${k}`);
        for (const [p, row] of expected.entries())
          for (const [j, value] of row.entries()) {
            const error = Math.abs(found.gradient[p]!.data[j]! - value);
            assert.ok(error <= tolerance, `${device} ${fuse}: parameter ${p}[${j}] off by ${error}`);
          }
      }
    }
  });
}

async function stepOf(
  model: Model,
  inputShape: readonly number[],
  inputType: 'float32' | 'int32' = 'float32',
  optimizer: Optimizer = sgd({ learningRate: 1e-4 }),
): Promise<{ plan: string; memory: ReturnType<Trainer['memory']> }> {
  const gradient = forwardGradient({ perExample: true, directions: 2 });
  const trainer = new Trainer({
    model,
    inputShape,
    inputType,
    loss: ops.meanSquaredError,
    gradient,
    optimizer,
    device: 'cpu',
  });
  try {
    const shape = [16, ...inputShape];
    const zeros = (size: readonly number[]): Tensor => tensor(new Float32Array(size.reduce((a, b) => a * b, 1)), size);
    const inputs =
      inputType === 'int32' ? tensor(new Int32Array(shape.reduce((a, b) => a * b, 1)), shape) : zeros(shape);
    await trainer.step({ inputs, targets: zeros([16, 64]) });
    return { plan: trainer.describe(), memory: trainer.memory() };
  } finally {
    trainer.dispose();
  }
}

test('no pullback runs, c is all that is kept, and depth costs no memory', async () => {
  const deep = (depth: number): Model =>
    nn.sequential(...Array.from({ length: depth }, () => nn.dense(64, { activation: 'relu' })));
  for (const optimizer of [sgd({ learningRate: 1e-4 }), adam({ learningRate: 1e-4 })]) {
    const after = (depth: number): ReturnType<typeof stepOf> => stepOf(deep(depth), [64], 'float32', optimizer);
    const [three, nine] = [await after(3), await after(9)];
    assert.not(/^\d+ +\w*(matmul|pullback|scatter)/m.test(nine.plan), nine.plan);
    assert.is(nine.memory.workspace, three.memory.workspace, optimizer.kind);
    assert.is(nine.memory.tape, three.memory.tape);
    assert.ok(nine.memory.tape <= 4 * 16 * 2 + 192, `${nine.memory.tape}`);
  }
});

const refused: readonly Misuse[] = [
  [
    () => stepOf(nn.sequential(nn.conv2d(4), nn.flatten(), nn.dense(64)), [6, 6, 1]),
    'INVALID_ARGUMENT',
    '[conv2d] expected parameters that dense layers alone read',
  ],
  [
    () => stepOf(nn.sequential(nn.layerNorm(), nn.dense(64)), [8]),
    'INVALID_ARGUMENT',
    '[layerNorm] expected parameters that dense layers alone read',
  ],
  [
    () => stepOf(nn.sequential(nn.embedding(5, 4), nn.flatten(), nn.dense(64)), [3], 'int32'),
    'INVALID_ARGUMENT',
    '[gather] expected parameters that dense layers alone read',
  ],
  [
    () => stepOf(nn.sequential(nn.dense(64), nn.batchNorm()), [8]),
    'INVALID_ARGUMENT',
    'a reduction over the batch (nn.batchNorm makes one in training)',
  ],
];
for (const [i, misuse] of refused.entries()) test(`refused: ${i} ${misuse[2]}`, () => refuses(misuse));

test.run();
