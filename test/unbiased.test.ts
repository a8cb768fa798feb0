// Unbiasedness: the mean ḡ of N = 20,000 estimates of the gradient g of a 200-parameter network, for seeds 1, 2 and 3 as they come.
//
//   N ‖ḡ − g‖² / (ρ ‖g‖²)  has the mean 1 and must lie in [0.5, 1.6], ρ being the relative variance E‖ĝ − g‖² / ‖g‖² of one estimate;
//   z_i = (ḡ_i − g_i) √N / σ_i  must stay below 4.5 in size.
//
// With n parameters, g = ∇f, and ĝ = (g·V) V:
//   gaussian         σ_i² = ‖g‖² + g_i²                       ρ = n + 1
//   rademacher       σ_i² = ‖g‖² − g_i²                       ρ = n − 1
//   sphere           E[(g·V)² V_i²] = n/(n+2) (‖g‖² + 2 g_i²)  ρ = n − 1   (‖V‖² = n always)
//   low rank r       in a matrix V_ij² = 1 + (2/r) Σ_{q<p} a_qi a_pi b_qj b_pj, and (g·V)² meets it in (2/r)(a_qᵀG b_q)(a_pᵀG b_p), so
//                    σ_ij² = ‖g‖² − G_ij² + 2(1 − 1/r) G_ij²; a vector is plain rademacher. Summed over the elements:
//                    ρ = n − 1 + 2(1 − 1/r) · (the matrices' share of ‖g‖²)
//   mean of K        all of it divided by K
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/binding.ts';
import {
  forwardGrad,
  forwardGradient,
  gaussian,
  grad,
  lowRank,
  minimize,
  ops,
  type RunOptions,
  rademacher,
  type Sampler,
  sgd,
  sphere,
  type Tensor,
  tensor,
  type Value,
} from '../src/index.ts';
import { normals } from './support/draw.ts';
import { withIsa } from './support/isa.ts';

const N = 20_000;
const seeds = [1, 2, 3];
const shapes = [[9, 14], [14], [14, 4], [4]] as const;
const n = 200;
const isMatrix = shapes.flatMap((shape) =>
  Array<boolean>(shape.reduce((a: number, b) => a * b, 1)).fill(shape.length === 2),
);

const theta = shapes.map((shape, i) =>
  tensor(
    normals(
      shape.reduce((a: number, b) => a * b, 1),
      50 + i,
      shape.length === 2 ? 0.4 : 0.1,
    ),
    shape,
  ),
);
const x = tensor(normals(6 * 9, 60), [6, 9]);
const labels = tensor(Int32Array.of(0, 3, 1, 2, 2, 0));

type Four = readonly [Value, Value, Value, Value];
const loss = ([w0, b0, w1, b1]: Four): Value =>
  ops.softmaxCrossEntropy(ops.dense(ops.dense(x, w0, b0, { activation: 'tanh' }), w1, b1), labels).mean();
/** The loss at θ + δ: δ begins at zero, so that float32 keeps a tiny sum of estimates to full relative precision. */
const shifted = (delta: Four): Value => loss(delta.map((d, i) => ops.add(d, theta[i] as Tensor)) as unknown as Four);

let g = new Float64Array();
let norm2 = 0;
let matrixShare = 0;
test.before(async () => {
  const rows = (await grad(loss, { device: 'reference' })(theta as never)) as unknown as Tensor[];
  g = Float64Array.from(rows.flatMap(({ data }) => [...data]));
  norm2 = g.reduce((sum, value) => sum + value * value, 0);
  matrixShare = g.reduce((sum, value, i) => sum + (isMatrix[i] ? value * value : 0), 0) / norm2;
  assert.is(g.length, n);
});

/** Variance of an element of one estimate. */
function variance({ kind, rank = 1 }: Sampler, i: number): number {
  const square = (g[i] as number) ** 2;
  if (kind === 'gaussian') return norm2 + square;
  if (kind === 'sphere') return (n / (n + 2)) * (norm2 + 2 * square) - square;
  return norm2 - square + (kind === 'lowRank' && isMatrix[i] ? 2 * (1 - 1 / rank) * square : 0);
}

function relativeVariance({ kind, rank = 1 }: Sampler): number {
  if (kind === 'gaussian') return n + 1;
  return n - 1 + (kind === 'lowRank' ? 2 * (1 - 1 / rank) * matrixShare : 0);
}

const nameOf = ({ kind, rank }: Sampler): string => (rank === undefined ? kind : `${kind} ${rank}`);

interface Verdict {
  readonly ratio: number;
  readonly z: number;
}

/** The two statistics of a mean over N directions. */
function judge(sampler: Sampler, mean: Float64Array): Verdict {
  let distance = 0;
  let z = 0;
  for (const [i, value] of mean.entries()) {
    const off = value - (g[i] as number);
    distance += off * off;
    z = Math.max(z, Math.abs(off) * Math.sqrt(N / variance(sampler, i)));
  }
  return { ratio: (N * distance) / (relativeVariance(sampler) * norm2), z };
}

