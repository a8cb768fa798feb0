// Convolutions and pools beyond the cases: random geometries on every instruction set within 8ε(1 + log₂ k) Σ|terms| of reference, products
// of several blocks of depth, columns and directions, tangents made in the kernel, threads, ties, NaN, refusals.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/binding.ts';
import {
  backprop,
  evaluate,
  forwardGrad,
  gaussian,
  jvp,
  lowRank,
  nn,
  ops,
  type RunOptions,
  rademacher,
  type Sampler,
  sgd,
  type Tensor,
  Trainer,
  tensor,
  type Value,
  vjp,
} from '../src/index.ts';
import { below, drawDirection, generator, onDevice, pick } from './cases/index.ts';
import { epsilon } from './oracle/approx.ts';
import { withIsa } from './support/isa.ts';
import { compileOn, traceProgram } from './support/native_call.ts';
import { type Misuse, refuses } from './support/refusal.ts';

type Device = 'cpu' | 'reference';
interface Data {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}
interface Geometry {
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly options: { stride: [number, number]; padding: [number, number]; dilation: [number, number] };
}

const size = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);
const drawn = (shape: readonly number[], random: () => number): Data => ({ shape, data: drawDirection(shape, random) });
const absolute = ({ shape, data }: Data): Data => ({ shape, data: data.map(Math.abs) });
const on = (device: Device, list: readonly Data[]): Tensor[] =>
  list.map(({ shape, data }) => onDevice(data, shape, device));

function everySet(what: string, run: () => Promise<void>): void {
  for (const isa of native.instructionSets()) test(`cpu ${isa}: ${what}`, () => withIsa(isa, run));
}

function geometryOf(random: () => number): Geometry {
  const channels = pick(random, [1, 2, 3, 5, 17, 33]);
  const kernel = [1 + below(random, 4), 1 + below(random, 4)] as const;
  const pair = (least: number, n: number): [number, number] => [least + below(random, n), least + below(random, n)];
  const options = { stride: pair(1, 3), padding: pair(0, 4), dilation: pair(1, 2) };
  const axis = (i: 0 | 1): number =>
    Math.max(1, (kernel[i] - 1) * options.dilation[i] + 1 - 2 * options.padding[i]) + below(random, 8);
  const x = [1 + below(random, 3), axis(0), axis(1), channels];
  return { x, w: [...kernel, channels, pick(random, [1, 2, 7, 16, 17, 33])], options };
}

interface Results {
  readonly y: Tensor;
  readonly yDot: Tensor;
  readonly bars: readonly Tensor[];
}

/** conv2d with bias of [x, w, b] along their tangents, and pulled back from yBar. */
async function resultsOf(
  { options }: Geometry,
  inputs: readonly Data[],
  tangents: readonly Data[],
  yBar: Data,
  run: RunOptions & { device: Device },
): Promise<Results> {
  const f = (x: Value, w: Value, b: Value): Value => ops.conv2d(x, w, b, options);
  const at = on(run.device, inputs) as [Tensor, Tensor, Tensor];
  const [y, yDot] = await jvp(f, at, on(run.device, tangents) as [Tensor, Tensor, Tensor], run);
  const [, pullback] = await vjp(f, at, run);
  return { y, yDot, bars: (await pullback(on(run.device, [yBar])[0]!)) as unknown as Tensor[] };
}

interface Sample extends Geometry {
  readonly inputs: readonly Data[];
  readonly tangents: readonly Data[];
  readonly yBar: Data;
}
/** Expected results, and Σ|terms| of each. */
interface Judged {
  readonly sample: Sample;
  readonly truth: Results;
  readonly terms: Results;
}

