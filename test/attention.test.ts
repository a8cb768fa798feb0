// Attention: the kernels against the definition and against their lowering, what causal and a mask hide, bits that threads do not change,
// memory that does not grow with n·m.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/binding.ts';
import { evaluate, grad, jvp, nn, ops, type RunOptions, type Tensor, tensor, type Value, vjp } from '../src/index.ts';
import type { OpCase } from './cases/index.ts';
import { normals } from './support/draw.ts';
import { compileOn, traceProgram } from './support/native_call.ts';
import { type Misuse, refuses } from './support/refusal.ts';
import { checkSamples, type Sample, sampleOf, usage } from './support/samples.ts';
import { onEverySet, testApart, testDevice } from './support/targets.ts';
import { reportUsage } from './tolerance.ts';

interface Sizes {
  readonly outer?: readonly number[];
  readonly n: number;
  readonly m: number;
  readonly d: number;
  readonly e: number;
  readonly causal?: boolean;
}

function caseOf({ outer = [], n, m, d, e, causal = false }: Sizes): OpCase {
  const input = (...shape: number[]): OpCase['inputs'][number] => ({
    shape: [...outer, ...shape],
    low: -1.5,
    high: 1.5,
  });
  return {
    op: 'attention',
    attributes: { causal },
    inputs: [input(n, d), input(m, d), input(m, e)],
    integers: [],
    kind: 'products',
  };
}

const odd = [1, 3, 17, 65];
const groups: Sample[][] = [
  // Every pair of lengths; features around the vector widths; several tiles of 128, 64, 63 and 16 queries, several panels of 256 keys.
  odd.flatMap((n) =>
    odd.flatMap((m) =>
      [false, true].filter((causal) => !causal || m >= n).map((causal) => caseOf({ n, m, d: 5, e: 3, causal })),
    ),
  ),
  odd.flatMap((size) => [
    caseOf({ n: 3, m: 17, d: size, e: 2 }),
    caseOf({ n: 17, m: 17, d: 2, e: size, causal: true }),
    caseOf({ outer: [2, 1], n: 2, m: 3, d: size, e: size, causal: true }),
  ]),
  [caseOf({ n: 130, m: 130, d: 3, e: 2, causal: true }), caseOf({ n: 133, m: 20, d: 2, e: 3 })],
  [caseOf({ n: 67, m: 1030, d: 2, e: 1 })],
  [caseOf({ n: 18, m: 4100, d: 1, e: 1 })],
].map((group, g) => group.map((opCase, i) => sampleOf(opCase, 100 * g + i)));
onEverySet('odd sizes, and lengths of several tiles and panels, within their rounding bounds', async () => {
  for (const group of groups) await checkSamples(group, { device: testDevice });
});
test.after(() => reportUsage(usage));

const randomTensor = (seed: number, ...shape: number[]): Tensor =>
  tensor(
    normals(
      shape.reduce((product, size) => product * size, 1),
      seed,
    ),
    shape,
  );
const double = (x: Tensor): Tensor => tensor(Float64Array.from(x.data), [...x.shape]);
const threeOf = (seed: number, { outer = [], n, m, d, e }: Sizes): [Tensor, Tensor, Tensor] => [
  randomTensor(seed, ...outer, n, d),
  randomTensor(seed + 1, ...outer, m, d),
  randomTensor(seed + 2, ...outer, m, e),
];

function nearly(what: string, actual: Tensor, expected: Tensor, relative: number): void {
  assert.equal([...actual.shape], [...expected.shape], what);
  const scale = Math.max(1, ...Array.from(expected.data, Math.abs));
  for (let i = 0; i < expected.data.length; i++) {
    const error = Math.abs(actual.data[i]! - expected.data[i]!);
    assert.ok(error <= relative * scale, `${what}[${i}]: ${actual.data[i]} for ${expected.data[i]}`);
  }
}

