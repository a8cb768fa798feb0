// Activations that one dense layer hands to the next as packed tiles (native/core/packed.h): every set of instructions must compute what
// the sets compute that know no tiles. All numbers are whole and all sums small, so no order of summing changes a bit.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/binding.ts';
import { evaluate, forwardGrad, lowRank, ops, rademacher, type Tensor, tensor, type Value } from '../src/index.ts';
import { generator } from './cases/index.ts';
import { withIsa } from './support/isa.ts';

const precision = 'bf16' as const;
const [baseline = '', ...others] = native.instructionSets(precision);
const random = generator(31);

/** Whole numbers up to `most`, of which a share is not zero. */
function sparse(shape: readonly [number, number], most: number, share: number): Tensor {
  const draw = (): number => (random() < share ? Math.round((2 * random() - 1) * most) : 0);
  return tensor(Float32Array.from({ length: shape[0] * shape[1] }, draw), shape as unknown as number[]);
}

/** Widths: more than one piece of depth (288), one tile (32), and one that fills no tile (20). */
const widths = [64, 288, 32, 96, 20] as const;
const weights = widths.slice(1).map((n, i) => sparse([widths[i] as number, n], 1, 0.1));
const biases = widths.slice(1).map((n) => tensor(sparse([1, n], 3, 0.7).data, [n]));
const batches = [31, 32, 64, 512, 544, 1056];

function layers(x: Tensor | Value, w: readonly Value[]): Value {
  let y = x as Value;
  for (const [i, each] of w.entries())
    y = ops.dense(y, each, biases[i] as Tensor, { activation: i < w.length - 1 ? 'relu' : 'none' });
  return y;
}

for (const batch of batches) {
  const x = sparse([batch, widths[0]], 200, 0.5);
  const t = sparse([batch, widths[4]], 1, 16 / batch);

  test(`outputs of ${batch} examples`, async () => {
    const f = (at: Value, ...w: Value[]): Value => layers(at, w);
    const run = (isa: string, threads: number): Promise<Tensor> =>
      withIsa(isa, () => evaluate(f, { device: 'cpu', precision, threads })(x, ...weights));
    const truth = await run(baseline, 1);
    for (const isa of others)
      for (const threads of [1, 2]) {
        const y = await run(isa, threads);
        const at = y.data.findIndex((each, i) => each !== truth.data[i]);
        assert.is(at, -1, `${isa}: ${y.data[at]} for ${truth.data[at]}`);
      }
  });

  test(`tangents of ${batch} examples`, async () => {
    const f = (...w: Value[]): Value => ops.sum(ops.mul(layers(x, w), t));
    for (const sampler of [rademacher(), lowRank({ rank: 1 })])
      for (const directions of [1, 3]) {
        const run = async (isa: string, threads: number): Promise<number[]> =>
          withIsa(isa, async () => {
            const options = { device: 'cpu', precision, threads, sampler, directions, seed: 7 } as const;
            return [...(await forwardGrad(f, options)(...weights)).directionalDerivatives];
          });
        const truth = await run(baseline, 1);
        for (const isa of others)
          for (const threads of [1, 2])
            assert.equal(await run(isa, threads), truth, `${isa}, ${sampler.kind}, ${directions} directions`);
      }
  });
}

test.run();
