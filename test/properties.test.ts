// Laws that hold for every op, on every case of test/cases, in float64 on reference: what no table of expected numbers can be wrong about.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { evaluate, grad, jacfwd, jacrev, jvp, ops, type Tensor, tensor, Value, vjp } from '../src/index.ts';
import {
  callOp,
  draw,
  drawDirection,
  drawIntegers,
  generator,
  nameOf,
  type OpCase,
  onDevice,
  opCases,
} from './cases/index.ts';
import { sameInDouble, truthOf } from './tolerance.ts';

const reference = { device: 'reference' } as const;

/** A case at a random point: a function of its real inputs, and directions. */
interface Sample {
  readonly name: string;
  readonly opCase: OpCase;
  readonly f: (...x: Value[]) => Value;
  readonly x: readonly Tensor[];
  readonly u: readonly Tensor[];
  readonly v: readonly Tensor[];
  readonly labels: readonly Tensor[];
  readonly random: () => number;
}

function sampleOf(opCase: OpCase, seed: number): Sample {
  const random = generator(seed);
  const labels = opCase.integers.map((integers) => tensor(drawIntegers(integers, random), [...integers.shape]));
  const direction = (): Tensor[] =>
    opCase.inputs.map(({ shape }) => onDevice(drawDirection(shape, random), shape, 'reference'));
  return {
    name: nameOf(opCase),
    opCase,
    f: (...x) => callOp(opCase.op, opCase.attributes, x, labels),
    x: opCase.inputs.map((input) => onDevice(draw(input, random), input.shape, 'reference')),
    u: direction(),
    v: direction(),
    labels,
    random,
  };
}

const samples = opCases.map((opCase, i) => sampleOf(opCase, 1000 + i));
const differentiable = samples.filter(({ opCase }) => !opCase.integer && opCase.kind !== 'random');

const dot = (a: readonly Tensor[], b: readonly Tensor[]): { sum: number; terms: number } => {
  let sum = 0;
  let terms = 0;
  for (const [i, { data }] of a.entries()) {
    for (let j = 0; j < data.length; j++) {
      sum += data[j]! * b[i]!.data[j]!;
      terms += Math.abs(data[j]! * b[i]!.data[j]!);
    }
  }
  return { sum, terms };
};

/** a + step·b */
const moved = (a: readonly Tensor[], step: number, b: readonly Tensor[]): Tensor[] =>
  a.map((each, i) =>
    tensor(
      Float64Array.from(each.data as Float64Array, (value, j) => value + step * b[i]!.data[j]!),
      [...each.shape],
    ),
  );

function near(what: string, actual: number, expected: number, scale: number, relative: number): void {
  const error = Math.abs(actual - expected);
  assert.ok(
    error <= relative * Math.max(scale, 1e-3),
    `${what}: ${actual} and ${expected} differ by ${error} at scale ${scale}`,
  );
}

/** Element by element, relative to the largest. */
function alike(what: string, actual: readonly Tensor[], expected: readonly Tensor[], relative: number): void {
  for (const [i, tensorA] of actual.entries()) {
    const b = expected[i]!;
    assert.equal([...tensorA.shape], [...b.shape], `${what}: shape ${i}`);
    const scale = Math.max(1, ...Array.from(b.data, Math.abs));
    for (let j = 0; j < b.data.length; j++) near(`${what} ${i}[${j}]`, tensorA.data[j]!, b.data[j]!, scale, relative);
  }
}

/** The derivative along v by differences of fourth order, h = 2⁻¹¹: truncation and rounding both near 1e-12. */
async function differences(
  f: (...x: Tensor[]) => Promise<Tensor[]>,
  x: readonly Tensor[],
  v: readonly Tensor[],
): Promise<Tensor[]> {
  const h = 2 ** -11;
  const [a, b, c, d] = await Promise.all([-2, -1, 1, 2].map((k) => f(...moved(x, k * h, v))));
  return a!.map((each, i) =>
    tensor(
      Float64Array.from(
        each.data as Float64Array,
        (value, j) => (value - 8 * b![i]!.data[j]! + 8 * c![i]!.data[j]! - d![i]!.data[j]!) / (12 * h),
      ),
      [...each.shape],
    ),
  );
}