/** Value, tangent and cotangents. */
async function everything(f: (...x: Value[]) => Value, x: Tensor[], options: RunOptions): Promise<Tensor[]> {
  const round = options.device === 'reference' ? double : (each: Tensor): Tensor => each;
  const given = x.map(round);
  const dots = x.map(({ shape }, i) => round(randomTensor(40 + i, ...shape)));
  const [y, yDot] = (await jvp(f, given, dots, options)) as unknown as [Tensor, Tensor];
  const [, pullback] = await vjp(f, given, options);
  const bars = (await pullback(round(randomTensor(50, ...y.shape)))) as unknown as Tensor[];
  return [y, yDot, ...bars];
}

/** The lowered form, written by hand: matmul, mask, softmax, matmul. */
function byHand(q: Value, k: Value, v: Value, mask?: Tensor): Value {
  const scores = ops.matmul(q, k, { transposeB: true }).mul(1 / Math.sqrt(q.shape.at(-1)!));
  return ops.matmul(ops.softmax(mask === undefined ? scores : scores.add(mask)), v);
}

const maskOf = (n: number, m: number, f: (i: number, j: number) => number): Tensor =>
  tensor(
    Float32Array.from({ length: n * m }, (_, at) => f(Math.floor(at / m), at % m)),
    [n, m],
  );
const causalMask = (n: number, m: number): Tensor => maskOf(n, m, (i, j) => (j <= i + m - n ? 0 : -Infinity));

test('kernels, lowering and the composed ops are one function, with its tangent and cotangents', async () => {
  for (const sizes of [
    { n: 1, m: 1, d: 1, e: 1 },
    { outer: [2, 3], n: 17, m: 17, d: 8, e: 5 },
    { outer: [2], n: 5, m: 70, d: 3, e: 4 },
    { n: 65, m: 65, d: 3, e: 3 },
  ] as Sizes[]) {
    const { n, m } = sizes;
    for (const causal of [false, true]) {
      for (const masked of [false, true]) {
        const x = threeOf(n + m, sizes);
        const given = masked ? maskOf(n, m, (i, j) => Math.fround(Math.sin(3 * i + j))) : undefined;
        const both = causalMask(n, m);
        const together = maskOf(n, m, (i, j) => both.data[i * m + j]! + (given?.data[i * m + j] ?? 0));
        const mask = (value: Value, at: Tensor): Tensor => (value.dtype === 'float64' ? double(at) : at);
        const f = (q: Value, k: Value, v: Value): Value =>
          given === undefined ? ops.attention(q, k, v, { causal }) : ops.attention(q, k, v, mask(q, given), { causal });
        const hand = (q: Value, k: Value, v: Value): Value =>
          byHand(q, k, v, causal ? mask(q, together) : given && mask(q, given));
        const what = JSON.stringify({ ...sizes, causal, masked });
        const expected = await everything(hand as never, x, { device: 'reference' });
        for (const device of ['reference', testDevice] as const) {
          for (const fuse of [true, false]) {
            const results = await everything(f as never, x, { device, fuse });
            for (const [i, result] of results.entries())
              nearly(`${what} ${device} ${fuse} ${i}`, result, expected[i]!, device === 'reference' ? 1e-13 : 1e-5);
          }
        }
      }
    }
  }
});

onEverySet('tangents of some inputs alone: one direction each, and the others zero', async () => {
  const sizes = { outer: [2], n: 9, m: 12, d: 5, e: 6 };
  const x = threeOf(60, sizes);
  const v = threeOf(70, sizes);
  for (let given = 1; given < 8; given++) {
    for (const causal of [false, true]) {
      const f = (q: Value, k: Value, v: Value): Value => ops.attention(q, k, v, { causal });
      const dots = v.map((dot, i) => ((given >> i) & 1 ? dot : null)) as typeof v;
      const wide = dots.map((dot) => (dot === null ? null : double(dot))) as typeof v;
      const [, yDot] = await jvp(f, x, dots, { device: testDevice });
      const [, expected] = await jvp(f, x.map(double) as [Tensor, Tensor, Tensor], wide, {
        device: 'reference',
        fuse: false,
      });
      nearly(`inputs ${given} ${causal}`, yDot, expected, 5e-6);
    }
  }
});

