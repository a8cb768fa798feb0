// On cpu denormals count as zero, on every thread: values, because some processors compute with them at full speed, and times, because
// others take a hundred cycles and more for a product.
import { availableParallelism } from 'node:os';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { deepPlans, shrink } from '../bench/deep.ts';
import { interleaved, type Timed } from '../bench/ratios.ts';
import { evaluate, type Leaf, ops, type Tensor, tensor, type Value } from '../src/index.ts';

const threadCounts = [...new Set([1, availableParallelism()])];
const count = 1 << 20; // enough for every thread to get a part
const tiny = new Float32Array(count).fill(2 ** -100);

/** How many elements of each of several runs are not zero; of several, because one thread may do all of one. */
async function nonzero(f: (...x: Value[]) => Value, threads: number, ...inputs: Leaf[]): Promise<number[]> {
  const counts: number[] = [];
  const run = evaluate(f, { device: 'cpu', threads });
  for (let i = 0; i < 8; i++) {
    const { data } = (await run(...inputs)) as Tensor;
    counts.push((data as Float32Array).reduce((sum, value) => sum + (value === 0 ? 0 : 1), 0));
  }
  return counts;
}

const each = (value: number): number[] => Array.from({ length: 8 }, () => value);

for (const threads of threadCounts) {
  test(`${threads} thread(s): a product below 2⁻¹²⁶ is zero, and an operand below it counts as zero`, async () => {
    assert.equal(await nonzero((x) => x!.mul(2 ** -30), threads, tiny), each(0));
    const denormal = new Float32Array(count).fill(2 ** -130);
    assert.equal(await nonzero((x) => x!.mul(2 ** 20), threads, denormal), each(0));
    assert.equal(await nonzero((x) => x!.mul(2 ** -20), threads, tiny), each(count));
  });

  test(`${threads} thread(s): the same in a product of matrices`, async () => {
    const [rows, width] = [512, 256];
    const x = tensor(new Float32Array(rows * width).fill(2 ** -100), [rows, width]);
    const w = tensor(new Float32Array(width * width).fill(2 ** -40), [width, width]);
    assert.equal(await nonzero((p, q) => ops.matmul(p!, q!), threads, x, w), each(0));
  });
}

test('reference keeps what float64 can hold', async () => {
  const product = await evaluate((x: Value) => x.mul(2 ** -60), { device: 'reference' })(
    new Float64Array(4).fill(2 ** -100),
  );
  assert.is(product.data[0], 2 ** -160);
});

/** The best of several interleaved rounds in each of two sets of plans, as ratios of the second to the first. */
async function ratios(layers: number, width: number, threads: number): Promise<number[]> {
  const open = () => deepPlans(layers, width, 64, threads);
  const [usual, shrinking] = [await open(), await open()];
  await shrink(shrinking, layers);
  const runs = [usual, shrinking].flatMap(({ forward, steps, time }) =>
    [forward, ...steps.values()].map(
      (plan): Timed =>
        (n) =>
          time(plan, n),
    ),
  );
  const best = (await interleaved(runs, 9, 2)).map((times) => Math.min(...times));
  for (const { session } of [usual, shrinking]) session.dispose();
  const half = best.length / 2;
  return best.slice(0, half).map((least, i) => (best[half + i] as number) / least);
}

test('100 layers whose activations and cotangents become denormal: no step takes more than 1.1 × its usual time', async () => {
  let found: number[] = [];
  for (let attempt = 0; attempt < 3; attempt++) {
    found = await ratios(100, 256, availableParallelism());
    if (Math.max(...found) <= 1.1) return;
  }
  assert.unreachable(`ratios of forward pass, rank one, backprop, checkpointed: ${found.map((r) => r.toFixed(2))}`);
});

test.run();