function isUnbiased({ ratio, z }: Verdict): boolean {
  return ratio >= 0.5 && ratio <= 1.6 && z < 4.5;
}

function unbiased(what: string, sampler: Sampler, mean: Float64Array): void {
  const verdict = judge(sampler, mean);
  assert.ok(isUnbiased(verdict), `${what}: ratio ${verdict.ratio}, max |z| ${verdict.z}`);
}

const samplers: readonly Sampler[] = [
  gaussian(),
  rademacher(),
  sphere(),
  ...[1, 2, 3].map((rank) => lowRank({ rank })),
];

test('ρ is the sum of the variances', () => {
  for (const sampler of samplers) {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += variance(sampler, i);
    assert.ok(Math.abs(sum / norm2 / relativeVariance(sampler) - 1) < 1e-9, nameOf(sampler));
  }
});

// 20,000 training steps in one native call, at a rate that moves nothing: what the update has added up, over −η N, is ḡ.
const rate = 1e-20;
async function meanOfSteps(
  sampler: Sampler,
  seed: number,
  directions: number,
  options: RunOptions,
): Promise<Float64Array> {
  const zeros = shapes.map((shape) => tensor(new Float32Array(shape.reduce((a: number, b) => a * b, 1)), shape));
  const { parameters } = await minimize(shifted as never, zeros as never, {
    steps: N / directions,
    gradient: forwardGradient({ sampler, directions }),
    optimizer: sgd({ learningRate: rate }),
    seed,
    ...options,
  });
  const moved = (parameters as unknown as Tensor[]).flatMap(({ data }) => [...data]);
  return Float64Array.from(moved, (delta) => delta / (-rate * (N / directions)));
}

for (const seed of seeds) {
  for (const sampler of samplers) {
    test(`${nameOf(sampler)}, seed ${seed}: 20,000 steps`, async () => {
      unbiased('K = 1', sampler, await meanOfSteps(sampler, seed, 1, { device: 'cpu' }));
    });
  }
}

test('every instruction set, and K = 8 directions a step', async () => {
  for (const isa of native.instructionSets()) {
    await withIsa(isa, async () => {
      for (const sampler of [gaussian(), lowRank({ rank: 2 })]) {
        unbiased(`${isa}, ${nameOf(sampler)}`, sampler, await meanOfSteps(sampler, 1, 8, { device: 'cpu' }));
      }
    });
  }
});

test('reference', async () => {
  unbiased('reference', gaussian(), await meanOfSteps(gaussian(), 1, 1, { device: 'reference' }));
});

interface Estimate {
  readonly gradient: readonly Tensor[];
  readonly directionalDerivatives: readonly number[];
  readonly step: number;
}

// The same by forwardGrad, 100 directions a call; and a mutant of it, c replaced by |c|, made from the c's and the tangents themselves.
test('forwardGrad; and |c| in the place of c is found out', async () => {
  const K = 100;
  for (const sampler of samplers) {
    for (const seed of seeds) {
      const estimate = forwardGrad(loss as never, { device: 'cpu', sampler, directions: K, seed });
      const mean = new Float64Array(n);
      const again = new Float64Array(n);
      const biased = new Float64Array(n);
      for (let call = 0; call < N / K; call++) {
        const result = (await estimate(theta as never)) as unknown as Estimate;
        assert.is(result.step, call);
        let at = 0;
        for (const { data } of result.gradient) for (const value of data) mean[at++]! += value / (N / K);
        if (seed > 1) continue;
        for (const [direction, c] of result.directionalDerivatives.entries()) {
          const v = shapes.map(
            (shape, parameter) => sampler.materialise({ shape, parameter, seed, step: call, direction }).data,
          );
          let scale = 1 / N;
          if (sampler.kind === 'sphere') {
            scale *= Math.sqrt(
              n / v.reduce((sum, row) => sum + (row as Float32Array).reduce((s, value) => s + value * value, 0), 0),
            );
          }
          let i = 0;
          for (const row of v) {
            for (const value of row) {
              again[i]! += c * value * scale;
              biased[i++]! += Math.abs(c) * value * scale;
            }
          }
        }
      }
      unbiased(`${nameOf(sampler)}, seed ${seed}`, sampler, mean);
      if (seed > 1) continue;
      for (let i = 0; i < n; i++)
        assert.ok(Math.abs(mean[i]! - again[i]!) < 1e-4 * Math.sqrt(norm2), `element ${i}: ${mean[i]} and ${again[i]}`);
      const verdict = judge(sampler, biased);
      assert.not(isUnbiased(verdict), `|c|: ratio ${verdict.ratio}, max |z| ${verdict.z}`);
    }
  }
});

test.run();
