// Every float32 device (cpu on every instruction set) at its edges: lengths around the vector widths and blocks, whole domains, kinks, NaN, infinities
// and signed zeros.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { evaluate, jvp, ops, type Tensor, tensor, type Value, vjp } from '../src/index.ts';
import { callOp, type Input, type OpCase, onDevice, opCases } from './cases/index.ts';
import { checkSamples, type Data, numbers, type Sample, sampleOf, usage } from './support/samples.ts';
import { onEverySet, testApart, testDevice } from './support/targets.ts';
import { reportUsage } from './tolerance.ts';

const lengths = [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 255, 256, 257, 513];
const short = [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33];

/** Each family of an op once, its first case stretched: [n], or [2, n] reduced and [n, 2] the other way. */
function stretched(): Sample[][] {
  const groups: Sample[][] = [];
  const seen = new Set<string>();
  const add = (key: string, cases: readonly OpCase[]): void => {
    if (seen.has(key)) return;
    seen.add(key);
    groups.push(cases.map((opCase, i) => sampleOf(opCase, 9000 + i)));
  };
  const to = (input: Input, shape: readonly number[]): Input => ({ ...input, shape });
  for (const opCase of opCases) {
    const { op, attributes, inputs, integers, kind } = opCase;
    const [first, second] = inputs;
    const key = `${op} ${JSON.stringify(attributes)}`;
    const elementwise = kind === 'elementwise' || op === 'where';
    if (elementwise && second === undefined) {
      add(
        key,
        lengths.map((n) => ({ ...opCase, inputs: [to(first!, [n])] })),
      );
    } else if (elementwise) {
      const labels = (shape: readonly number[]): OpCase['integers'] => integers.map((each) => ({ ...each, shape }));
      add(
        `${key} same`,
        lengths.map((n) => ({ ...opCase, inputs: [to(first!, [n]), to(second!, [n])], integers: labels([n]) })),
      );
      add(
        `${key} scalar`,
        lengths.map((n) => ({ ...opCase, inputs: [to(first!, [n]), to(second!, [])], integers: labels([n]) })),
      );
      add(
        `${key} outer`,
        short.map((n) => ({ ...opCase, inputs: [to(first!, [3, 1]), to(second!, [n])], integers: labels([]) })),
      );
      add(
        `${key} rows`,
        short.map((n) => ({ ...opCase, inputs: [to(first!, [2, n]), to(second!, [n])], integers: labels([2, 1]) })),
      );
    } else if (['sum', 'mean', 'max', 'logSumExp', 'softmax', 'logSoftmax'].includes(op)) {
      add(
        `${op} last`,
        lengths.map((n) => ({ ...opCase, attributes: { axis: 1 }, inputs: [to(first!, [2, n])] })),
      );
      add(
        `${op} first`,
        lengths.slice(0, -4).map((n) => ({ ...opCase, attributes: { axis: 0 }, inputs: [to(first!, [3, n])] })),
      );
      add(
        `${op} long first`,
        [...short, 65, 257].map((n) => ({ ...opCase, attributes: { axis: 0 }, inputs: [to(first!, [n, 3])] })),
      );
    } else if (op === 'layerNorm' || op === 'rmsNorm') {
      add(
        `${op} ${inputs.length}`,
        lengths.map((n) => ({
          ...opCase,
          inputs: [[2, n], [n], [n]].slice(0, inputs.length).map((s) => to(first!, s)),
        })),
      );
    } else if (op === 'gather') {
      add(
        op,
        lengths.map((n) => ({
          ...opCase,
          attributes: {},
          inputs: [to(first!, [3, n])],
          integers: [{ shape: [4], below: 3 }],
        })),
      );
    } else if (op === 'cumsum' || op === 'argmax') {
      add(
        `${op} last`,
        lengths.slice(0, -3).map((n) => ({ ...opCase, attributes: { axis: 1 }, inputs: [to(first!, [2, n])] })),
      );
      add(
        `${op} first`,
        lengths.map((n) => ({ ...opCase, attributes: { axis: 0 }, inputs: [to(first!, [3, n])] })),
      );
    } else if (op === 'softmaxCrossEntropy') {
      add(
        op,
        lengths.map((n) => ({ ...opCase, inputs: [to(first!, [2, n])], integers: [{ shape: [2], below: n }] })),
      );
    } else if (op === 'meanSquaredError') {
      add(
        op,
        lengths.map((n) => ({ ...opCase, inputs: [to(first!, [2, n]), to(second!, [2, n])] })),
      );
    } else if (op === 'transpose') {
      add(
        op,
        lengths.slice(0, -4).map((n) => ({ ...opCase, attributes: {}, inputs: [to(first!, [3, n])] })),
      );
    } else if (op === 'concat') {
      add(
        op,
        lengths.map((n) => ({ ...opCase, attributes: { axis: 1 }, inputs: [to(first!, [2, n]), to(first!, [2, 3])] })),
      );
    } else if (op === 'slice') {
      add(
        op,
        lengths.map((n) => ({
          ...opCase,
          attributes: { start: [1, 1], size: [2, n] },
          inputs: [to(first!, [3, n + 2])],
        })),
      );
    } else if (op === 'pad') {
      add(
        op,
        lengths.map((n) => ({
          ...opCase,
          attributes: { before: [1, 1], after: [0, 2] },
          inputs: [to(first!, [2, n])],
        })),
      );
    } else if (op === 'broadcast') {
      add(
        op,
        lengths.map((n) => ({ ...opCase, attributes: { shape: [3, n] }, inputs: [to(first!, [n])] })),
      );
      add(
        `${op} last`,
        lengths.map((n) => ({ ...opCase, attributes: { shape: [3, n] }, inputs: [to(first!, [3, 1])] })),
      );
    } else if (op === 'matmul') {
      for (const transposeA of [false, true]) {
        for (const transposeB of [false, true]) {
          const sizes = [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33];
          const shape = (a: number, b: number, swap: boolean): number[] => (swap ? [b, a] : [a, b]);
          add(
            `${op} ${transposeA} ${transposeB}`,
            sizes.flatMap((n) =>
              [
                [n, 3, 5],
                [3, n, 5],
                [3, 5, n],
              ].map(([m, k, columns]) => ({
                ...opCase,
                attributes: { transposeA, transposeB },
                inputs: [to(first!, shape(m!, k!, transposeA)), to(first!, shape(k!, columns!, transposeB))],
              })),
            ),
          );
        }
      }
    } else if (op === 'dense' && inputs.length === 3) {
      const sizes = [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33];
      add(
        key,
        sizes.flatMap((n) =>
          [
            [n, 3, 5],
            [3, n, 5],
            [3, 5, n],
          ].map(([rows, inner, outer]) => ({
            ...opCase,
            inputs: [to(first!, [rows!, inner!]), to(first!, [inner!, outer!]), to(first!, [outer!])],
          })),
        ),
      );
    }
  }
  return groups;
}

