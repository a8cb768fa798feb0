// The cpu device on every instruction set: every case of test/cases within its rounding bound, K directions, lengths around the vector
// widths and blocks, whole domains, kinks, NaN, infinities and signed zeros, inputs that stay as they were.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/binding.ts';
import { evaluate, jacfwd, jvp, ops, type RunOptions, type Tensor, tensor, type Value, vjp } from '../src/index.ts';
import {
  callOp,
  draw,
  drawDirection,
  drawIntegers,
  generator,
  type Input,
  nameOf,
  type OpCase,
  onDevice,
  opCases,
} from './cases/index.ts';
import { withIsa } from './support/isa.ts';
import { compileOn, traceProgram } from './support/native_call.ts';
import { type Numbers, reportUsage, type Truth, truthOf, Usage, withinBounds } from './tolerance.ts';

type Data = { readonly shape: readonly number[]; readonly data: Float64Array };

/** A case at a random point with everything that its checks need; made once for all instruction sets. */
interface Sample {
  readonly opCase: OpCase;
  readonly name: string;
  readonly f: (...x: Value[]) => Value;
  readonly x: readonly Data[];
  readonly v: readonly Data[];
  readonly yBar: Data;
  readonly truth: Truth;
}

const numbers = (shape: readonly number[], data: Float64Array): Data => ({ shape, data });
const onCpu = ({ shape, data }: Data): Tensor => onDevice(data, shape, 'cpu');

function sampleOf(opCase: OpCase, seed: number, given?: readonly Float64Array[]): Sample {
  const random = generator(seed);
  const labels = opCase.integers.map((integers) => tensor(drawIntegers(integers, random), [...integers.shape]));
  const x = opCase.inputs.map((input, i) => numbers(input.shape, given?.[i] ?? draw(input, random)));
  const v = opCase.inputs.map(({ shape }) => numbers(shape, drawDirection(shape, random)));
  const { shape } = truthOf({ ...opCase, inputs: x, integers: labels });
  const yBar = numbers(shape, drawDirection(shape, random));
  const truth = truthOf({ ...opCase, inputs: x, tangents: v, integers: labels, outputCotangent: yBar });
  return {
    opCase,
    name: nameOf(opCase),
    f: (...at) => callOp(opCase.op, opCase.attributes, at, labels),
    x,
    v,
    yBar,
    truth,
  };
}

const usage = new Map<string, Usage>();

function within(op: string, what: string, actual: Tensor, expected: readonly { v: number; e: number }[]): void {
  if (!usage.has(op)) usage.set(op, new Usage());
  withinBounds(what, actual, expected, usage.get(op));
}

/** Value, tangent and cotangents of several samples at once: one plan each for all of them. */
async function checkSamples(samples: readonly Sample[], options: RunOptions): Promise<void> {
  const all = (...lists: Value[][]): Value[] => samples.map(({ f }, i) => f(...lists[i]!));
  const x = samples.map((sample) => sample.x.map(onCpu));
  const values = (await evaluate(all, options)(...x)) as unknown as Tensor[];
  for (const [i, { name, truth, opCase }] of samples.entries()) {
    assert.equal([...values[i]!.shape], [...truth.shape]);
    within(opCase.op, `${name} output`, values[i]!, truth.output);
  }
  if (samples[0]!.opCase.integer) return;
  const v = samples.map((sample) => sample.v.map(onCpu));
  const [again, dots] = (await jvp(all, x, v, options)) as unknown as [Tensor[], Tensor[]];
  const [, pullback] = await vjp(all, x, options);
  const bars = (await pullback(samples.map(({ yBar }) => onCpu(yBar)) as never)) as unknown as Tensor[][];
  for (const [i, { name, truth, opCase }] of samples.entries()) {
    within(opCase.op, `${name} output of jvp`, again[i]!, truth.output);
    within(opCase.op, `${name} tangent`, dots[i]!, truth.tangent);
    for (const [j, cotangent] of truth.cotangents.entries()) {
      within(opCase.op, `${name} cotangent ${j}`, bars[i]![j]!, cotangent);
    }
  }
}

/** A test per instruction set. */
function onEverySet(what: string, run: (isa: string) => Promise<void>): void {
  for (const isa of native.instructionSets()) test(`cpu ${isa}: ${what}`, () => withIsa(isa, () => run(isa)));
}

const samples = opCases.filter(({ kind }) => kind !== 'random').map((opCase, i) => sampleOf(opCase, 5000 + i));

onEverySet('every case within its rounding bound, fused and unfused', async () => {
  for (const fuse of [true, false]) {
    for (const sample of samples) await checkSamples([sample], { device: 'cpu', fuse });
  }
});

