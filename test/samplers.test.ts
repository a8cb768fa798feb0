// The laws of random tangents by their moments: mean 0, variance 1, E[v vᵀ] = I across elements, parameters, directions and steps. The
// exact numbers of the contract stand in options.test.ts (golden signs and gaussians, the sum of low-rank factors) and here (golden words,
// uniforms and every stream, through the kernels that draw them).
//
// Every statistic is a sum of N terms of known mean and variance, taken as z = (sum − mean) / deviation. About 640 z are looked at in
// all; of as many standard normals the largest exceeds 4.5 with a chance of 0.4 %. The bound was fixed before the first run.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/binding.ts';
import { evaluate, gaussian, lowRank, ops, rademacher, type Sampler, sphere, type Tensor } from '../src/index.ts';
import { openSession, toTarget } from '../src/plan/engine.ts';
import { encodeProgram } from '../src/trace/encode.ts';
import { training } from './golden.ts';
import { withIsa } from './support/isa.ts';
import { philox } from './support/random.ts';

const largest = 4.5;
let seen = 0;

function within(what: string, z: number): void {
  seen++;
  assert.ok(Math.abs(z) < largest, `${what}: z = ${z}`);
}

const nameOf = ({ kind, rank }: Sampler): string => (rank === undefined ? kind : `${kind} ${rank}`);

/** Var(v²) of one element. */
function kurtosisOf({ kind, rank = 1 }: Sampler, vector: boolean): number {
  if (kind === 'gaussian' || kind === 'sphere') return 2;
  if (kind === 'rademacher' || vector) return 0;
  return 2 * (1 - 1 / rank); // E v⁴ = 3 − 2/r for a mean of r signs times √r
}

const samplers: readonly Sampler[] = [
  gaussian(),
  rademacher(),
  sphere(),
  ...[1, 2, 3, 8].map((rank) => lowRank({ rank })),
];
const draw = (
  sampler: Sampler,
  at: { shape?: number[]; parameter?: number; seed?: number | bigint; step?: number; direction?: number },
) =>
  sampler.materialise({ shape: [12, 20], parameter: 0, seed: 11, step: 0, direction: 0, ...at }).data as Float32Array;

const dot = (a: Float32Array, b: Float32Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
};