async function judged(geometry: Geometry, seed: number): Promise<Judged> {
  const random = generator(seed);
  const shapes = [geometry.x, geometry.w, [geometry.w[3]!]];
  const inputs = shapes.map((shape) => drawn(shape, random));
  const tangents = shapes.map((shape) => drawn(shape, random));
  const reference = { device: 'reference' } as const;
  const [first] = [
    await evaluate(
      (x: Value, w: Value) => ops.conv2d(x, w, geometry.options),
      reference,
    )(...(on('reference', inputs.slice(0, 2)) as [Tensor, Tensor])),
  ];
  const yBar = drawn(first.shape, random);
  const sample = { ...geometry, inputs, tangents, yBar };
  const truth = await resultsOf(geometry, inputs, tangents, yBar, reference);
  const terms = await resultsOf(geometry, inputs.map(absolute), tangents.map(absolute), absolute(yBar), reference);
  return { sample, truth, terms };
}

let mostUsed = 0;
function within(what: string, actual: Tensor, truth: Tensor, terms: Tensor, count: number): void {
  assert.equal([...actual.shape], [...truth.shape], what);
  const factor = 8 * epsilon * (1 + Math.log2(Math.max(1, count)));
  for (let i = 0; i < truth.data.length; i++) {
    const error = Math.abs(actual.data[i]! - truth.data[i]!);
    const allowed = factor * terms.data[i]! + 2 ** -126;
    mostUsed = Math.max(mostUsed, error / allowed);
    assert.ok(error <= allowed, `${what}[${i}]: ${actual.data[i]} for ${truth.data[i]}, off ${error} of ${allowed}`);
  }
}

async function check({ sample, truth, terms }: Judged, run: RunOptions): Promise<void> {
  const what = `x [${sample.x}] w [${sample.w}] ${JSON.stringify(sample.options)}`;
  const actual = await resultsOf(sample, sample.inputs, sample.tangents, sample.yBar, { ...run, device: 'cpu' });
  const [kh, kw, channels, filters] = sample.w as [number, number, number, number];
  const pixels = size(truth.y.shape) / filters;
  within(`${what} y`, actual.y, truth.y, terms.y, kh * kw * channels + 1);
  within(`${what} tangent`, actual.yDot, truth.yDot, terms.yDot, 2 * kh * kw * channels + 1);
  const counts = [kh * kw * filters, pixels, pixels];
  for (const [i, bar] of actual.bars.entries())
    within(`${what} cotangent ${i}`, bar, truth.bars[i]!, terms.bars[i]!, counts[i]!);
}

const random = generator(77);
const fuzzed = await Promise.all(Array.from({ length: 60 }, (_, i) => judged(geometryOf(random), 100 + i)));
everySet('60 random geometries within the bound of reference', async () => {
  for (const [i, each] of fuzzed.entries()) await check(each, { fuse: i % 2 === 0, threads: 1 + (i % 2) });
});

// Depth over 1024, and columns and pixels over one block; a pullback whose pixels are split into pieces; strides that leave taps out; and what
// is multiplied in place: rows of several blocks, several rows, rows in several parts, taps and strides apart, more padding than image.
const one = { stride: [1, 1], padding: [1, 1], dilation: [1, 1] } as const;
const large = await Promise.all(
  (
    [
      [[1, 5, 6, 130], [3, 3, 130, 100], one],
      [[1, 4, 4, 260], [3, 3, 260, 70], { ...one, stride: [2, 1] }],
      [[2, 3, 3, 1], [2, 2, 1, 300], { ...one, padding: [0, 0] }],
      [[9, 28, 28, 1], [3, 3, 1, 5], one],
      [[1, 7, 6, 3], [4, 4, 3, 300], { ...one, stride: [2, 2] }],
      [[2, 11, 9, 3], [3, 2, 3, 5], { ...one, stride: [5, 4] }],
      [[2, 9, 11, 2], [5, 3, 2, 4], { stride: [4, 4], padding: [2, 1], dilation: [2, 3] }],
      [[3, 11, 33, 4], [3, 3, 4, 33], one],
      [[2, 4, 47, 70], [3, 3, 70, 20], one],
      [[1, 3, 9, 130], [3, 3, 130, 35], one],
      [[2, 5, 31, 3], [3, 5, 3, 18], { stride: [2, 2], padding: [1, 2], dilation: [1, 1] }],
      [[1, 9, 29, 5], [3, 3, 5, 7], { stride: [1, 1], padding: [2, 3], dilation: [2, 3] }],
      [[2, 6, 40, 9], [1, 1, 9, 16], { ...one, padding: [0, 0] }],
      [[1, 1, 2, 3], [2, 9, 3, 5], { ...one, padding: [3, 10] }],
    ] as unknown as [number[], number[], Geometry['options']][]
  ).map(([x, w, options], i) => judged({ x, w, options }, 500 + i)),
);
everySet('several blocks of depth, columns and pixels', async () => {
  for (const each of large) await check(each, { threads: 2 });
});

