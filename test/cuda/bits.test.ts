// Two runs, and runs of softcuda that take blocks and streams in another order (SOFTCUDA_SEED), give equal bits.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const script = fileURLToPath(new URL('bits.ts', import.meta.url));

async function bitsOf(seed: number): Promise<string> {
  const env = { ...process.env, SOFTCUDA_SEED: `${seed}` };
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', script], { env });
  return stdout.trim();
}

test('equal bits in order, once more in order, and shuffled', async () => {
  const first = await bitsOf(0); // blocks in order
  assert.match(first, /^[0-9a-f]{64}$/);
  for (const seed of [0, 1, 2]) assert.is(await bitsOf(seed), first, `seed ${seed}`);
});

test.run();
