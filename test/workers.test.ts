// worker_threads: the addon loads once per thread; workers train at the same time, end while a step is in flight, and disturb no one.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { evaluate, type Value } from '../src/index.ts';
import { type Task, trained } from './support/worker.ts';

const file = new URL('./support/worker.mjs', import.meta.url);

interface Started {
  readonly worker: Worker;
  /** The first message. */
  readonly said: Promise<string>;
  readonly ended: Promise<number>;
}

function start(task: Task): Started {
  const worker = new Worker(file, { workerData: task });
  const ended = new Promise<number>((resolve, reject) => {
    worker.once('exit', resolve);
    worker.once('error', reject);
  });
  ended.catch(() => undefined);
  const said = new Promise<string>((resolve, reject) => {
    worker.once('message', resolve);
    ended.then((code) => reject(new Error(`the worker ended with ${code} and said nothing`)), reject);
  });
  said.catch(() => undefined);
  return { worker, said, ended };
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
const stillComputes = async (): Promise<void> => {
  assert.is((await evaluate((x: Value) => x.square().sum())(Float32Array.of(1, 2, 3))).item(), 14);
};

test('four workers train at once, bit for bit as the main thread does alone', async () => {
  const seeds = [1, 2, 3, 4];
  const workers = seeds.map((seed) => start({ kind: 'fit', seed }));
  const found = await Promise.all(workers.map(({ said }) => said));
  for (const [i, seed] of seeds.entries()) assert.is(found[i], await trained(seed), `seed ${seed}`);
  assert.equal(await Promise.all(workers.map(({ ended }) => ended)), [0, 0, 0, 0]);
});

for (const kind of ['endless fit', 'endless minimize', 'endless predict'] as const) {
  test(`a worker terminated in the middle of an ${kind}: it ends within a second, the others finish`, async () => {
    const victim = start({ kind, seed: 9 });
    const others = [5, 6].map((seed) => start({ kind: 'fit', seed }));
    assert.is(await victim.said, 'running');
    await pause(100);
    const before = performance.now();
    await victim.worker.terminate();
    const took = performance.now() - before;
    assert.ok(took < 1000, `terminate took ${took} ms`);
    const found = await Promise.all(others.map(({ said }) => said));
    assert.equal(found, [await trained(5), await trained(6)]);
    assert.equal(await Promise.all(others.map(({ ended }) => ended)), [0, 0]);
    await stillComputes();
  });
}

test('process.exit with calls in flight does not wait for them: a worker, and a process', async () => {
  const { said, ended } = start({ kind: 'leave', seed: 3 });
  await said;
  const before = performance.now();
  assert.is(await ended, 0);
  assert.ok(performance.now() - before < 1000);
  await stillComputes();
  const child = spawnSync(
    process.execPath,
    ['--import', 'tsx', fileURLToPath(new URL('./support/worker.ts', import.meta.url)), 'leave'],
    {
      timeout: 15_000,
      encoding: 'utf8',
    },
  );
  assert.equal([child.status, child.signal, child.stderr], [0, null, '']);
});

test('again and again', async () => {
  for (let i = 0; i < 6; i++) {
    const { worker, said } = start({ kind: i % 2 ? 'endless fit' : 'endless minimize', seed: i });
    await said;
    await pause(5 * i);
    await worker.terminate();
  }
  await stillComputes();
});

test.run();