/** Σ r ⊙ act(x * w + b) as a function of its parameters, and forward gradients of it; x has a tangent where `moving`. */
const estimates: readonly [x: number[], w: number[], sampler: Sampler, directions: number, moving?: boolean][] = [
  [[2, 5, 5, 3], [3, 3, 3, 17], gaussian(), 3],
  [[2, 5, 5, 3], [3, 3, 3, 17], rademacher(), 2],
  [[2, 5, 5, 3], [3, 3, 3, 17], lowRank({ rank: 1 }), 1],
  [[2, 5, 5, 3], [3, 3, 3, 17], lowRank({ rank: 2 }), 3],
  [[1, 3, 4, 5], [2, 2, 5, 33], lowRank({ rank: 40 }), 2],
  [[1, 3, 3, 4], [1, 2, 4, 4], lowRank({ rank: 1 }), 70],
  [[1, 4, 4, 130], [3, 3, 130, 70], gaussian(), 4],
  [[1, 4, 4, 130], [3, 3, 130, 70], rademacher(), 7],
  [[1, 4, 4, 130], [3, 3, 130, 70], lowRank({ rank: 3 }), 5],
  [[2, 5, 17, 3], [3, 3, 3, 17], lowRank({ rank: 2 }), 3, true],
  [[2, 5, 17, 3], [3, 3, 3, 17], rademacher(), 2, true],
  [[1, 3, 9, 130], [3, 3, 130, 70], lowRank({ rank: 3 }), 5, true],
  [[1, 3, 9, 130], [3, 3, 130, 70], gaussian(), 4],
  [[1, 3, 9, 2], [3, 3, 2, 40], lowRank({ rank: 1 }), 70, true],
];
everySet('tangents made in the kernel are those of reference, fused and unfused', async () => {
  for (const [i, [xShape, wShape, sampler, directions, moving]] of estimates.entries()) {
    const draws = generator(40 + i);
    const data = [xShape, wShape, [wShape[3]!]].map((shape) => drawn(shape, draws));
    const activation = i % 2 === 0 ? 'tanh' : 'relu';
    const results: { device: Device; c: number[]; value: number }[] = [];
    for (const run of [{ device: 'reference' }, { device: 'cpu' }, { device: 'cpu', fuse: false }] as const) {
      const [x, w, b] = on(run.device, data) as [Tensor, Tensor, Tensor];
      const f = (parameters: Value[], image: Value): Value => {
        const moved = moving ? ops.add(image, ops.mean(parameters[1]!)) : image;
        const y = ops.conv2d(moved, parameters[0]!, parameters[1]!, { padding: 1, activation });
        return ops.sum(ops.mul(y, ops.sin(ops.add(y, 0.5))));
      };
      const estimate = forwardGrad(f as never, { sampler, directions, seed: 3, ...run });
      const { value, directionalDerivatives } = await estimate([w, b] as never, x as never);
      results.push({ device: run.device, c: directionalDerivatives, value: value.data[0]! });
    }
    const [truth, ...others] = results;
    const scale = Math.sqrt(size(wShape) + 1) * Math.max(1, ...truth!.c.map(Math.abs)) ** 0.5;
    for (const { c, value } of others) {
      assert.is(c.length, directions);
      assert.ok(Math.abs(value - truth!.value) < 1e-4 * Math.max(1, Math.abs(truth!.value)), `value ${i}`);
      for (const [k, each] of c.entries()) {
        const error = Math.abs(each - truth!.c[k]!);
        assert.ok(error <= 3e-5 * Math.max(scale, Math.abs(truth!.c[k]!)), `${i} ${k}: ${each} for ${truth!.c[k]}`);
      }
    }
  }
});

