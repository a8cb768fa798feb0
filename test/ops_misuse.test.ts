// Every op at shapes, types and attributes that it must refuse: a table with at least one row for each.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { evaluate, ops, type PushforwardError, type Tensor, tensor, type Value } from '../src/index.ts';

// biome-ignore lint/suspicious/noExplicitAny: this file is about what the types forbid
type Any = any;
type Row = readonly [code: string, call: (o: Any) => unknown];

const real = (...shape: number[]): Tensor => tensor(new Float32Array(shape.reduce((n, size) => n * size, 1)), shape);
const integer = (...shape: number[]): Tensor => tensor(new Int32Array(shape.reduce((n, size) => n * size, 1)), shape);
const [INVALID, SHAPE, DTYPE] = ['INVALID_ARGUMENT', 'SHAPE_MISMATCH', 'DTYPE_MISMATCH'];

const unary =
  'abs cos erf exp gelu log neg reciprocal relu rsqrt sigmoid silu sin softplus sqrt square tanh leakyRelu elu'.split(
    ' ',
  );
const binary = 'add sub mul div pow maximum minimum'.split(' ');
const comparisons = 'less lessEqual greater equal'.split(' ');
const reductions = 'sum mean max logSumExp'.split(' ');

const table: Record<string, Row[]> = {
  ...Object.fromEntries(
    unary.map((name) => [
      name,
      [
        [DTYPE, (o) => o[name](integer(3))],
        [INVALID, (o) => o[name]('x')],
        [INVALID, (o) => o[name](undefined)],
      ] satisfies Row[],
    ]),
  ),
  ...Object.fromEntries(
    binary.map((name) => [
      name,
      [
        [SHAPE, (o) => o[name](real(2, 3), real(2))],
        [DTYPE, (o) => o[name](real(3), integer(3))],
        [INVALID, (o) => o[name](real(3))],
      ] satisfies Row[],
    ]),
  ),
  ...Object.fromEntries(
    comparisons.map((name) => [
      name,
      [
        [SHAPE, (o) => o[name](real(2, 3), real(4))],
        [INVALID, (o) => o[name](real(3), null)],
      ] satisfies Row[],
    ]),
  ),
  ...Object.fromEntries(
    reductions.map((name) => [
      name,
      [
        [INVALID, (o) => o[name](real(2, 3), { axis: 2 })],
        [INVALID, (o) => o[name](real(2, 3), { axis: [0, 0] })],
        [INVALID, (o) => o[name](real(2, 3), { axis: 0.5 })],
        [INVALID, (o) => o[name](real(2, 3), { axis: [] })],
        [INVALID, (o) => o[name](real(2, 3), { keepDims: 1 })],
        [INVALID, (o) => o[name](real(2, 3), { axes: 0 })],
        [DTYPE, (o) => o[name](integer(2, 3))],
      ] satisfies Row[],
    ]),
  ),
  clip: [
    [INVALID, (o) => o.clip(real(3), { min: 2, max: 1 })],
    [INVALID, (o) => o.clip(real(3), { min: 'a' })],
    [DTYPE, (o) => o.clip(integer(3), { min: 0 })],
  ],
  where: [
    [DTYPE, (o) => o.where(real(3), real(3), real(3))],
    [SHAPE, (o) => o.where(integer(2), real(3), real(3))],
  ],
  dense: [
    [SHAPE, (o) => o.dense(real(2, 3), real(4, 5))],
    [SHAPE, (o) => o.dense(real(2, 3), real(3))],
    [SHAPE, (o) => o.dense(real(2, 3), real(3, 4), real(3))],
    [INVALID, (o) => o.dense(real(2, 3), real(3, 4), { activation: 'step' })],
    [INVALID, (o) => o.dense(real(2, 3), real(3, 4), { activations: 'relu' })],
    [DTYPE, (o) => o.dense(integer(2, 3), real(3, 4))],
  ],
  matmul: [
    [SHAPE, (o) => o.matmul(real(2, 3), real(2, 3))],
    [SHAPE, (o) => o.matmul(real(3), real(3, 2))],
    [SHAPE, (o) => o.matmul(real(2, 2, 3), real(3, 3, 4))],
    [INVALID, (o) => o.matmul(real(2, 3), real(3, 4), { transposeA: 1 })],
    [DTYPE, (o) => o.matmul(real(2, 3), integer(3, 4))],
  ],
  conv2d: [
    [SHAPE, (o) => o.conv2d(real(1, 5, 5, 2), real(3, 3, 3, 4))],
    [SHAPE, (o) => o.conv2d(real(1, 2, 2, 1), real(3, 3, 1, 1))],
    [INVALID, (o) => o.conv2d(real(1, 5, 5, 1), real(3, 3, 1, 1), { stride: [0, 1] })],
    [INVALID, (o) => o.conv2d(real(1, 5, 5, 1), real(3, 3, 1, 1), { padding: -1 })],
  ],
  maxPool2d: [
    [SHAPE, (o) => o.maxPool2d(real(1, 2, 2, 1), { window: 3 })],
    [INVALID, (o) => o.maxPool2d(real(1, 4, 4, 1), { window: 0 })],
  ],
  avgPool2d: [
    [SHAPE, (o) => o.avgPool2d(real(4, 4), { window: 2 })],
    [INVALID, (o) => o.avgPool2d(real(1, 4, 4, 1), { window: 2, stride: -1 })],
  ],
  softmax: [
    [INVALID, (o) => o.softmax(real(2, 3), { axis: 2 })],
    [DTYPE, (o) => o.softmax(integer(3))],
  ],
  logSoftmax: [[INVALID, (o) => o.logSoftmax(real(2, 3), { axis: -3 })]],
  softmaxCrossEntropy: [
    [SHAPE, (o) => o.softmaxCrossEntropy(real(2, 3), integer(3))],
    [DTYPE, (o) => o.softmaxCrossEntropy(real(2, 3), real(2))],
  ],
  meanSquaredError: [[SHAPE, (o) => o.meanSquaredError(real(2, 3), real(3, 2))]],
  broadcast: [
    [SHAPE, (o) => o.broadcast(real(2), [3])],
    [INVALID, (o) => o.broadcast(real(2), [-2])],
  ],
  reshape: [
    [SHAPE, (o) => o.reshape(real(6), [4])],
    [INVALID, (o) => o.reshape(real(6), 6)],
    [INVALID, (o) => o.reshape(real(6), [-2, 3])],
  ],
  flatten: [[SHAPE, (o) => o.flatten(real())]],
  transpose: [
    [INVALID, (o) => o.transpose(real(2, 3), [0, 0])],
    [INVALID, (o) => o.transpose(real(2, 3), [0])],
  ],
  concat: [
    [SHAPE, (o) => o.concat([real(2, 3), real(3, 3)], { axis: 1 })],
    [INVALID, (o) => o.concat([])],
    [INVALID, (o) => o.concat(real(3))],
  ],
  slice: [
    [INVALID, (o) => o.slice(real(3), [1], [3])],
    [INVALID, (o) => o.slice(real(3), [0])],
  ],
  pad: [
    [INVALID, (o) => o.pad(real(3), { before: [-1], after: [0] })],
    [INVALID, (o) => o.pad(real(3), { before: [1, 1], after: [0] })],
    [INVALID, (o) => o.pad(real(3), { before: [1], after: [0], value: Number.NaN })],
  ],
  stopGradient: [[INVALID, (o) => o.stopGradient({})]],
  random: [
    [INVALID, (o) => o.random([2], { stream: 0 })],
    [INVALID, (o) => o.random([2], { distribution: 'cauchy' })],
    [SHAPE, (o) => o.random([2 ** 31, 2 ** 31])],
  ],
  layerNorm: [
    [SHAPE, (o) => o.layerNorm(real(2, 3), real(2))],
    [INVALID, (o) => o.layerNorm(real(2, 3), { epsilon: -1 })],
  ],
  rmsNorm: [[SHAPE, (o) => o.rmsNorm(real(2, 3), real(4))]],
  gather: [
    [DTYPE, (o) => o.gather(real(3, 2), real(2))],
    [INVALID, (o) => o.gather(real(3, 2), integer(2), { axis: 2 })],
  ],
  oneHot: [
    [DTYPE, (o) => o.oneHot(real(2), { classes: 3 })],
    [INVALID, (o) => o.oneHot(integer(2), { classes: 0 })],
  ],
  argmax: [[INVALID, (o) => o.argmax(real(2, 3), { axis: 5 })]],
  cumsum: [[INVALID, (o) => o.cumsum(real(2, 3), { axis: 5 })]],
  dropout: [
    [INVALID, (o) => o.dropout(real(3), { rate: 1.5 })],
    [INVALID, (o) => o.dropout(real(3), { rate: -0.1 })],
  ],
  attention: [
    [SHAPE, (o) => o.attention(real(4, 8), real(4, 7), real(4, 8))],
    [SHAPE, (o) => o.attention(real(4, 8), real(5, 8), real(4, 8))],
    [INVALID, (o) => o.attention(real(4, 8), real(4, 8), real(4, 8), { causal: 'yes' })],
  ],
};

test('every op has a row', () => {
  assert.equal(
    Object.keys(ops).filter((name) => !Object.hasOwn(table, name)),
    [],
  );
  assert.equal(
    Object.keys(table).filter((name) => !Object.hasOwn(ops, name)),
    [],
  );
});

for (const [name, rows] of Object.entries(table)) {
  test(name, async () => {
    for (const [i, [code, call]] of rows.entries()) {
      let refused: unknown;
      try {
        await evaluate((_: Value) => call(ops) as Value, { device: 'cpu' })(0);
      } catch (error) {
        refused = error;
      }
      const { code: got, message } = (refused ?? {}) as PushforwardError;
      assert.is(got, code, `${name}, row ${i}: ${message ?? 'accepted'}`);
      assert.match(message, /^\[.+\] expected .+ but received .+/s, `${name}, row ${i}`);
    }
  });
}

test.run();