const groups = stretched();
onEverySet('lengths around the vector widths and blocks', async () => {
  for (const group of groups) await checkSamples(group, { device: testDevice });
});

/** The whole range where float32 has something to say. */
const wide: readonly [op: OpCase['op'], low: number, high: number, attributes?: OpCase['attributes']][] = [
  ['exp', -86, 88],
  ['exp', -1e-3, 1e-3],
  ['log', 1e-30, 1e-3],
  ['log', 0.9, 1.1],
  ['log', 1, 1e30],
  ['sqrt', 1e-30, 1e30],
  ['rsqrt', 1e-6, 1e-2],
  ['reciprocal', 1e-6, 1e6],
  ['sin', -1000, 1000],
  ['cos', -1000, 1000],
  ['sin', -1e-3, 1e-3],
  ['tanh', -20, 20],
  ['tanh', -1e-3, 1e-3],
  ['sigmoid', -80, 80],
  ['silu', -60, 60],
  ['softplus', -80, 80],
  ['erf', -7, 7],
  ['erf', -1e-3, 1e-3],
  ['gelu', -9, 9],
  ['gelu', -9, 9, { approximate: 'tanh' }],
  ['elu', -80, 10],
  ['elu', -1e-3, 0],
];
const wideSamples = wide.map(([op, low, high, attributes = {}], i) =>
  sampleOf({ op, attributes, inputs: [{ shape: [700], low, high }], integers: [], kind: 'elementwise' }, 700 + i),
);
onEverySet('elementwise functions over their whole range', async () => {
  for (const sample of wideSamples) await checkSamples([sample], { device: testDevice });
});