const bitsOf = (x: Tensor): number[] => [...new Uint32Array(x.data.buffer, x.data.byteOffset, x.data.length)];
const causal = (q: Value, k: Value, v: Value): Value => ops.attention(q, k, v, { causal: true });

/** The first `rows` rows of a matrix, or those from `from` on. */
function rowsOf(x: Tensor, from: number, to: number): Tensor {
  const width = x.shape[1]!;
  return tensor(x.data.slice(from * width, to * width) as Float32Array, [to - from, width]);
}

onEverySet('causal: what comes later does not change a bit of what came before', async () => {
  for (const n of [1, 3, 17, 65, 100]) {
    const [q, k, v] = threeOf(n, { n, m: n, d: 7, e: 4 });
    const y = await evaluate(causal)(q, k, v);
    for (const at of new Set([0, n >> 1, n - 1])) {
      const later = (x: Tensor): Tensor => {
        const data = x.data.slice() as Float32Array;
        for (let i = (at + 1) * x.shape[1]!; i < data.length; i++) data[i] = 5 - data[i]!;
        return tensor(data, [...x.shape]);
      };
      const changed = await evaluate(causal)(later(q), later(k), later(v));
      assert.equal(bitsOf(rowsOf(changed, 0, at + 1)), bitsOf(rowsOf(y, 0, at + 1)), `n ${n}, at ${at}`);
      // The row is the attention of its query to the keys up to it.
      const one = await evaluate((...x: Value[]) => ops.attention(x[0]!, x[1]!, x[2]!))(
        rowsOf(q, at, at + 1),
        rowsOf(k, 0, at + 1),
        rowsOf(v, 0, at + 1),
      );
      nearly(`n ${n}, row ${at} alone`, rowsOf(y, at, at + 1), one, 2e-6);
      // Queries are the last of the positions: those from `at` on, with all keys, are the same rows again.
      nearly(`n ${n}, from ${at}`, await evaluate(causal)(rowsOf(q, at, n), k, v), rowsOf(y, at, n), 2e-6);
    }
  }
});

onEverySet('NaN and large scores stay in the rows that see them', async () => {
  const sizes = { n: 20, m: 20, d: 4, e: 3 };
  const [q, k, v] = threeOf(3, sizes);
  const huge = tensor(
    Float32Array.from(q.data, (x) => 1e4 * x),
    [20, 4],
  );
  const y = await evaluate(causal)(huge, k, v);
  assert.ok(y.data.every(Number.isFinite));
  const damaged = q.data.slice() as Float32Array;
  damaged[4 * 6] = Number.NaN;
  const some = await evaluate(causal)(tensor(damaged, [20, 4]), k, v);
  assert.equal(
    Array.from(some.data, Number.isNaN),
    Array.from(some.data, (_, i) => Math.floor(i / 3) === 6),
  );
  const blind = maskOf(20, 20, (i, j) => (i === 2 || j === 5 ? -Infinity : 0));
  const seen = await evaluate((...x: Value[]) => ops.attention(x[0]!, x[1]!, x[2]!, blind))(q, k, v);
  assert.equal(
    Array.from(seen.data, Number.isNaN),
    Array.from(seen.data, (_, i) => Math.floor(i / 3) === 2),
  );
});

