// The host side of device cuda, through softcuda, which fails on request: every fault is a clear error, the rest goes on, nothing leaks.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Outcome } from './host_child.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'pushforward-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const image = process.env.PUSHFORWARD_CUDA_IMAGE ?? join(root, 'build/cmake/Release/kernels.ptx');
const driver = process.env.PUSHFORWARD_CUDA_DRIVER ?? join(root, 'build/softcuda/libcuda.so.1');
const absent = [image, driver].find((file) => !existsSync(file));
if (absent !== undefined) console.log(`SKIP host: no ${absent}`);

/** A test that is skipped where there is no softcuda. */
const on = absent === undefined ? test : test.skip;

interface Ended<T> {
  readonly found: T;
  /** What softcuda says has not been given back. */
  readonly leaks: string;
}

let runs = 0;

/** Runs a task of host_child.ts; the process ends well or the test fails. */
async function child<T>(task: string, env: Readonly<Record<string, string>> = {}): Promise<Ended<T>> {
  const leaks = join(folder, `leaks.${runs++}`);
  const options = {
    cwd: root,
    env: {
      ...process.env,
      PUSHFORWARD_CUDA_DRIVER: driver,
      PUSHFORWARD_CUDA_IMAGE: image,
      SOFTCUDA_LEAKS: leaks,
      NODE_NO_WARNINGS: '1',
      ...env,
    },
  };
  const process_ = spawn(process.execPath, ['--import', 'tsx', 'test/cuda/host_child.ts', task], options);
  let said = '';
  for (const stream of [process_.stdout, process_.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  const code = await new Promise((resolve) => process_.on('close', (status, signal) => resolve(signal ?? status)));
  assert.is(code, 0, said);
  const line = said.split('\n').find((text) => text.startsWith('OUTCOME '));
  assert.ok(line, said);
  return { found: JSON.parse(line.slice(8)) as T, leaks: existsSync(leaks) ? readFileSync(leaks, 'utf8') : '' };
}

interface Opened {
  readonly devices: readonly { name: string; available: boolean; reason?: string; computeCapability?: string }[];
  readonly auto: readonly number[];
  readonly chosen: string;
  readonly cuda: Outcome;
  readonly cpu: number;
  readonly warnings: readonly string[];
}

on('a GPU that can be used: listed, and what auto takes', async () => {
  const { found, leaks } = await child<Opened>('open', { SOFTCUDA_DEVICES: '2', SOFTCUDA_CAPABILITY: '9.0' });
  const gpus = found.devices.filter(({ name }) => name.startsWith('cuda'));
  assert.equal(
    gpus.map(({ name, available, computeCapability }) => [name, available, computeCapability]),
    [
      ['cuda:0', true, '9.0'],
      ['cuda:1', true, '9.0'],
    ],
  );
  assert.equal([found.auto, found.chosen, found.cuda, found.cpu], [[14, 14], 'cuda:0', { result: 14 }, 14]);
  assert.equal([found.warnings, leaks], [[], '']);
});

const cut = join(folder, 'cut.fatbin');
const garbage = join(folder, 'garbage');
const half = join(folder, 'half.ptx');
if (absent === undefined) {
  const fatbin = Buffer.alloc(64);
  fatbin.writeUInt32LE(0xba55ed50, 0);
  fatbin.writeBigUInt64LE(1_000_000n, 8);
  writeFileSync(cut, fatbin);
  writeFileSync(garbage, 'no kernels');
  writeFileSync(half, readFileSync(image).subarray(0, 5000));
}

// Environment, what the sentence says, whether the list of devices knows it beforehand.
const useless: Readonly<Record<string, readonly [Readonly<Record<string, string>>, RegExp, boolean]>> = {
  'a wrong path of the driver': [{ PUSHFORWARD_CUDA_DRIVER: '/nowhere.so' }, /PUSHFORWARD_CUDA_DRIVER.*nowhere/, true],
  'a library that is no driver': [
    { PUSHFORWARD_CUDA_DRIVER: 'libm.so.6' },
    /libm.so.6 is no CUDA driver.*cuDriverGetVersion/,
    true,
  ],
  'too old a driver': [{ SOFTCUDA_VERSION: '11030' }, /too old: it is for CUDA 11[.]3, needed is 11[.]4/, true],
  'no GPU': [{ SOFTCUDA_DEVICES: '0' }, /CUDA_ERROR_NO_DEVICE/, true],
  'a GPU that is too old': [{ SOFTCUDA_CAPABILITY: '7.5' }, /compute capability is 7[.]5, needed is 8[.]0/, true],
  'an image that is not there': [{ PUSHFORWARD_CUDA_IMAGE: '/nowhere.ptx' }, /PUSHFORWARD_CUDA_IMAGE.*nowhere/, true],
  'an image cut short': [{ PUSHFORWARD_CUDA_IMAGE: cut }, /cut[.]fatbin, which is corrupt/, false],
  'an image of something else': [{ PUSHFORWARD_CUDA_IMAGE: garbage }, /garbage, which is corrupt/, false],
  'half of the PTX': [{ PUSHFORWARD_CUDA_IMAGE: half }, /half[.]ptx: CUDA_ERROR_INVALID_PTX/, false],
  'a driver that fails to start': [{ SOFTCUDA_FAULT: 'cuInit:1:999' }, /cuInit: CUDA_ERROR_UNKNOWN/, true],
};

for (const [title, [env, expected, known]] of Object.entries(useless)) {
  on(`${title}: NO_DEVICE in words; auto takes the cpu with one warning`, async () => {
    const { found, leaks } = await child<Opened>('open', env);
    assert.is(found.cuda.code, 'NO_DEVICE');
    assert.match(found.cuda.message ?? '', expected);
    assert.equal([found.auto, found.chosen, found.cpu, found.warnings.length], [[14, 14], 'cpu', 14, 1]);
    assert.match(found.warnings[0] ?? '', expected);
    const gpu = found.devices.find(({ name }) => name.startsWith('cuda'));
    assert.is(gpu?.available, !known);
    if (known) assert.match(gpu?.reason ?? '', expected);
    assert.is(leaks, '');
  });
}

on('no driver at all: auto takes the cpu and says nothing', async () => {
  const { found } = await child<Opened>('open', { PUSHFORWARD_CUDA_DRIVER: '' });
  assert.is(found.cuda.code, 'NO_DEVICE');
  assert.match(found.cuda.message ?? '', /there is no CUDA driver/);
  assert.equal([found.chosen, found.warnings], ['cpu', []]);
});

on('an index that does not exist', async () => {
  const { found, leaks } = await child<Outcome>('index');
  assert.is(found.code, 'NO_DEVICE');
  assert.match(found.message ?? '', /'cuda:7'.*an index below 1/);
  assert.is(leaks, '');
});

interface Lost {
  readonly first: Outcome;
  readonly second: Outcome;
  readonly cpu: number;
}

on('a kernel that the image lacks: NO_KERNEL at compile, by name', async () => {
  const lacking = join(folder, 'lacking.ptx');
  writeFileSync(lacking, readFileSync(image, 'utf8').replaceAll('end_step_kernel', 'ended_step_kernel'));
  const { found, leaks } = await child<Lost>('lost', { PUSHFORWARD_CUDA_IMAGE: lacking });
  for (const { code, message } of [found.first, found.second]) {
    assert.is(code, 'NO_KERNEL');
    assert.match(message ?? '', /the kernel end_step_kernel/);
  }
  assert.is(leaks, '');
});

interface Runs {
  readonly same: boolean;
  readonly resident: readonly number[];
  readonly cpu: readonly number[];
  readonly steps: readonly [cuda: readonly number[], cpu: readonly number[]];
  readonly descents: readonly { x: number[]; losses: number[]; path: number[][] }[];
  readonly overflows: readonly Outcome[];
}

/** Relative to max(1, |expected|), as everywhere in tests of float32. */
function near(actual: readonly number[], expected: readonly number[], bound: number): void {
  assert.is(actual.length, expected.length);
  for (const [i, x] of actual.entries()) {
    const y = expected[i] as number;
    assert.ok(Math.abs(x - y) <= bound * Math.max(1, Math.abs(y)), `element ${i}: ${x}, expected ${y}`);
  }
}

for (const order of ['late', 'random', 'eager']) {
  on(`resident sets, staged batches, records and steps that are not finite, queues ${order}`, async () => {
    const { found, leaks } = await child<Runs>('runs', { SOFTCUDA_ORDER: order });
    assert.ok(found.same, 'two runs give equal bits');
    near(found.resident, found.cpu, 1e-5);
    near(...found.steps, 1e-6);
    assert.is(found.steps[0].length, 6);
    const [gpu, cpu] = found.descents;
    assert.ok(gpu && cpu);
    assert.equal([gpu.losses.length, gpu.path.length], [40, 5]);
    near(gpu.x, cpu.x, 1e-6);
    near(gpu.losses, cpu.losses, 1e-6);
    near(gpu.path.flat(), cpu.path.flat(), 1e-6);
    assert.is(found.overflows[0]?.code, 'NUMERIC');
    assert.equal(found.overflows[0], found.overflows[1]);
    assert.is(leaks, '');
  });
}

on('the same with a wait for every kernel', async () => {
  const { found, leaks } = await child<Runs>('runs', { PUSHFORWARD_CUDA_SYNC: '1' });
  near(found.resident, found.cpu, 1e-5);
  assert.is(leaks, '');
});

on('out of memory: a model that is too large stops itself alone', async () => {
  interface Large {
    readonly refused: Outcome;
    readonly before: Readonly<Record<string, number>>;
    readonly after: Readonly<Record<string, number>>;
  }
  const { found, leaks } = await child<Large>('large', { SOFTCUDA_MEMORY: String(2 ** 25) });
  assert.is(found.refused.code, 'OUT_OF_MEMORY');
  assert.match(found.refused.message ?? '', /free on cuda:0/);
  for (const region of ['parameters', 'state', 'tape', 'workspace'])
    assert.is(found.after[region], found.before[region], region);
  assert.is(leaks, '');
});

// Each call fails once, with CUDA_ERROR_OUT_OF_MEMORY, wherever it is made: opening, compiling, reserving, staging, capturing, running.
const outOfMemory = {
  'every allocation': Array.from({ length: 24 }, (_, i) => `cuMemAlloc:${(i * (i + 3)) / 2 + 1}:2`),
  'pinned memory, streams, events': [1, 2, 4, 7].flatMap((n) =>
    ['cuMemHostAlloc', 'cuStreamCreate', 'cuEventCreate'].map((call) => `${call}:${n}:2`),
  ),
  'the image, the context': ['cuModuleLoadData:1:2', 'cuDevicePrimaryCtxRetain:2:2'],
  'captures and graphs': [1, 3, 5].flatMap((n) =>
    ['cuStreamBeginCapture', 'cuStreamEndCapture', 'cuGraphInstantiateWithFlags', 'cuGraphLaunch'].map(
      (call) => `${call}:${n}:2`,
    ),
  ),
  'copies and launches': [1, 5, 17].flatMap((n) =>
    ['cuMemcpyHtoDAsync', 'cuMemcpyDtoHAsync', 'cuLaunchKernel', 'cuMemsetD8Async'].map((call) => `${call}:${n}:2`),
  ),
};

for (const [title, faults] of Object.entries(outOfMemory)) {
  on(`out of memory at ${title}: OUT_OF_MEMORY each time, then all is well and nothing leaks`, async () => {
    const env = { SOFTCUDA_FAULT: faults.join() };
    const { found, leaks } = await child<{ failures: Outcome[]; same?: boolean }>('retry', env);
    for (const { code, message } of found.failures) assert.is(code, 'OUT_OF_MEMORY', message);
    assert.ok(found.failures.length > faults.length / 2, `${found.failures.length} of ${faults.length}`);
    assert.is(found.same, true);
    assert.is(leaks, '');
  });
}

for (const [fault, expected] of [
  ['cuLaunchKernel:5:719', /cuLaunchKernel.*CUDA_ERROR_LAUNCH_FAILED.*_kernel/],
  ['cuGraphLaunch:2:700', /cuGraphLaunch.*CUDA_ERROR_ILLEGAL_ADDRESS.*PUSHFORWARD_CUDA_SYNC=1/],
  ['cuEventSynchronize:3:716', /cuEventSynchronize.*CUDA_ERROR_MISALIGNED_ADDRESS/],
] as const) {
  on(`${fault}: the device is lost, and every later call says why; the cpu goes on`, async () => {
    const { found } = await child<Lost>('lost', { SOFTCUDA_FAULT: fault });
    assert.is(found.first.code, 'NO_DEVICE');
    assert.match(found.first.message ?? '', expected);
    assert.is(found.second.code, 'NO_DEVICE');
    assert.match(found.second.message ?? '', /this process lost/);
    assert.match(found.second.message ?? '', expected);
    assert.is(found.cpu, 14);
  });
}

on('a worker terminated in the middle of training: it ends, the device goes on, nothing leaks', async () => {
  const { found, leaks } = await child<{ milliseconds: number; sum: number }>('worker');
  assert.is(found.sum, 14);
  assert.ok(found.milliseconds < 2000, `terminate took ${found.milliseconds} ms`);
  assert.is(leaks, '');
});

test.run();