// K directions at once, all dense: x + Σ s_k V_k has at s = 0 the value x and the tangents V_k, both exactly.
interface Directions {
  readonly sample: Sample;
  readonly tangents: readonly (readonly Data[])[];
  readonly truths: readonly Truth[];
  readonly f: (s: Value, x: Value[], tangents: Value[][]) => Value;
}
function directionsOf(sample: Sample, k: number): Directions {
  const random = generator(k);
  const tangents = Array.from({ length: k }, () =>
    sample.x.map(({ shape }) => numbers(shape, drawDirection(shape, random))),
  );
  const integers: Numbers[] = [];
  const { opCase } = sample;
  // The labels of sampleOf again: the same seed draws them first.
  const again = generator(5000 + samples.indexOf(sample));
  for (const each of opCase.integers) integers.push({ shape: each.shape, data: drawIntegers(each, again) });
  return {
    sample,
    tangents,
    truths: tangents.map((v) => truthOf({ ...opCase, inputs: sample.x, tangents: v, integers })),
    f: (s, x, lists) => {
      const moved = x.map((value, i) => {
        const shares = lists.map((list, direction) =>
          ops.mul(ops.reshape(ops.slice(s, [direction], [1]), []), list[i]!),
        );
        return shares.reduce((sum, share) => ops.add(sum, share), value);
      });
      return sample.f(...moved);
    },
  };
}
const manyDirections = samples
  .filter(({ opCase, x, truth }) => !opCase.integer && x.length > 0 && truth.output.length < 400)
  .flatMap((sample) => (sample.opCase.kind === 'products' ? [1, 3, 8] : [3]).map((k) => directionsOf(sample, k)));

onEverySet('K directions in one pass, each within the bound of a single one', async () => {
  for (const { sample, tangents, truths, f } of manyDirections) {
    const k = tangents.length;
    const s = tensor(new Float32Array(k));
    const columns = (await jacfwd(f, { device: 'cpu' })(
      s as never,
      sample.x.map(onCpu) as never,
      tangents.map((list) => list.map(onCpu)) as never,
    )) as unknown as Tensor;
    for (const [direction, truth] of truths.entries()) {
      const column = Float32Array.from(truth.tangent, (_, i) => columns.data[i * k + direction] as number);
      within(sample.opCase.op, `${sample.name} direction ${direction} of ${k}`, tensor(column), truth.tangent);
    }
  }
});

const lengths = [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 255, 256, 257, 513];

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
        lengths
          .slice(0, -4)
          .map((n) => ({ ...opCase, inputs: [to(first!, [3, 1]), to(second!, [n])], integers: labels([]) })),
      );
      add(
        `${key} rows`,
        lengths
          .slice(0, -4)
          .map((n) => ({ ...opCase, inputs: [to(first!, [2, n]), to(second!, [n])], integers: labels([2, 1]) })),
      );
    } else if (['sum', 'mean', 'max', 'logSumExp', 'softmax', 'logSoftmax'].includes(op)) {
      add(
        `${op} last`,
        lengths.map((n) => ({ ...opCase, attributes: { axis: 1 }, inputs: [to(first!, [2, n])] })),
      );
      add(
        `${op} first`,
        lengths.slice(0, -2).map((n) => ({ ...opCase, attributes: { axis: 0 }, inputs: [to(first!, [3, n])] })),
      );
      add(
        `${op} long first`,
        lengths.slice(0, -2).map((n) => ({ ...opCase, attributes: { axis: 0 }, inputs: [to(first!, [n, 3])] })),
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
        lengths.slice(0, -2).map((n) => ({ ...opCase, attributes: {}, inputs: [to(first!, [3, n])] })),
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
  for (const group of groups) await checkSamples(group, { device: 'cpu' });
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
  for (const sample of wideSamples) await checkSamples([sample], { device: 'cpu' });
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
  for (const fuse of [true, false]) await checkSamples(kinkSamples, { device: 'cpu', fuse });
});

test('reference: slopes on kinks and ties are the documented ones', async () => {
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
  const failures: string[] = []; // elu(−0) is 0 on cpu
  for (const { name, f, x } of special) {
    const ones = x.map(({ shape, data }) => numbers(shape, new Float64Array(data.length).fill(1)));
    for (const fuse of [true, false]) {
      const results = await Promise.all(
        (['cpu', 'reference'] as const).map(async (device) => {
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

onEverySet('inputs, and what lies around them, stay as they were', async (isa) => {
  const session = new native.Session('cpu', isa, 0);
  for (const { f, x, name } of samples.filter((sample) => sample.x.length > 0)) {
    const plan = compileOn(
      session,
      traceProgram(x, (...values) => [f(...values)]),
    );
    const margin = 16;
    const wholes = x.map(({ data }) => {
      const whole = new Float32Array(data.length + 2 * margin).fill(Number.NaN);
      whole.set(data, margin);
      return whole;
    });
    const before = wholes.map((whole) => whole.slice());
    const inputs = wholes.map((whole) => whole.subarray(margin, whole.length - margin));
    await plan.run({ inputs, keyLow: 0, keyHigh: 0, firstStep: 0, steps: 1 });
    for (const [i, whole] of wholes.entries()) {
      assert.equal(new Uint32Array(whole.buffer), new Uint32Array(before[i]!.buffer), `${name}: input ${i}`);
    }
  }
  session.dispose();
});

test.after(() => reportUsage(usage));
test.run();
