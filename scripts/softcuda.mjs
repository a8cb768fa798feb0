// `npm run test:softcuda`: runs the tests of kernels on device cuda without a GPU. softcuda (test/softcuda) is a driver library that executes
// kernels.ptx, which the addon's build writes where nvcc is, on the CPU. Where nvcc is missing nothing is run, and that is said.
//   node scripts/softcuda.mjs [part of a file name]... [--jobs 2] [--seconds 600]
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { toolkit } from './kernels.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { jobs: { type: 'string', default: '2' }, seconds: { type: 'string', default: '600' } },
});

/** Files of test/ whose cases run on cuda; test/cuda has what is for cuda alone. The longest first. */
const suites = [
  '/cuda/training.test',
  '/cuda/mutants.test',
  '/identity.test',
  '/golden_training_float32.test',
  '/properties_cpu.test',
  '/properties_edges.test',
  '/golden_ops.test',
  '/cuda/bits.test',
  '/combine.test',
  '/control_variate.test',
  '/cuda/host.test',
  '/attention.test',
  '/rows.test',
  '/memory.test',
  '/cuda/ptxas.test',
];

function node(env, ...command) {
  return spawnSync(process.execPath, command, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } }).status;
}

if (toolkit() === undefined) {
  console.log('SKIP softcuda: no nvcc, which compiles the kernels');
  console.log(`0 passed, 0 failed, ${suites.length} skipped`);
} else {
  const image = process.env.PUSHFORWARD_CUDA_IMAGE ?? join(root, 'build/cmake/Release/kernels.ptx');
  const driver = join(root, 'build/softcuda/libcuda.so.1');
  if (!existsSync(image))
    throw new Error(`[softcuda] expected ${image} but received no such file: npm run build:native`);
  process.exitCode =
    node({}, 'scripts/softcuda_build.mjs') ||
    node(
      {
        PUSHFORWARD_CUDA_DRIVER: driver,
        PUSHFORWARD_CUDA_IMAGE: image,
        PUSHFORWARD_TEST_DEVICE: 'cuda',
        SOFTCUDA_LEAKS: process.env.SOFTCUDA_LEAKS ?? '/dev/null', // engines that calls share live to the end
      },
      'scripts/test.mjs',
      ...(positionals.length > 0 ? positionals : suites),
      ...['--folder', 'test', '--folder', 'test/cuda', '--jobs', values.jobs, '--seconds', values.seconds],
    );
}