/** Runs one check per sample; a failure names the sample. */
async function each(list: readonly Sample[], check: (sample: Sample) => Promise<void>): Promise<void> {
  for (const sample of list) {
    try {
      await check(sample);
    } catch (error) {
      if (error instanceof Error && !error.message.startsWith(sample.name))
        error.message = `${sample.name}: ${error.message}`;
      throw error;
    }
  }
}

/** Σ w ⊙ f(x) with fixed weights: a scalar made of the op. */
function weighted({ f, random }: Sample, shape: readonly number[]): { scalar: (...x: Value[]) => Value; w: Tensor } {
  const w = onDevice(drawDirection(shape, random), shape, 'reference');
  return { scalar: (...x) => ops.sum(ops.mul(f(...x), w)), w };
}

test('every op has a case, and no case is of another', () => {
  const covered = new Set<string>(opCases.map(({ op }) => op));
  assert.equal(
    Object.keys(ops).filter((op) => !covered.has(op)),
    [],
    'ops without a case in test/cases',
  );
  assert.equal(
    [...covered].filter((op) => !(op in ops)),
    [],
  );
});

test('every op that takes a Value first is a method of Value', () => {
  const functions = ['concat', 'random'];
  assert.equal(
    Object.keys(ops).filter((op) => typeof (Value.prototype as unknown as Record<string, unknown>)[op] !== 'function'),
    functions,
  );
});

test('value, tangent and cotangents are those of the definition', () =>
  each(
    samples.filter(({ opCase }) => opCase.kind !== 'random'),
    async ({ opCase, f, x, v, labels, random }) => {
      const y = await evaluate(f, reference)(...x);
      const yBar = onDevice(drawDirection(y.shape, random), y.shape, 'reference');
      const truth = truthOf({ ...opCase, inputs: x, tangents: v, integers: labels, outputCotangent: yBar });
      assert.equal([...y.shape], [...truth.shape]);
      sameInDouble('output', y, truth.output);
      if (opCase.integer) return;
      const [again, yDot] = await jvp(f, x as Tensor[], v as Tensor[], reference);
      const [andAgain, pullback] = await vjp(f, x as Tensor[], reference);
      const xBar = (await pullback(yBar)) as unknown as Tensor[];
      assert.equal(again.data, y.data);
      assert.equal(andAgain.data, y.data);
      sameInDouble('tangent', yDot, truth.tangent);
      for (const [i, bar] of xBar.entries()) sameInDouble(`cotangent ${i}`, bar, truth.cotangents[i]!);
    },
  ));

test('⟨ȳ, J ẋ⟩ = ⟨Jᵀ ȳ, ẋ⟩', () =>
  each(differentiable, async ({ f, x, v, random }) => {
    const [y, yDot] = await jvp(f, x as Tensor[], v as Tensor[], reference);
    const [, pullback] = await vjp(f, x as Tensor[], reference);
    const yBar = onDevice(drawDirection(y.shape, random), y.shape, 'reference');
    const left = dot([yBar], [yDot]);
    const right = dot((await pullback(yBar)) as unknown as Tensor[], v);
    near('the two sides', left.sum, right.sum, left.terms + right.terms, 1e-13);
  }));

test('jvp is the limit of differences', () =>
  each(differentiable, async ({ f, opCase, x, v }) => {
    const [, yDot] = await jvp(f, x as Tensor[], v as Tensor[], reference);
    const expected = await differences(async (...at) => [await evaluate(f, reference)(...at)], x, v);
    if (opCase.op !== 'stopGradient') alike('tangent', [yDot], expected, 1e-9);
    else assert.ok(yDot.data.every((value: number) => value === 0));
  }));