/** Value, tangent and the three cotangents as outputs of one program. */
const program = (sizes: Sizes, attributes = {}, K = 1): ReturnType<typeof traceProgram> => {
  const { outer = [], n, m, d, e } = sizes;
  const shapes = [
    [...outer, n, d],
    [...outer, m, d],
    [...outer, m, e],
  ];
  const inputs = [...shapes, ...shapes.map((shape) => [K, ...shape]), [...outer, n, e]].map((shape) => ({ shape }));
  return traceProgram(inputs, (...x) => {
    const f = (q: Value, k: Value, v: Value): Value => ops.attention(q, k, v, attributes);
    const one = (dot: Value): Value => ops.reshape(dot, dot.shape.slice(1));
    const [y, yDot] = jvp(f, x.slice(0, 3) as never, x.slice(3, 6).map(one) as never) as unknown as [Value, Value];
    const along = (list: Value[]): Value => f(list[0]!, list[1]!, list[2]!).mul(x[6]!).sum();
    return [y, yDot, ...(grad(along)(x.slice(0, 3)) as Value[])];
  });
};

onEverySet('one thread and two give the same bits', async (isa) => {
  for (const sizes of [
    { outer: [2, 3], n: 70, m: 90, d: 16, e: 8 },
    { n: 150, m: 150, d: 32, e: 32 },
    { outer: [40], n: 16, m: 16, d: 8, e: 8 },
  ] as Sizes[]) {
    const { outer = [], n, m, d, e } = sizes;
    const three = [randomTensor(1, ...outer, n, d), randomTensor(2, ...outer, m, d), randomTensor(3, ...outer, m, e)];
    const inputs = [...three, ...three, randomTensor(4, ...outer, n, e)].map(({ data }) => data as Float32Array);
    const results: number[][][] = [];
    for (const threads of [1, 2]) {
      const session = new native.Session(testDevice, isa, testDevice === 'cpu' ? threads : 0);
      const plan = compileOn(session, program(sizes, { causal: true }));
      const { outputs } = await plan.run({ inputs, keyLow: 0, keyHigh: 0, firstStep: 0, steps: 1 });
      results.push(outputs.map((each) => [...new Uint32Array(each.buffer, each.byteOffset, each.length)]));
      session.dispose();
    }
    assert.equal(results[0], results[1]);
  }
});

testApart('memory grows with n, not with n²: no matrix of scores', () => {
  const bytesAt = (n: number): { workspace: number; tape: number } => {
    const session = new native.Session('cpu', '', 2);
    const plan = compileOn(session, program({ n, m: n, d: 16, e: 16 }, { causal: true }));
    const { workspaceBytes: workspace, tapeBytes: tape } = plan;
    session.dispose();
    return { workspace, tape };
  };
  const sizes = [1024, 2048, 4096, 8192, 16384];
  const found = sizes.map(bytesAt);
  for (const [i, n] of sizes.entries()) {
    const { workspace, tape } = found[i]!;
    // Panels and packed rows, a tile of at most 16 queries a thread from 4096 keys on, and rows of 16.
    assert.ok(workspace <= 1.5e6 + 4 * n * (2 * 2 * 16 + 8 * 16), `n ${n}: ${workspace}`);
    assert.ok(workspace < 4 * n * n, `n ${n}: ${workspace}`);
    assert.ok(tape <= 4 * n * 16 * 4, `tape at n ${n}: ${tape}`);
  }
  const growth = found.at(-1)!.workspace - found.at(-2)!.workspace;
  assert.ok(growth <= 2.1 * (found.at(-2)!.workspace - found.at(-3)!.workspace), 'doubling n doubles it');
  assert.ok(found.at(-1)!.workspace < (4 * 16384 * 16384) / 20);
});

