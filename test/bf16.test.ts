// Precision bf16: operands of products rounded to nearest, ties away from zero; every sum exact here, because the numbers are whole and small
// enough, so that the device and the oracle must agree to the last bit whatever the order of the sums. It is long because every op that
// multiplies is held against that one oracle.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/binding.ts';
import {
  adam,
  backprop,
  evaluate,
  forwardGrad,
  forwardGradient,
  gaussian,
  jacfwd,
  jvp,
  lowRank,
  nn,
  ops,
  rademacher,
  sgd,
  type Tensor,
  Trainer,
  tensor,
  type Value,
  vjp,
} from '../src/index.ts';
import { callOp, generator, nameOf, type OpCase, onDevice, opCases, pick } from './cases/index.ts';
import { bf16 } from './oracle/approx.ts';
import { withIsa } from './support/isa.ts';
import { checkSamples, type Data, numbers, type Sample, sampleOf } from './support/samples.ts';
import { onEverySet } from './support/targets.ts';
import { type Point, sameInDouble, type Truth, truthOf } from './tolerance.ts';

const precision = 'bf16' as const;
const sets = native.instructionSets(precision);
const count = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);

/** Whole numbers, most of them small; some need rounding, and half of those are ties. */
function whole(shape: readonly number[], random: () => number): Float64Array {
  return Float64Array.from({ length: count(shape) }, () => {
    const most = random() < 0.3 ? 511 : 7;
    return Math.round((2 * random() - 1) * most);
  });
}

interface Exact {
  readonly name: string;
  readonly f: (...x: Value[]) => Value;
  readonly point: Point;
  readonly x: readonly Data[];
  readonly v: readonly Data[];
  readonly yBar: Data;
  readonly truth: Truth;
}

function exactSample(op: OpCase['op'], attributes: OpCase['attributes'], shapes: number[][], seed: number): Exact {
  const random = generator(seed);
  const x = shapes.map((shape) => numbers(shape, whole(shape, random)));
  const v = shapes.map((shape) => numbers(shape, whole(shape, random)));
  const point = { op, attributes, inputs: x };
  const { shape } = truthOf(point, false, precision);
  const yBar = numbers(shape, whole(shape, random));
  const truth = truthOf({ ...point, tangents: v, outputCotangent: yBar }, false, precision);
  const name = `${op} ${shapes.map((each) => `[${each}]`).join(' ')} ${JSON.stringify(attributes)}`;
  return { name, f: (...at) => callOp(op, attributes, at), point, x, v, yBar, truth };
}

// ---- shapes: around the tiles of every instruction set, in each role ----------------------------------------------------------

const rowSizes = [1, 2, 4, 5, 6, 7, 13, 14, 15, 16, 17, 28, 31, 32, 33, 48, 49, 65];
const depthSizes = [1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 257, 511, 513];
const columnSizes = [1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 64, 65, 97];

function productShapes(): [number, number, number][] {
  const random = generator(16);
  const list: [number, number, number][] = [];
  const roles = [rowSizes, depthSizes, columnSizes] as const;
  for (const [role, sizes] of roles.entries()) {
    for (const size of sizes) {
      let shape: [number, number, number];
      do {
        shape = [pick(random, rowSizes), pick(random, depthSizes), pick(random, columnSizes)];
        shape[role] = size;
      } while (count(shape) > 30_000);
      list.push(shape);
    }
  }
  return list;
}

const swap = (shape: number[], flag: boolean): number[] =>
  flag ? [...shape.slice(0, -2), ...shape.slice(-2).reverse()] : shape;