for (const sampler of samplers) {
  const isFactored = sampler.kind === 'lowRank';

  test(`${nameOf(sampler)}: every element has mean 0 and variance 1 over steps`, () => {
    const N = 4000;
    for (const shape of [[3, 7], [21]]) {
      const sums = new Float64Array(21);
      const squares = new Float64Array(21);
      for (let step = 0; step < N; step++) {
        for (const [i, v] of draw(sampler, { shape, step }).entries()) {
          sums[i]! += v;
          squares[i]! += v * v - 1;
        }
      }
      const deviation = Math.sqrt(N * kurtosisOf(sampler, shape.length === 1));
      for (let i = 0; i < 21; i++) {
        within(`mean of element ${i}`, sums[i]! / Math.sqrt(N));
        if (deviation === 0) assert.ok(Math.abs(squares[i]!) < 1e-3, `variance of element ${i}`);
        else within(`variance of element ${i}`, squares[i]! / deviation);
      }
    }
  });

  test(`${nameOf(sampler)}: no two elements of a tangent go together`, () => {
    // E[v_i v_j] = 0: over steps, for pairs in one row, in one column, in one block of four words, and far apart.
    const N = 6000;
    const pairs: [number, number][] = [
      [0, 1],
      [0, 2],
      [0, 3],
      [1, 2],
      [0, 4],
      [3, 4],
      [0, 20],
      [0, 21],
      [19, 20],
      [5, 185],
      [0, 239],
      [100, 101],
    ];
    const sums = new Float64Array(pairs.length);
    for (let step = 0; step < N; step++) {
      const v = draw(sampler, { step });
      for (const [p, [i, j]] of pairs.entries()) sums[p]! += v[i]! * v[j]!;
    }
    for (const [p, pair] of pairs.entries()) within(`E[v_i v_j] of ${pair}`, sums[p]! / Math.sqrt(N));
  });

  test(`${nameOf(sampler)}: parameters, directions, steps and seeds are independent`, () => {
    // ⟨v, v'⟩ of two tangents with a word of the counter or of the key apart: a sum with mean 0 and variance n. N of them.
    const N = 300;
    const apart: [string, (i: number) => object, (i: number) => object][] = [
      ['parameters', (i) => ({ parameter: i }), (i) => ({ parameter: i + 1 })],
      ['directions', (i) => ({ direction: i }), (i) => ({ direction: i + 1 })],
      ['directions 0 and k', () => ({ direction: 0 }), (i) => ({ direction: i + 1 })],
      ['steps', (i) => ({ step: i }), (i) => ({ step: i + 1 })],
      ['far steps', (i) => ({ step: i }), (i) => ({ step: i + 2 ** 31 })],
      ['seeds', (i) => ({ seed: i }), (i) => ({ seed: i + 1 })],
      ['high words of seeds', (i) => ({ seed: BigInt(i) }), (i) => ({ seed: BigInt(i) + 2n ** 32n })],
      [
        'a step and a parameter exchanged',
        (i) => ({ step: i + 1, parameter: 0 }),
        (i) => ({ step: 0, parameter: i + 1 }),
      ],
      [
        'a direction and a step exchanged',
        (i) => ({ step: i + 1, direction: 0 }),
        (i) => ({ step: 0, direction: i + 1 }),
      ],
    ];
    for (const [what, one, other] of apart) {
      let sum = 0;
      for (let i = 0; i < N; i++) sum += dot(draw(sampler, one(i)), draw(sampler, other(i)));
      within(what, sum / Math.sqrt(240 * N));
    }
  });

  test(`${nameOf(sampler)}: ‖v‖² has the mean n`, () => {
    const N = 1000;
    let sum = 0;
    for (let step = 0; step < N; step++) {
      const v = draw(sampler, { step });
      sum += dot(v, v) - v.length;
    }
    if (kurtosisOf(sampler, false) === 0) assert.ok(Math.abs(sum) < 1e-2);
    // Of low rank: Var = 4/r² Σ_{q<p} E[(a_q·a_p)²(b_q·b_p)²] = 2 (1 − 1/r) n, as if the elements were independent.
    else within('‖v‖²', sum / Math.sqrt(N * 240 * kurtosisOf(sampler, false)));
  });

  if (isFactored) continue;
  test(`${nameOf(sampler)}: the shape of the law`, () => {
    // Gaussians: quantiles by counting, fourth and sixth moment. Signs: as many +1 as −1 in each of the 32 bits of a word.
    const v = draw(sampler, { shape: [1, 200_000], step: 77 });
    const N = v.length;
    if (sampler.kind === 'rademacher') {
      for (let bit = 0; bit < 32; bit++) {
        let sum = 0;
        for (let i = bit; i < N; i += 32) sum += v[i]!;
        within(`bit ${bit}`, sum / Math.sqrt(N / 32));
      }
      assert.equal(new Set(v), new Set([1, -1]));
      return;
    }
    for (const [quantile, share] of [
      [-3, 0.0013498980316301],
      [-1, 0.1586552539314571],
      [0, 0.5],
      [0.5, 0.6914624612740131],
      [2, 0.9772498680518208],
    ] as const) {
      const below = v.reduce((count, x) => count + (x < quantile ? 1 : 0), 0);
      within(`share below ${quantile}`, (below - share * N) / Math.sqrt(N * share * (1 - share)));
    }
    const moment = (power: number): number => v.reduce((sum, x) => sum + x ** power, 0);
    within('E v³', moment(3) / Math.sqrt(15 * N));
    within('E v⁴', (moment(4) - 3 * N) / Math.sqrt(96 * N));
  });
}

// ---- exact numbers through the `random` kernels, every stream, instruction set and number of threads ---------------------------