/** Exactly on kinks and ties. */
const kinks: readonly [op: OpCase['op'], attributes: OpCase['attributes'], ...x: number[][]][] = [
  ['relu', {}, [0, 1, -1, 0]],
  ['abs', {}, [0, 1, -1, 0]],
  ['leakyRelu', { slope: 0.25 }, [0, 1, -1, 0]],
  ['elu', { alpha: 0.5 }, [0, 1, -1, 0]],
  ['maximum', {}, [0, 1, 2, -1], [0, 1, 3, -2]],
  ['minimum', {}, [0, 1, 2, -1], [0, 1, 3, -2]],
  ['clip', { min: -1, max: 1 }, [-1, 1, 0, 2, -2]],
  ['max', { axis: 0 }, [1, 3, 3, 2, 3]],
  ['max', {}, [2, 2, 2, 2]],
];
const kinkSamples = kinks.map(([op, attributes, ...x], i) =>
  sampleOf(
    {
      op,
      attributes,
      inputs: x.map((data) => ({ shape: [data.length], low: 0, high: 0 })),
      integers: [],
      kind: 'elementwise',
    },
    300 + i,
    x.map((data) => Float64Array.from(data)),
  ),
);
onEverySet('slopes on kinks and ties are the documented ones', async () => {
  for (const fuse of [true, false]) await checkSamples(kinkSamples, { device: testDevice, fuse });
});

testApart('reference: slopes on kinks and ties are the documented ones', async () => {
  const double = ({ shape, data }: Data): Tensor => onDevice(data, shape, 'reference');
  for (const { f, x, v, yBar, truth, name } of kinkSamples) {
    const [, yDot] = await jvp(f, x.map(double), v.map(double), { device: 'reference' });
    const [, pullback] = await vjp(f, x.map(double), { device: 'reference' });
    const xBar = (await pullback(double(yBar))) as unknown as Tensor[];
    assert.equal(
      [...yDot.data],
      truth.tangent.map((each) => each.v),
      name,
    );
    for (const [i, bar] of truth.cotangents.entries())
      assert.equal(
        [...xBar[i]!.data],
        bar.map((each) => each.v),
        `${name} ${i}`,
      );
  }
});

// What is no ordinary number: every pair of these meets in binary ops.
const specials = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0, 1, -1, 2.5, -30, 2 ** 40];
const left = specials.flatMap((a) => specials.map(() => a));
const right = specials.flatMap(() => specials);