testApart(
  'a mask is data: a tangent or cotangent that it would need is refused, stopGradient takes it away',
  async () => {
    const [q, k, v] = threeOf(9, { n: 3, m: 4, d: 2, e: 2 });
    const mask = randomTensor(8, 3, 4);
    const f = (at: Value): Value => ops.attention(q, k, v, at);
    const g = (at: Value): Value => ops.attention(q, k, v, ops.stopGradient(at)).add(at.sum());
    await refuses([() => jvp(f, [mask], [mask]), 'NOT_DIFFERENTIABLE', 'a mask that is data']);
    await refuses([() => vjp(f, [mask]), 'NOT_DIFFERENTIABLE', 'a mask that is data']);
    const [, yDot] = await jvp(g, [mask], [mask]);
    assert.ok(yDot.data.every((each: number) => each === yDot.data[0]));
  },
);

// biome-ignore lint/suspicious/noExplicitAny: this is about what the types forbid
type Any = any;
const at = (...shapes: number[][]): Tensor[] => shapes.map((shape) => randomTensor(1, ...shape));
const calls = (f: (...x: Any[]) => Any, ...x: unknown[]): (() => unknown) => {
  return () => evaluate((...values: Value[]) => f(...values))(...(x as Any[]));
};
const called = (options: unknown): (() => unknown) =>
  calls((q, k, v) => ops.attention(q, k, v, options as Any), ...at([2, 3], [4, 3], [4, 3]));

testApart('bad shapes and options', async () => {
  const SHAPE = 'SHAPE_MISMATCH';
  const INVALID = 'INVALID_ARGUMENT';
  const table: Misuse[] = [
    [calls(ops.attention, ...at([3], [3], [3])), SHAPE, 'q [..., n, d], k [..., m, d] and v [..., m, e]'],
    [calls(ops.attention, ...at([2, 3], [4, 5], [4, 3])), SHAPE, '[2, 3], [4, 5] and [4, 3]'],
    [calls(ops.attention, ...at([2, 3], [4, 3], [5, 3])), SHAPE, 'the same leading axes'],
    [calls(ops.attention, ...at([2, 2, 3], [4, 3], [4, 3])), SHAPE, 'the same leading axes'],
    [calls(ops.attention, ...at([2, 2, 3], [1, 4, 3], [2, 4, 3])), SHAPE, 'the same leading axes'],
    [calls(ops.attention, ...at([2, 3], [4, 3], [4, 3], [4, 2])), SHAPE, 'a mask [2, 4]'],
    [calls(ops.attention, ...at([2, 3], [4, 3], [4, 3], [4])), SHAPE, 'a mask [2, 4]'],
    [
      calls(ops.attention, ...at([2, 3], [4, 3]), tensor(Int32Array.of(1, 2), [2, 1])),
      'DTYPE_MISMATCH',
      'real tensors',
    ],
    [
      calls((q, k, v) => ops.attention(q, k, v, { causal: true }), ...at([5, 3], [4, 3], [4, 3])),
      SHAPE,
      'at least as many keys as queries',
    ],
    [called({ causal: 1 }), INVALID, 'causal to be true or false'],
    [called({ casual: true }), INVALID, 'only the options causal'],
    [called('causal'), INVALID, 'a Value, a Tensor or a number'],
    [() => ops.attention(...(at([2, 3], [2, 3], [2, 3]) as [Any, Any, Any])), INVALID, 'inside a traced function'],
    [() => nn.multiHeadAttention(0), INVALID, 'heads to be an integer from 1'],
    [() => nn.multiHeadAttention(2, { causal: 'yes' as Any }), INVALID, 'causal to be true or false'],
    [() => nn.multiHeadAttention(2, { mask: 1 } as Any), INVALID, 'only the options causal'],
    [() => nn.transformerBlock({} as Any), INVALID, 'heads to be an integer from 1'],
    [() => nn.transformerBlock({ heads: 2, hidden: 0 }), INVALID, 'hidden to be an integer from 1'],
    [() => nn.transformerBlock({ heads: 2, causal: null as Any }), INVALID, 'causal to be true or false'],
    [() => nn.positionalEmbedding(1.5), INVALID, 'length to be an integer from 1'],
  ];
  for (const misuse of table) await refuses(misuse);
});

test.run();