const products: Exact[] = productShapes().flatMap(([m, k, n], i) => {
  const [transposeA, transposeB] = [i % 2 === 1, i % 4 > 1];
  const a = swap([m, k], transposeA);
  const b = swap([k, n], transposeB);
  const activation = ['none', 'relu'][i % 2];
  return [
    exactSample('matmul', { transposeA, transposeB }, [a, b], 100 + i),
    exactSample('dense', { activation }, [[m, k], [k, n], ...(i % 3 > 0 ? [[n]] : [])], 200 + i),
  ];
});
const others: Exact[] = [
  exactSample(
    'matmul',
    {},
    [
      [2, 3, 5],
      [2, 5, 17],
    ],
    1,
  ),
  exactSample(
    'matmul',
    { transposeB: true },
    [
      [2, 1, 5, 33],
      [3, 18, 33],
    ],
    2,
  ),
  exactSample(
    'matmul',
    {},
    [
      [3, 15, 9],
      [9, 33],
    ],
    3,
  ),
  exactSample('dense', { activation: 'relu' }, [[530, 5], [5, 18], [18]], 4),
  exactSample('conv2d', { padding: 1 }, [[2, 5, 6, 3], [3, 3, 3, 5], [5]], 5),
  exactSample('conv2d', { stride: 2, padding: [1, 0], activation: 'relu' }, [[1, 7, 8, 2], [3, 2, 2, 33], [33]], 6),
  exactSample(
    'conv2d',
    { dilation: 2, stride: [1, 3] },
    [
      [1, 9, 9, 17],
      [3, 3, 17, 3],
    ],
    7,
  ),
];

function same(what: string, actual: Tensor, expected: Truth['output']): void {
  for (let i = 0; i < expected.length; i++) {
    if (actual.data[i] !== expected[i]!.v) assert.unreachable(`${what}[${i}]: ${actual.data[i]} for ${expected[i]!.v}`);
  }
}

async function checkExact(sample: Exact, device: 'cpu' | 'reference', threads?: number): Promise<void> {
  const options = { device, precision, ...(threads && { threads }) };
  const { name, f, truth } = sample;
  const on = ({ shape, data }: Data): Tensor => onDevice(data, shape, device);
  const x = sample.x.map(on);
  const y = await evaluate(f, options)(...x);
  same(`${name} output`, y, truth.output);
  const [again, yDot] = await jvp(f, x, sample.v.map(on), options);
  same(`${name} output of jvp`, again, truth.output);
  same(`${name} tangent`, yDot, truth.tangent);
  const [, pullback] = await vjp(f, x, options);
  const bars = (await pullback(on(sample.yBar))) as unknown as Tensor[];
  for (const [i, bar] of truth.cotangents.entries()) same(`${name} cotangent ${i}`, bars[i]!, bar);
}

test('reference: whole numbers, exactly', async () => {
  for (const sample of [...products, ...others]) await checkExact(sample, 'reference');
});

onEverySet(
  'whole numbers, exactly, by one thread and by two',
  async () => {
    for (const [i, sample] of [...products, ...others].entries()) await checkExact(sample, 'cpu', 1 + (i % 2));
  },
  precision,
);

// Direction k is (k + 1) v: whole numbers that round in their own way.
const several = [...products.slice(0, 24), ...others].map((sample) => {
  const scaled = [1, 2, 3].map((k) =>
    sample.v.map(({ shape, data }) =>
      numbers(
        shape,
        data.map((each) => k * each),
      ),
    ),
  );
  const truths = scaled.map((tangents) => truthOf({ ...sample.point, tangents }, false, precision).tangent);
  return { sample, truths };
});

onEverySet(
  'K directions at once',
  async () => {
    for (const { sample, truths } of several) {
      const moved = (s: Value, x: Value[], v: Value[]): Value => {
        const share = (k: number, i: number): Value =>
          ops.mul(ops.mul(ops.reshape(ops.slice(s, [k], [1]), []), v[i]!), k + 1);
        return sample.f(...x.map((value, i) => [0, 1, 2].reduce((sum: Value, k) => ops.add(sum, share(k, i)), value)));
      };
      const on = ({ shape, data }: Data): Tensor => onDevice(data, shape, 'cpu');
      const columns = (await jacfwd(moved, { device: 'cpu', precision })(
        tensor(new Float32Array(3)) as never,
        sample.x.map(on) as never,
        sample.v.map(on) as never,
      )) as unknown as Tensor;
      for (const [k, truth] of truths.entries()) {
        const column = Float32Array.from(truth, (_, i) => columns.data[3 * i + k]!);
        same(`${sample.name} direction ${k} of 3`, tensor(column), truth);
      }
    }
  },
  precision,
);

// ---- any numbers --------------------------------------------------------------------------------------------------------------