/** A `random` node drawn by a plan. */
async function drawn(
  isa: string,
  attributes: Record<string, number | string | readonly number[]>,
  seed: bigint,
  firstStep: number,
  threads: number,
): Promise<Float32Array> {
  return withIsa(isa, async () => {
    const session = openSession(toTarget('test', { device: 'cpu', threads }));
    const node = { op: 'random', inputs: [], attributes, bodies: [] };
    const plan = session.compile(encodeProgram({ nodes: [node], outputs: [0] }), true);
    const [keyLow, keyHigh] = [Number(seed & 0xffff_ffffn), Number(seed >> 32n)];
    const { outputs } = await plan.run({ inputs: [], keyLow, keyHigh, firstStep, steps: 1 });
    session.dispose();
    return outputs[0] as Float32Array;
  });
}

for (const isa of native.instructionSets()) {
  test(`golden examples by the kernels of ${isa}: words, uniforms and signs exact, gaussians within 1e-6 · max(1, |z|)`, async () => {
    for (const [i, example] of training.random.examples.entries()) {
      const { shape, parameter, stream, direction, step } = example;
      const seed = BigInt(example.seed);
      for (const threads of [1, 2]) {
        const law = (distribution: string) =>
          drawn(
            isa,
            { shape, distribution, parameter, stream, firstDirection: direction, directions: 1 },
            seed,
            step,
            threads,
          );
        assert.equal([...(await law('uniform'))], example.uniform, `uniforms of example ${i}`);
        assert.equal([...(await law('rademacher'))], example.rademacher, `signs of example ${i}`);
        for (const [j, z] of (await law('gaussian')).entries()) {
          const expected = example.gaussian[j] as number;
          assert.ok(Math.abs(z - expected) <= 1e-6 * Math.max(1, Math.abs(expected)), `gaussian ${j} of example ${i}`);
        }
      }
      // The words themselves: the first of them are the blocks of the first row.
      const key = [Number(seed & 0xffff_ffffn), Number(seed >> 32n)];
      const words = [0, 1].flatMap((block) => philox([block, parameter, stream * 2 ** 24 + direction, step], key));
      assert.equal(words, example.firstWords);
      assert.equal(
        example.uniform.slice(0, Math.min(4, shape.at(-1) as number)),
        words.slice(0, Math.min(4, shape.at(-1) as number)).map((word) => ((word >>> 9) + 0.5) * 2 ** -23),
      );
    }
  });

  test(`float32 gaussians of ${isa} are bit for bit those of materialise`, async () => {
    for (const shape of [[1], [5], [3, 17], [7, 64], [2, 1025]]) {
      const expected = gaussian().materialise({
        shape,
        parameter: 3,
        seed: 2n ** 63n + 5n,
        step: 9,
        direction: 2,
      }).data;
      const attributes = { shape, distribution: 'gaussian', parameter: 3, stream: 0, firstDirection: 2, directions: 1 };
      const found = await drawn(isa, attributes, 2n ** 63n + 5n, 9, 2);
      assert.equal(
        new Uint32Array(found.buffer),
        new Uint32Array((expected as Float32Array).slice().buffer),
        `[${shape}]`,
      );
    }
  });
}

test('ops.random draws the stream, parameter and step it is asked for', async () => {
  const f = () => ops.random([4, 10], { distribution: 'uniform', stream: 17, parameter: 5 });
  const { data } = await (evaluate(f, { device: 'cpu' })() as unknown as Promise<Tensor>);
  for (let row = 0; row < 4; row++) {
    for (let j = 0; j < 10; j++) {
      const word = philox([row * 3 + (j >> 2), 5, 17 * 2 ** 24, 0], [0, 0])[j % 4] as number;
      assert.is(data[row * 10 + j], ((word >>> 9) + 0.5) * 2 ** -23);
    }
  }
});

test('the bound on z was meant for about 640 of them', () => {
  console.log(`${seen} z`);
  assert.ok(seen > 500 && seen < 800);
});

test.run();