everySet('no number of threads changes a bit', async () => {
  for (const each of [...fuzzed.slice(0, 12), ...large]) {
    const { sample } = each;
    const runs: Results[] = [];
    for (const threads of [1, 2])
      runs.push(await resultsOf(sample, sample.inputs, sample.tangents, sample.yBar, { device: 'cpu', threads }));
    const [a, b] = runs as [Results, Results];
    for (const [left, right] of [[a.y, b.y], [a.yDot, b.yDot], ...a.bars.map((bar, i) => [bar, b.bars[i]!])])
      assert.equal(left!.data, right!.data);
  }
});

test('an activation after conv2d becomes its epilogue, and nothing changes', async () => {
  const data = [[2, 5, 4, 3], [3, 3, 3, 6], [6], [2, 5, 4, 3]].map((shape) => drawn(shape, generator(size(shape))));
  const f = (x: Value, w: Value, b: Value): Value => ops.tanh(ops.conv2d(x, w, b, { padding: 1 }));
  const session = new native.Session('cpu', '', 1);
  const plan = compileOn(
    session,
    traceProgram(data.slice(0, 3), (x, w, b) => [f(x!, w!, b!)]),
  );
  assert.not.match(plan.describe(), 'chain');
  session.dispose();
  const [fused, plain] = await Promise.all(
    [true, false].map((fuse) => {
      const [x, w, b, v] = on('cpu', data) as [Tensor, Tensor, Tensor, Tensor];
      return jvp((at: Value) => f(at, w as never, b as never), [x], [v], { device: 'cpu', fuse });
    }),
  );
  for (const part of [0, 1]) {
    const [left, right] = [fused![part]!.data, plain![part]!.data];
    for (let i = 0; i < left.length; i++) assert.ok(Math.abs(left[i]! - right[i]!) < 2e-6, `${part} ${i}`);
  }
});

const image = (data: number[], shape = [1, 2, 2, 1]): Data => ({ shape, data: Float64Array.from(data) });
for (const device of ['reference', 'cpu'] as const) {
  test(`${device}: ties, padding and NaN of the pools`, async () => {
    const max = (x: Value): Value => ops.maxPool2d(x, { window: 2 });
    const [x] = on(device, [image([3, 3, 3, 3])]) as [Tensor];
    const [, pullback] = await vjp(max, [x], { device });
    const ones = on(device, [image([1], [1, 1, 1, 1])])[0]!;
    assert.equal([...((await pullback(ones)) as unknown as Tensor[])[0]!.data], [1, 0, 0, 0]);
    const [broken] = on(device, [image([3, Number.NaN, 5, Number.NaN])]) as [Tensor];
    const [dots] = on(device, [image([1, 2, 3, 4])]) as [Tensor];
    const [y, yDot] = await jvp(max, [broken], [dots], { device });
    assert.ok(Number.isNaN(y.data[0]));
    assert.is(yDot.data[0], 2);
    const lowest = Number.NEGATIVE_INFINITY;
    const [sunk] = on(device, [image([lowest, lowest, lowest, lowest])]) as [Tensor];
    const [low, lowDot] = await jvp(max, [sunk], [dots], { device });
    assert.is(low.data[0], lowest);
    assert.is(lowDot.data[0], 1);
    const [padded] = on(device, [image([-1, -2, -3, -4])]) as [Tensor];
    const overlapping = (x: Value): Value => ops.maxPool2d(x, { window: 2, stride: 1, padding: 1 });
    assert.equal([...(await evaluate(overlapping, { device })(padded)).data], [-1, -1, -2, -1, -1, -2, -3, -3, -4]);
    const average = (x: Value): Value => ops.avgPool2d(x, { window: 2, stride: 1, padding: 1 });
    assert.equal(
      [...(await evaluate(average, { device })(padded)).data],
      [-0.25, -0.75, -0.5, -1, -2.5, -1.5, -0.75, -1.75, -1],
    );
  });
}