const rounding = new Set(['matmul', 'dense', 'conv2d', 'attention']);
const samples: Sample[] = opCases
  .filter(({ op, kind }) => kind === 'products' && rounding.has(op))
  .map((opCase, i) => sampleOf(opCase, 7000 + i, undefined, precision));

test('reference: every case of a product is as the oracle has it', async () => {
  for (const { opCase, f, x, v, yBar, truth } of samples) {
    const options = { device: 'reference', precision } as const;
    const on = ({ shape, data }: Data): Tensor => onDevice(data, shape, 'reference');
    const [y, yDot] = await jvp(f, x.map(on), v.map(on), options);
    const [, pullback] = await vjp(f, x.map(on), options);
    const bars = (await pullback(on(yBar))) as unknown as Tensor[];
    sameInDouble(`${nameOf(opCase)} output`, y, truth.output);
    sameInDouble(`${nameOf(opCase)} tangent`, yDot, truth.tangent);
    for (const [i, bar] of truth.cotangents.entries()) sameInDouble(`${nameOf(opCase)} cotangent ${i}`, bars[i]!, bar);
  }
});

onEverySet(
  'every case of a product within its rounding bound, fused and unfused',
  async () => {
    for (const fuse of [true, false]) {
      for (const sample of samples) await checkSamples([sample], { device: 'cpu', precision, fuse });
    }
  },
  precision,
);

/** Σ|terms| of a product, of rounded operands. */
function sizes(a: Float32Array, b: Float32Array, m: number, k: number, n: number): Float64Array {
  const [left, right] = [a, b].map((x) => Float64Array.from(x, (each) => Math.abs(bf16(each)))) as [
    Float64Array,
    Float64Array,
  ];
  const sums = new Float64Array(m * n);
  for (let i = 0; i < m; i++)
    for (let p = 0; p < k; p++) for (let j = 0; j < n; j++) sums[i * n + j]! += left[i * k + p]! * right[p * n + j]!;
  return sums;
}

test('deep products lie within 1e-5 Σ|terms| of reference, and no number of threads changes a bit', async () => {
  const random = generator(3);
  for (const [m, k, n, low] of [
    [64, 2048, 48, -1],
    [33, 4097, 33, 0],
    [1, 3000, 80, 0],
  ] as const) {
    const draw = (length: number): Float32Array => Float32Array.from({ length }, () => low + (1 - low) * random());
    const [a, b] = [draw(m * k), draw(k * n)];
    const f = (x: Value, w: Value): Value => ops.matmul(x, w);
    const truth = await evaluate(f, { device: 'reference', precision })(
      tensor(Float64Array.from(a), [m, k]),
      tensor(Float64Array.from(b), [k, n]),
    );
    const bound = sizes(a, b, m, k, n);
    for (const isa of sets) {
      await withIsa(isa, async () => {
        const on = (threads: number): Promise<Tensor> =>
          evaluate(f, { device: 'cpu', precision, threads })(tensor(a, [m, k]), tensor(b, [k, n]));
        const [y, again] = [await on(1), await on(2)];
        assert.equal(y.data, again.data, isa);
        for (const [i, terms] of bound.entries()) {
          const off = Math.abs(y.data[i]! - truth.data[i]!);
          if (off > 1e-5 * terms) assert.unreachable(`${isa} ${m}×${k}×${n} [${i}]: off by ${off / terms} of Σ|terms|`);
        }
      });
    }
  }
});

// ---- tangents that kernels draw --------------------------------------------------------------------------------------------------

