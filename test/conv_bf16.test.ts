// Convolutions at precision bf16 on every instruction set. Whole numbers, some of which need rounding, with sums that float32 holds exactly:
// so every set, whatever it multiplies at once and in whatever order, must agree with reference to the last bit.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  evaluate,
  forwardGrad,
  jacfwd,
  jvp,
  lowRank,
  type Operand,
  ops,
  rademacher,
  type Tensor,
  tensor,
  type Value,
  vjp,
} from '../src/index.ts';
import { generator, onDevice } from './cases/index.ts';
import { type Data, numbers } from './support/samples.ts';
import { onEverySet } from './support/targets.ts';

const precision = 'bf16' as const;
type Device = 'cpu' | 'reference';
type Options = NonNullable<Parameters<typeof ops.conv2d>[3]>;

const count = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);

/** Mostly −3 … 3; of the others, up to 511, half are odd above 256: ties. */
function whole(shape: readonly number[], random: () => number): Data {
  const one = (): number => Math.round((2 * random() - 1) * (random() < 0.2 ? 511 : 3));
  return numbers(shape, Float64Array.from({ length: count(shape) }, one));
}

// Images and filters [kh, kw, channels, filters]. Pieces of a filter that are odd and even, shorter than a vector and longer; channels that
// fill a tile of AMX (32, 64) and that do not; rows of one block, of several, and too narrow to be multiplied in place; filters in one vector,
// in two, in several panels, with a rest; strides, dilations and padding that copy patches; depth beyond 1024.
const geometries: [x: number[], w: number[], options: Options][] = [
  [[2, 9, 28, 1], [3, 3, 1, 64], { padding: 1, activation: 'relu' }],
  [[1, 5, 17, 1], [1, 1, 1, 3], {}],
  [[1, 6, 15, 3], [5, 5, 3, 33], { padding: 2 }],
  [[2, 4, 14, 5], [3, 3, 5, 16], { padding: 1 }],
  [[1, 5, 31, 7], [2, 3, 7, 17], { padding: [0, 1], stride: [1, 2] }],
  [[1, 3, 33, 32], [3, 3, 32, 48], { padding: 1 }],
  [[2, 3, 14, 32], [3, 3, 32, 65], { padding: 1, activation: 'relu' }],
  [[1, 4, 28, 64], [3, 3, 64, 32], { padding: 1 }],
  [[1, 2, 50, 32], [1, 5, 32, 7], { padding: [0, 3] }],
  [[3, 5, 5, 32], [3, 3, 32, 33], { padding: 1 }],
  [[1, 9, 11, 32], [3, 3, 32, 32], { stride: 2 }],
  [[1, 7, 20, 33], [3, 2, 33, 32], { dilation: [2, 3], padding: [1, 2] }],
  [[1, 4, 16, 32], [3, 3, 32, 9], { dilation: [1, 2], padding: [1, 2] }],
  [[2, 1, 16, 160], [1, 7, 160, 20], { padding: [0, 3] }],
  [[2, 3, 4, 6], [3, 3, 6, 32], { padding: 2, stride: [2, 3] }],
];

interface Results {
  readonly [what: string]: Tensor;
}

const on = ({ shape, data }: Data, device: Device): Tensor => onDevice(data, shape, device);

/** y, ẏ of all arguments and of each alone, K = 3 tangents of w at once, and the cotangents. */
async function resultsOf(inputs: Data[], tangents: Data[], yBar: Data, options: Options, run: Run): Promise<Results> {
  const f = (x: Operand, w: Operand, b: Operand): Value => ops.conv2d(x, w, b, options);
  const at = inputs.map((each) => on(each, run.device)) as [Tensor, Tensor, Tensor];
  const v = tangents.map((each) => on(each, run.device)) as [Tensor, Tensor, Tensor];
  const [y, yDot] = await jvp(f, at, v, run);
  const [, ofX] = await jvp((x: Value) => f(x, at[1], at[2]), [at[0]], [v[0]], run);
  const [, ofW] = await jvp((w: Value) => f(at[0], w, at[2]), [at[1]], [v[1]], run);
  const moved = (s: Value, x: Value, w: Value, b: Value, vx: Value, vw: Value): Value => {
    const share = (k: number): Value => ops.mul(ops.reshape(ops.slice(s, [k], [1]), []), k + 1);
    const by = (each: Value, dot: Value): Value =>
      [0, 1, 2].reduce((sum: Value, k) => ops.add(sum, ops.mul(share(k), dot)), each);
    return f(by(x, vx), by(w, vw), b);
  };
  const zero = onDevice(new Float64Array(3), [3], run.device);
  const several = (await jacfwd(moved, run)(zero, ...at, v[0], v[1])) as unknown as Tensor;
  const [, pullback] = await vjp(f, at, run);
  const [xBar, wBar, bBar] = (await pullback(on(yBar, run.device))) as unknown as [Tensor, Tensor, Tensor];
  return {
    y: await evaluate((x: Value, w: Value, b: Value) => f(x, w, b), run)(...at),
    again: y,
    yDot,
    ofX,
    ofW,
    several,
    xBar,
    wBar,
    bBar,
  };
}
interface Run {
  readonly device: Device;
  readonly precision: 'bf16';
  readonly threads?: number;
}