test('jvp of grad is the limit of differences of grad, and grad of jvp and jvp of jvp agree with it', () =>
  each(differentiable, async (sample) => {
    const { f, opCase, x, u, v } = sample;
    const shape = (await evaluate(f, reference)(...x)).shape;
    const { scalar, w } = weighted(sample, shape);
    // As functions of one argument, a list: grad then gives all cotangents at once.
    const packed = (list: Value[]): Value => scalar(...list);
    const gradient = (list: Value[]): Value[] => grad(packed)(list);
    const [g, gDot] = (await jvp(gradient, [x as Tensor[]], [v as Tensor[]], reference)) as unknown as [
      Tensor[],
      Tensor[],
    ];
    const direct = (await grad(packed, reference)(x as Tensor[])) as unknown as Tensor[];
    alike('gradient inside jvp', g, direct, 1e-14);
    if (opCase.op === 'stopGradient')
      return assert.ok(gDot.every(({ data }) => data.every((value: number) => value === 0)));
    const expected = await differences(
      async (...at) => (await grad(packed, reference)(at)) as unknown as Tensor[],
      x,
      v,
    );
    alike('jvp of grad', gDot, expected, 1e-8);

    // ∇ₓ⟨w, J(x) v⟩ = ∇²(w·f) v
    const along = (list: Value[], dots: Value[]): Value => ops.sum(ops.mul(jvp(f, list, dots)[1], w));
    const gradOfJvp = (await grad(along, reference)(x as Tensor[], v as Tensor[])) as unknown as Tensor[];
    alike('grad of jvp', gradOfJvp, gDot, 1e-12);

    // ⟨w, D²f[u, v]⟩ = ⟨u, ∇²(w·f) v⟩
    const first = (list: Value[]): Value => jvp(f, list, v as unknown as Value[])[1];
    const [, second] = (await jvp(first, [x as Tensor[]], [u as Tensor[]], reference)) as unknown as [Tensor, Tensor];
    const left = dot([w], [second]);
    const right = dot(u, gDot);
    near('jvp of jvp', left.sum, right.sum, left.terms + right.terms, 1e-12);
  }));

test('jacfwd, jacrev and loops of jvp and vjp give one Jacobian', () =>
  each(differentiable, async ({ f, x }) => {
    const y = await evaluate(f, reference)(...x);
    for (const [i, input] of x.entries()) {
      const n = input.data.length;
      const m = y.data.length;
      if (n * m > 3000) continue;
      const forward = (await jacfwd(f, { argnums: i, ...reference })(...x)) as Tensor;
      const backward = (await jacrev(f, { argnums: i, ...reference })(...x)) as Tensor;
      assert.equal([...forward.shape], [...y.shape, ...input.shape]);
      alike(`argument ${i}: jacfwd and jacrev`, [forward], [backward], 1e-13);
      // A few columns and rows one at a time: K directions in one pass are K passes.
      for (const column of new Set([0, n >> 1, n - 1])) {
        const basis = new Float64Array(n);
        basis[column] = 1;
        const dots = x.map((_, other) => (other === i ? tensor(basis, [...input.shape]) : null)) as Tensor[];
        const [, yDot] = await jvp(f, x as Tensor[], dots, reference);
        for (let row = 0; row < m; row++)
          near(`column ${column}[${row}]`, forward.data[row * n + column]!, yDot.data[row]!, 1, 1e-13);
      }
      const [, pullback] = await vjp(f, x as Tensor[], reference);
      for (const row of new Set([0, m - 1])) {
        const basis = new Float64Array(m);
        basis[row] = 1;
        const bar = ((await pullback(tensor(basis, [...y.shape]))) as unknown as Tensor[])[i]!;
        for (let column = 0; column < n; column++)
          near(`row ${row}[${column}]`, backward.data[row * n + column]!, bar.data[column]!, 1, 1e-13);
      }
    }
  }));

test('random has no tangent: what is added to it keeps its own', async () => {
  for (const { opCase, f } of samples.filter(({ opCase }) => opCase.kind === 'random')) {
    const shifted = (x: Value): Value => ops.add(f(), x);
    const [y, yDot] = await jvp(shifted, [tensor(Float64Array.of(0))], [tensor(Float64Array.of(2))], reference);
    assert.ok(
      yDot.data.every((value: number) => value === 2),
      nameOf(opCase),
    );
    assert.ok(y.data.every(Number.isFinite));
    const again = (await evaluate(f, reference)()) as unknown as Tensor;
    assert.equal(again.data, y.data);
    assert.equal([...again.shape], opCase.attributes.shape);
  }
});

test.run();