onEverySet(
  'a drawn tangent is rounded as one that is given, and low rank is not',
  async () => {
    const random = generator(11);
    for (const [m, k, n] of [
      [3, 5, 7],
      [17, 33, 32],
      [40, 257, 65],
    ] as const) {
      const draw = (...shape: number[]): Tensor =>
        tensor(
          Float32Array.from({ length: count(shape) }, () => 2 * random() - 1),
          shape,
        );
      const [x, w, weights] = [draw(m, k), draw(k, n), draw(m, n)];
      const f = (at: Value): Value => ops.sum(ops.mul(ops.dense(x, at), weights));
      for (const sampler of [gaussian(), rademacher(), lowRank({ rank: 1 }), lowRank({ rank: 3 })]) {
        const options = { device: 'cpu', precision, threads: 1 } as const;
        const { directionalDerivatives } = await forwardGrad(f, { ...options, sampler, seed: 5 })(w);
        const v = sampler.materialise({ shape: [k, n], parameter: 0, seed: 5, step: 0, direction: 0 });
        if (sampler.rank === undefined || sampler.rank === 0) {
          const [, c] = await jvp(f, [w], [v], options);
          assert.is(directionalDerivatives[0], c.data[0], `${sampler.kind} ${m}×${k}×${n}`);
          continue;
        }
        let expected = 0;
        let terms = 0;
        for (let i = 0; i < m; i++)
          for (let p = 0; p < k; p++)
            for (let j = 0; j < n; j++) {
              const term = x.data[i * k + p]! * v.data[p * n + j]! * weights.data[i * n + j]!;
              expected += term;
              terms += Math.abs(term);
            }
        assert.ok(Math.abs(directionalDerivatives[0]! - expected) <= 1e-6 * terms, `${sampler.kind} ${m}×${k}×${n}`);
      }
    }
  },
  precision,
);

// ---- updates ------------------------------------------------------------------------------------------------------------------

onEverySet(
  'a step of backprop subtracts the product of rounded operands',
  async () => {
    const random = generator(12);
    for (const [batch, rows, n] of [
      [4, 5, 7],
      [16, 33, 48],
      [64, 100, 65],
      [256, 20, 32],
      [8, 130, 1040],
    ] as const) {
      const x = tensor(Float32Array.from(whole([batch, rows], random)), [batch, rows]);
      const t = tensor(Float32Array.from(whole([batch, n], random)), [batch, n]);
      const w = tensor(Float32Array.from(whole([rows, n], random)), [rows, n]);
      for (const optimizer of [sgd({ learningRate: batch }), sgd({ learningRate: batch, momentum: 0.5 })]) {
        const trainer = new Trainer({
          model: nn.sequential(nn.dense(n, { bias: false })),
          inputShape: [rows],
          loss: (y, target) => ops.sum(ops.mul(y, target), { axis: 1 }),
          gradient: backprop(),
          optimizer,
          device: 'cpu',
          precision,
        });
        await trainer.setParameters({ '0.w': w });
        await trainer.step({ inputs: x, targets: t });
        const after = (await trainer.parameters())['0.w']!;
        trainer.dispose();
        for (let i = 0; i < rows; i++)
          for (let j = 0; j < n; j++) {
            let g = 0;
            for (let b = 0; b < batch; b++)
              g += bf16(x.data[b * rows + i]!) * bf16(Math.fround(t.data[b * n + j]! / batch));
            const expected = w.data[i * n + j]! - g * batch;
            if (after.data[i * n + j] !== expected)
              assert.unreachable(`${batch} [${rows}, ${n}] at ${i}, ${j}: ${after.data[i * n + j]} for ${expected}`);
          }
      }
    }
  },
  precision,
);

onEverySet(
  'a step along a drawn direction subtracts c v: blocks of signs, panels of planes and half ones',
  async () => {
    const random = generator(18);
    const small = (shape: readonly [number, number]): Tensor =>
      tensor(
        Float32Array.from({ length: count(shape) }, () => Math.round((2 * random() - 1) * 7)),
        [...shape],
      );
    for (const [batch, rows, n] of [
      [4, 34, 304],
      [2, 600, 64],
      [4, 33, 48],
      [8, 6, 20],
    ] as const) {
      const [x, t, w] = [small([batch, rows]), small([batch, n]), small([rows, n])];
      for (const sampler of [rademacher(), lowRank({ rank: 1 })]) {
        for (const directions of [1, 2]) {
          const trainer = new Trainer({
            model: nn.sequential(nn.dense(n, { bias: false })),
            inputShape: [rows],
            loss: (y, target) => ops.sum(ops.mul(y, target), { axis: 1 }),
            gradient: forwardGradient({ sampler, directions }),
            optimizer: sgd({ learningRate: 1 }),
            device: 'cpu',
            precision,
            seed: 9,
          });
          await trainer.setParameters({ '0.w': w });
          await trainer.step({ inputs: x, targets: t });
          const after = (await trainer.parameters())['0.w']!;
          trainer.dispose();
          const expected = Float64Array.from(w.data);
          for (let direction = 0; direction < directions; direction++) {
            const v = sampler.materialise({ shape: [rows, n], parameter: 0, seed: 9, step: 0, direction });
            let c = 0;
            for (let b = 0; b < batch; b++)
              for (let i = 0; i < rows; i++)
                for (let j = 0; j < n; j++)
                  c += (x.data[b * rows + i]! * v.data[i * n + j]! * t.data[b * n + j]!) / batch;
            for (const [i, each] of v.data.entries()) expected[i]! -= (c * each) / directions;
          }
          const at = expected.findIndex((each, i) => each !== after.data[i]);
          assert.is(at, -1, `${sampler.kind} ${directions} [${rows}, ${n}]: ${after.data[at]} for ${expected[at]}`);
        }
      }
    }
  },
  precision,
);