function specialCases(): { name: string; f: (...x: Value[]) => Value; x: Data[] }[] {
  const cases: { name: string; f: (...x: Value[]) => Value; x: Data[] }[] = [];
  const seen = new Set<string>();
  const list = (data: readonly number[], shape: readonly number[] = [data.length]): Data =>
    numbers(shape, Float64Array.from(data));
  for (const { op, attributes, inputs, integers, kind } of opCases) {
    const key = `${op} ${JSON.stringify(attributes)}`;
    if (seen.has(key)) continue;
    const labels = integers.map(() => tensor(Int32Array.from(left, (_, i) => i % 2)));
    const elementwise = (kind === 'elementwise' || op === 'where') && inputs.length > 0;
    if (elementwise) {
      seen.add(key);
      cases.push({
        name: key,
        f: (...x) => callOp(op, attributes, x, labels),
        x: inputs.length === 1 ? [list(specials)] : [list(left), list(right)],
      });
    }
  }
  // Sums with one large term would say more about cancellation than about classes.
  const moderate = (each: number): number => (each === 2 ** 40 ? 8 : each);
  const row = (k: number): number[] => specials.map((each, i) => (i === k ? moderate(each) : (i % 3) - 1));
  const table = list(
    specials.flatMap((_, k) => row(k)),
    [specials.length, specials.length],
  );
  const full = list(left.map(moderate), [specials.length, specials.length]);
  for (const op of ['sum', 'mean', 'max', 'logSumExp', 'softmax', 'logSoftmax'] as const) {
    for (const axis of [0, 1]) {
      cases.push({ name: `${op} ${axis}`, f: (x) => callOp(op, { axis }, [x!]), x: [table] });
      cases.push({ name: `${op} ${axis} of equal ones`, f: (x) => callOp(op, { axis }, [x!]), x: [full] });
    }
  }
  const labels = tensor(Int32Array.from(specials, (_, i) => i));
  cases.push({ name: 'softmaxCrossEntropy', f: (x) => ops.softmaxCrossEntropy(x!, labels), x: [table] });
  const outside = tensor(Int32Array.of(0, -1, 10, 2 ** 31 - 1, -(2 ** 31), 3, 4, 5, 6, 7));
  const ordinary = list(
    left.map((_, i) => (i % 7) - 3),
    [10, 10],
  );
  cases.push({
    name: 'softmaxCrossEntropy of labels outside',
    f: (x) => ops.softmaxCrossEntropy(x!, outside),
    x: [ordinary],
  });
  cases.push({ name: 'meanSquaredError', f: (x, y) => ops.meanSquaredError(x!, y!), x: [table, ordinary] });
  cases.push({ name: 'matmul', f: (x, y) => ops.matmul(x!, y!), x: [table, ordinary] });
  cases.push({ name: 'matmul from the right', f: (x, y) => ops.matmul(y!, x!), x: [table, ordinary] });
  for (const activation of [
    'none',
    'relu',
    'tanh',
    'sigmoid',
    'gelu',
    'silu',
    'softplus',
    'leakyRelu',
    'elu',
    'exp',
    'sin',
    'square',
  ] as const) {
    cases.push({
      name: `dense ${activation}`,
      f: (x, w) => ops.dense(x!, w!, { activation }),
      x: [
        table,
        list(
          specials.map((_, i) => (i === 3 ? 0 : 1)),
          [10, 1],
        ),
      ],
    });
  }
  return cases;
}

/** One class: NaN, an infinity, a number to rounding, and in outputs the sign of a zero that is one in float64 too. */
function sameKind(what: string, actual: number, truth: number, signs: boolean): void {
  const expected = Math.fround(truth);
  const close = Number.isFinite(actual) && Math.abs(actual - expected) <= 2e-6 * Math.max(1, Math.abs(expected));
  const same = truth === 0 && signs ? Object.is(actual, truth) : Object.is(actual, expected) || close;
  assert.ok(
    same,
    `${what}: ${Object.is(actual, -0) ? '-0' : actual} where reference has ${Object.is(truth, -0) ? '-0' : truth}`,
  );
}

const special = specialCases();
onEverySet('NaN, infinities and signed zeros go where reference sends them', async () => {
  const failures: string[] = []; // elu(−0) is 0 in float32
  for (const { name, f, x } of special) {
    const ones = x.map(({ shape, data }) => numbers(shape, new Float64Array(data.length).fill(1)));
    for (const fuse of [true, false]) {
      const results = await Promise.all(
        ([testDevice, 'reference'] as const).map(async (device) => {
          const on = ({ shape, data }: Data): Tensor => onDevice(data, shape, device);
          const options = { device, fuse };
          const [y] = [await evaluate(f, options)(...x.map(on))];
          if (y.dtype === 'int32') return [y];
          const [, yDot] = await jvp(f, x.map(on), ones.map(on), options);
          return [y, yDot];
        }),
      );
      const [actual, expected] = results as [Tensor[], Tensor[]];
      for (const [part, each] of actual.entries()) {
        for (let i = 0; i < each.data.length; i++) {
          try {
            sameKind(
              `${name} ${fuse ? 'fused' : 'unfused'} ${part === 0 ? 'output' : 'tangent'}[${i}]`,
              each.data[i]!,
              expected[part]!.data[i]!,
              part === 0 && !name.startsWith('elu'),
            );
          } catch (error) {
            failures.push((error as Error).message);
          }
        }
      }
    }
  }
  assert.is(failures.length, 0, `${failures.length} differ:\n${failures.slice(0, 40).join('\n')}`);
});

test.after(() => reportUsage(usage));
test.run();
