// On cpu denormals count as zero, on every thread: values, because some processors compute with them at full speed, and times, because
// others take a hundred cycles and more for a product.
import { availableParallelism } from 'node:os';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { deepPlans, shrink } from '../bench/deep.ts';
import { interleaved, type Timed } from '../bench/ratios.ts';
import { evaluate, ops, tensor, type Value } from '../src/index.ts';

const count = 1 << 22; // enough for every thread to get a part
const tiny = new Float32Array(count).fill(2 ** -100);

/** How many elements are not zero. */
const nonzero = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((sum, v) => sum + (v === 0 ? 0 : 1), 0);

for (const threads of [1, availableParallelism()]) {
  test(`${threads} thread(s): a product below 2⁻¹²⁶ is zero, and an operand below it counts as zero`, async () => {
    const run = { device: 'cpu', threads } as const;
    const product = await evaluate((x: Value) => x.mul(2 ** -30), run)(tiny);
    assert.is(nonzero(product.data), 0);
    const denormal = new Float32Array(count).fill(2 ** -130);
    const scaled = await evaluate((x: Value) => x.mul(2 ** 20), run)(denormal);
    assert.is(nonzero(scaled.data), 0);
    const normal = await evaluate((x: Value) => x.mul(2 ** -20), run)(tiny);
    assert.is(nonzero(normal.data), count);
  });

  test(`${threads} thread(s): the same in a product of matrices`, async () => {
    const [rows, width] = [512, 256];
    const a = new Float32Array(rows * width).fill(2 ** -100);
    const w = new Float32Array(width * width).fill(2 ** -40);
    const run = { device: 'cpu', threads } as const;
    const product = await evaluate((p: Value, q: Value) => ops.matmul(p, q), run)(
      tensor(a, [rows, width]),
      tensor(w, [width, width]),
    );
    assert.is(nonzero(product.data), 0);
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