const samples = await Promise.all(
  geometries.map(async ([x, w, options], i) => {
    const random = generator(900 + i);
    const shapes = [x, w, [w[3] as number]];
    const inputs = shapes.map((shape) => whole(shape, random));
    const tangents = shapes.map((shape) => whole(shape, random));
    const run = { device: 'reference', precision } as const;
    const f = (image: Value, filter: Value): Value => ops.conv2d(image, filter, options);
    const { shape } = await evaluate(
      f,
      run,
    )(...(inputs.slice(0, 2).map((each) => on(each, 'reference')) as [Tensor, Tensor]));
    const yBar = whole(shape, random);
    const truth = await resultsOf(inputs, tangents, yBar, options, run);
    return { name: `x [${x}] w [${w}] ${JSON.stringify(options)}`, inputs, tangents, yBar, options, truth };
  }),
);

function same(what: string, actual: Tensor, expected: Tensor): void {
  assert.equal([...actual.shape], [...expected.shape], what);
  for (const [i, value] of expected.data.entries())
    if (actual.data[i] !== value) assert.unreachable(`${what}[${i}]: ${actual.data[i]} for ${value}`);
}

test('every sum is one that float32 holds', () => {
  for (const { name, truth } of samples)
    for (const [what, { data }] of Object.entries(truth))
      assert.ok(
        data.every((each) => Math.abs(each) < 2 ** 24),
        `${name} ${what}`,
      );
});

onEverySet(
  'whole numbers, exactly, by one thread and by two',
  async () => {
    for (const [i, { name, inputs, tangents, yBar, options, truth }] of samples.entries()) {
      const run = { device: 'cpu', precision, threads: 1 + (i % 2) } as const;
      const actual = await resultsOf(inputs, tangents, yBar, options, run);
      for (const [what, expected] of Object.entries(truth)) same(`${name} ${what}`, actual[what] as Tensor, expected);
    }
  },
  precision,
);

onEverySet(
  'a drawn tangent of the filter: low rank meets the image as it is, rademacher the rounded one',
  async () => {
    for (const { name, inputs, options } of samples) {
      for (const sampler of [lowRank({ rank: 1 }), rademacher()]) {
        const derivative = async (device: Device): Promise<number> => {
          const [x, w] = inputs.map((each) => on(each, device)) as [Tensor, Tensor];
          const f = (at: Value): Value => ops.sum(ops.conv2d(x, at, options));
          const { directionalDerivatives } = await forwardGrad(f, { device, precision, sampler, seed: 3 })(w);
          return directionalDerivatives[0] as number;
        };
        const expected = await derivative('reference');
        assert.ok(Math.abs(expected) < 2 ** 24, name);
        assert.is(await derivative('cpu'), expected, `${name} ${sampler.kind}`);
      }
    }
  },
  precision,
);

// A pixel that is not finite reaches the results whose patches hold it, and no others: not as the neighbour in a pair, nor as padding of a tile.
onEverySet(
  'an infinite pixel stays where it belongs',
  async () => {
    for (const channels of [1, 3, 5, 32]) {
      const [height, width, filters] = [4, 20, 17];
      const x = new Float32Array(height * width * channels).fill(1);
      const place = (2 * width + 7) * channels + (channels >> 1);
      x[place] = Number.POSITIVE_INFINITY;
      const w = new Float32Array(9 * channels * filters).fill(1);
      const f = (image: Value, filter: Value): Value => ops.conv2d(image, filter, { padding: 1 });
      const at = [tensor(x, [1, height, width, channels]), tensor(w, [3, 3, channels, filters])] as [Tensor, Tensor];
      const y = await evaluate(f, { device: 'cpu', precision })(...at);
      for (let i = 0; i < y.data.length; i++) {
        const [row, column] = [Math.floor(i / filters / width), Math.floor(i / filters) % width];
        const reached = Math.abs(row - 2) < 2 && Math.abs(column - 7) < 2;
        if (Number.isFinite(y.data[i]) === reached || Number.isNaN(y.data[i]))
          assert.unreachable(`${channels} channels, ${row}, ${column}: ${y.data[i]}`);
      }
      // The last column never meets the first column of taps, whose last pixel has no neighbour where the width is odd.
      for (const wide of [width, width + 1]) {
        const edge = new Float32Array(height * wide * channels).fill(1);
        for (let row = 0; row < height; row++) edge[((row + 1) * wide - 1) * channels] = Number.POSITIVE_INFINITY;
        const image = tensor(edge, [1, height, wide, channels]);
        const [, pullback] = await vjp(f, [image, at[1]], { device: 'cpu', precision });
        const delta = tensor(new Float32Array(height * wide * filters).fill(1), [1, height, wide, filters]);
        const wBar = ((await pullback(delta)) as unknown as Tensor[])[1] as Tensor;
        for (const [i, value] of wBar.data.entries()) {
          const reached = Math.floor(i / filters / channels) % 3 > 0 && Math.floor(i / filters) % channels === 0;
          if (Number.isFinite(value) === reached)
            assert.unreachable(`${channels} channels, width ${wide}: w̄[${i}] ${value}`);
        }
      }
    }
  },
  precision,
);

test.run();