/** aᵀ b of rounded operands, a [rows, m], b [rows, n]; or a b, a [m, k], b [k, n]. */
function product(a: Float64Array, b: Float64Array, m: number, k: number, n: number, transposeA = false): Float64Array {
  const y = new Float64Array(m * n);
  for (let i = 0; i < m; i++)
    for (let p = 0; p < k; p++)
      for (let j = 0; j < n; j++) y[i * n + j]! += bf16(a[transposeA ? p * m + i : i * k + p]!) * bf16(b[p * n + j]!);
  return y;
}

onEverySet(
  'two layers whose weights lie in panels: outputs, and both updates of backprop',
  async () => {
    const random = generator(15);
    const small = (length: number, most: number): Float64Array =>
      Float64Array.from({ length }, () => Math.round((2 * random() - 1) * most));
    for (const [batch, rows, middle, n] of [
      [16, 33, 48, 32],
      [4, 17, 16, 80],
      [8, 300, 96, 48],
    ] as const) {
      const [x, t] = [small(batch * rows, 15), small(batch * n, 7)];
      const [w1, w2] = [small(rows * middle, 7), small(middle * n, 15)];
      const trainer = new Trainer({
        model: nn.sequential(nn.dense(middle, { bias: false }), nn.dense(n, { bias: false })),
        inputShape: [rows],
        loss: (y, target) => ops.sum(ops.mul(y, target), { axis: 1 }),
        gradient: backprop(),
        optimizer: sgd({ learningRate: batch }),
        device: 'cpu',
        precision,
      });
      const on = (data: Float64Array, ...shape: number[]): Tensor => onDevice(data, shape, 'cpu');
      await trainer.setParameters({ '0.w': on(w1, rows, middle), '1.w': on(w2, middle, n) });
      const hidden = product(x, w1, batch, rows, middle);
      const y = (await trainer.predict(on(x, batch, rows))) as Tensor;
      assert.equal([...y.data], [...product(hidden, w2, batch, middle, n)]);
      await trainer.step({ inputs: on(x, batch, rows), targets: on(t, batch, n) });
      const after = await trainer.parameters();
      trainer.dispose();
      const delta = t.map((each) => each / batch);
      const transposed = new Float64Array(n * middle);
      for (let i = 0; i < middle; i++) for (let j = 0; j < n; j++) transposed[j * middle + i] = w2[i * n + j]!;
      const bar = product(delta, transposed, batch, n, middle);
      const g1 = product(x, bar, rows, batch, middle, true);
      const g2 = product(hidden, delta, middle, batch, n, true);
      assert.equal([...after['0.w']!.data], [...w1.map((each, i) => each - batch * g1[i]!)]);
      assert.equal([...after['1.w']!.data], [...w2.map((each, i) => each - batch * g2[i]!)]);
    }
  },
  precision,
);