const given = (...shape: number[]): Tensor => tensor(new Float32Array(size(shape)), shape);
const conv = (x: number[], w: number[], options?: object, b?: number[]) => (): unknown =>
  evaluate(
    (...v: Value[]) => (ops.conv2d as (...all: unknown[]) => Value)(...v, ...(options === undefined ? [] : [options])),
    { device: 'cpu' },
  )(...([given(...x), given(...w), ...(b === undefined ? [] : [given(...b)])] as never[]));
const pooling =
  (op: 'maxPool2d' | 'avgPool2d', x: number[], options: unknown): (() => unknown) =>
  () =>
    evaluate((v: Value) => ops[op](v, options as never), { device: 'cpu' })(given(...x));

const image4 = [1, 4, 4, 2];
const misuses: readonly Misuse[] = [
  [conv([4, 4, 2], [3, 3, 2, 1]), 'SHAPE_MISMATCH', '[4, 4, 2] and [3, 3, 2, 1]'],
  [conv(image4, [3, 3, 3, 1]), 'SHAPE_MISMATCH', '[1, 4, 4, 2] and [3, 3, 3, 1]'],
  [conv(image4, [3, 2, 1]), 'SHAPE_MISMATCH', '[3, 2, 1]'],
  [conv(image4, [5, 3, 2, 1]), 'SHAPE_MISMATCH', 'fits into an image of [4, 4] but received [5, 3]'],
  [conv(image4, [3, 3, 2, 1], { dilation: [1, 2] }), 'SHAPE_MISMATCH', 'dilation [1, 2]'],
  [conv(image4, [9, 3, 2, 1], { padding: [2, 0] }), 'SHAPE_MISMATCH', 'padding [2, 0]'],
  [conv(image4, [3, 3, 2, 5], {}, [4]), 'SHAPE_MISMATCH', 'b [5] but received [4]'],
  [conv(image4, [3, 3, 2, 1], { stride: 0 }), 'INVALID_ARGUMENT', 'stride'],
  [conv(image4, [3, 3, 2, 1], { stride: [1, 1.5] }), 'INVALID_ARGUMENT', 'stride'],
  [conv(image4, [3, 3, 2, 1], { padding: -1 }), 'INVALID_ARGUMENT', 'padding'],
  [conv(image4, [3, 3, 2, 1], { dilation: [1] }), 'INVALID_ARGUMENT', 'dilation'],
  [conv(image4, [3, 3, 2, 1], { dilation: 2 ** 31 }), 'INVALID_ARGUMENT', 'dilation'],
  [conv(image4, [3, 3, 2, 1], { activation: 'cube' }), 'INVALID_ARGUMENT', 'cube'],
  [conv(image4, [3, 3, 2, 1], { activation: 3 }), 'INVALID_ARGUMENT', 'activation'],
  [conv(image4, [3, 3, 2, 1], { kernel: 3 }), 'INVALID_ARGUMENT', 'kernel'],
  [conv(image4, [3, 3, 2, 64], { padding: 2 ** 31 - 1 }), 'SHAPE_MISMATCH', '2^40'],
  [pooling('maxPool2d', image4, {}), 'INVALID_ARGUMENT', 'window'],
  [pooling('maxPool2d', image4, undefined), 'INVALID_ARGUMENT', 'window'],
  [pooling('maxPool2d', image4, { window: 0 }), 'INVALID_ARGUMENT', 'window'],
  [pooling('maxPool2d', image4, { window: 5 }), 'SHAPE_MISMATCH', '[5, 5]'],
  [pooling('maxPool2d', image4, { window: 2, padding: 2 }), 'INVALID_ARGUMENT', 'padding'],
  [pooling('avgPool2d', image4, { window: [2, 2, 2] }), 'INVALID_ARGUMENT', 'window'],
  [pooling('avgPool2d', image4, { window: 2, stride: -1 }), 'INVALID_ARGUMENT', 'stride'],
  [pooling('avgPool2d', [4, 4], { window: 2 }), 'SHAPE_MISMATCH', '[4, 4]'],
  [() => nn.conv2d(0), 'INVALID_ARGUMENT', 'filters'],
  [() => nn.conv2d(2, { kernel: 0 }), 'INVALID_ARGUMENT', 'kernel'],
  [() => nn.conv2d(2, { kernel: [3] as never }), 'INVALID_ARGUMENT', 'kernel'],
  [() => nn.conv2d(2, { strides: 3 } as never), 'INVALID_ARGUMENT', 'strides'],
  [() => nn.maxPool2d({} as never), 'INVALID_ARGUMENT', 'window'],
  [() => nn.avgPool2d({ window: 2, padding: -1 }), 'INVALID_ARGUMENT', 'padding'],
];
test('what cannot be is refused, with both sides', async () => {
  for (const misuse of misuses) await refuses(misuse);
});