test('reference takes the same step, and adam runs at bf16', async () => {
  const random = generator(13);
  const [batch, rows, n] = [8, 9, 16];
  const x = whole([batch, rows], random);
  const t = whole([batch, n], random);
  for (const make of [() => sgd({ learningRate: 2 ** -6 }), () => adam({ learningRate: 0.25, epsilon: 1 })]) {
    const steps: Tensor[] = [];
    for (const device of ['reference', 'cpu'] as const) {
      const trainer = new Trainer({
        model: nn.sequential(nn.dense(n, { bias: false })),
        inputShape: [rows],
        loss: (y, target) => ops.sum(ops.mul(y, target), { axis: 1 }),
        gradient: backprop(),
        optimizer: make(),
        device,
        precision,
        seed: 4,
      });
      const before = whole([rows, n], generator(14));
      await trainer.setParameters({ '0.w': onDevice(before, [rows, n], device) });
      await trainer.step({ inputs: onDevice(x, [batch, rows], device), targets: onDevice(t, [batch, n], device) });
      steps.push((await trainer.parameters())['0.w']!);
      trainer.dispose();
    }
    const [reference, cpu] = steps as [Tensor, Tensor];
    for (const [i, expected] of reference.data.entries()) {
      assert.ok(
        Math.abs(cpu.data[i]! - expected) <= 1e-6 * Math.max(1, Math.abs(expected)),
        `${cpu.data[i]} ${expected}`,
      );
    }
  }
});

// ---- single numbers ----------------------------------------------------------------------------------------------------------

onEverySet(
  'NaN, infinities, ties, the largest and the smallest',
  async () => {
    const rows: [given: number, rounded: number][] = [
      [0x3f808000, 0x3f810000], // a tie: 1 + 2⁻⁸
      [0xbf808000, 0xbf810000],
      [0x3f818000, 0x3f820000],
      [0x3f807fff, 0x3f800000],
      [0x3fffc000, 0x40000000],
      [0x7f7fffff, 0x7f800000], // the largest: infinite
      [0xff7fffff, 0xff800000],
      [0x7f7f7fff, 0x7f7f0000],
      [0x7f800000, 0x7f800000],
      [0x00800000, 0x00800000], // 2⁻¹²⁶
      [0x00000200, 0], // a denormal number
      [0, 0],
      [0x7fc00000, 0x7fc00000],
      [0x7f800001, 0x7fc00000],
      [0x7fffffff, 0x7fc00000],
      [0xffffffff, 0x7fc00000],
    ];
    const floats = (words: readonly number[]): Float32Array => new Float32Array(Uint32Array.from(words).buffer);
    const one = tensor(Float32Array.of(1), [1, 1]);
    const options = { device: 'cpu', precision } as const;
    for (const height of [1, rows.length]) {
      for (let first = 0; first < rows.length; first += height) {
        const part = rows.slice(first, first + height);
        const x = tensor(floats(part.map(([given]) => given)), [height, 1]);
        const left = await evaluate((a: Value, b: Value) => ops.matmul(a, b), options)(x, one);
        const right = await evaluate((a: Value, b: Value) => ops.matmul(b, a, { transposeB: true }), options)(x, one);
        const expected = floats(part.map(([, rounded]) => rounded));
        assert.equal([...left.data], [...expected]);
        assert.equal([...right.data], [...expected]);
      }
    }
  },
  precision,
);

test('away from products bf16 changes no bit, nor does a set that only adds products of bf16', async () => {
  const random = generator(17);
  const x = tensor(
    Float32Array.from({ length: 6 * 40 }, () => 4 * random() - 2),
    [6, 40],
  );
  const f = (at: Value): Value[] => [
    ops.softmax(ops.tanh(at)),
    ops.layerNorm(at),
    ops.sum(at, { axis: 0 }),
    ops.attention(at, at, at),
    ops.random([5, 7], { distribution: 'gaussian', stream: 16 }),
  ];
  const run = async (isa: string, at: 'f32' | 'bf16', g: typeof f): Promise<Tensor[]> =>
    withIsa(isa, async () => (await evaluate(g, { device: 'cpu', precision: at })(x)) as unknown as Tensor[]);
  for (const isa of sets) {
    assert.equal(await run(isa, precision, f), await run(isa, 'f32', f), isa);
  }
  const product = (at: Value): Value[] => [ops.matmul(at, at, { transposeB: true })];
  for (const isa of sets.filter((set) => !native.instructionSets().includes(set))) {
    assert.equal(await run(isa, 'f32', product), await run('avx512', 'f32', product), isa);
  }
});

test.run();