test('a tangent of the bias alone, through filters of several blocks of depth', async () => {
  const along = (b: Value): Value => ops.conv2d(given(1, 3, 3, 130), given(3, 3, 130, 2), b, { activation: 'tanh' });
  const dots = tensor(Float32Array.of(3, -2));
  assert.equal([...(await jvp(along, [given(2)], [dots], { device: 'cpu' }))[1].data], [3, -2]);
});

test('images without pixels, channels or examples', async () => {
  const run = async (x: number[], w: number[], padding = 0): Promise<Tensor> =>
    evaluate((a: Value, b: Value) => ops.conv2d(a, b, { padding }), { device: 'cpu' })(given(...x), given(...w));
  assert.equal([...(await run([0, 4, 4, 2], [3, 3, 2, 5])).shape], [0, 2, 2, 5]);
  assert.equal((await run([1, 3, 3, 0], [3, 3, 0, 2])).data, Float32Array.of(0, 0));
  assert.equal([...(await run([1, 3, 3, 2], [3, 3, 2, 0])).shape], [1, 1, 1, 0]);
  assert.equal((await run([1, 0, 0, 1], [1, 1, 1, 1], 1)).data, new Float32Array(4));
  const along = (w: Value): Value => ops.conv2d(given(1, 3, 3, 2), w);
  const [, dots] = await jvp(along, [given(3, 3, 2, 0)], [given(3, 3, 2, 0)], { device: 'cpu' });
  assert.equal([...dots.shape], [1, 1, 1, 0]);
});

test('a model of convolutions and pools: names, shapes, a step', async () => {
  const trainer = new Trainer({
    model: nn.sequential(
      nn.conv2d(4, { kernel: [3, 1], stride: [1, 2], dilation: 2, activation: 'gelu' }),
      nn.avgPool2d({ window: 2 }),
      nn.conv2d(3, { padding: 1, bias: false }),
      nn.maxPool2d({ window: 3, stride: 1, padding: 1 }),
      nn.flatten(),
      nn.dense(2),
    ),
    inputShape: [8, 8, 1],
    loss: ops.softmaxCrossEntropy,
    gradient: backprop(),
    optimizer: sgd({ learningRate: 0.1 }),
  });
  const shapes = Object.entries(await trainer.parameters()).map(([name, { shape }]) => `${name} [${shape}]`);
  assert.equal(shapes, ['0.w [3,1,1,4]', '0.b [4]', '2.w [3,3,4,3]', '5.w [12,2]', '5.b [2]']);
  const inputs = onDevice(drawDirection([6, 8, 8, 1], generator(1)), [6, 8, 8, 1], 'cpu');
  const batch = { inputs, targets: tensor(Int32Array.of(0, 1, 0, 1, 1, 0), [6]) };
  const first = await trainer.step(batch);
  let last = first;
  for (let i = 0; i < 20; i++) last = await trainer.step(batch);
  assert.ok(last.loss < first.loss, `${first.loss} to ${last.loss}`);
  trainer.dispose();
});

test.after(() => {
  if (process.env.PUSHFORWARD_TEST_USAGE !== undefined) console.log(`most of a bound: ${mostUsed.toFixed(3)}`);
});
test.run();
