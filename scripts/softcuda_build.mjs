// Builds softcuda, the CUDA driver API on the CPU, as build/softcuda/libcuda.so.1 (test/softcuda/README.md).
//   node scripts/softcuda_build.mjs          the library
//   node scripts/softcuda_build.mjs test     the library and its own tests, which are run
//   SOFTCUDA_SANITIZE=address,undefined      with sanitizers, in build/softcuda-sanitize
// Exit code 3 and one sentence where CMake or a C++ compiler is missing.
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const sanitize = process.env.SOFTCUDA_SANITIZE ?? '';
const out = join(root, 'build', sanitize ? 'softcuda-sanitize' : 'softcuda');
const jobs = process.env.JOBS || String(availableParallelism());
const test = process.argv[2] === 'test';

function run(command, ...args) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status || 1);
}

function has(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
}

const compiler = process.env.CXX || ['g++', 'c++', 'clang++'].find(has);
const missing = [!has('cmake') && 'CMake', !(compiler && has(compiler)) && 'a C++ compiler'].filter(Boolean);
if (missing.length > 0) {
  console.error(
    `[softcuda] expected ${missing.join(' and ')} to be installed but received none: softcuda is not built`,
  );
  process.exit(3);
}

const generator = has('ninja') ? 'Ninja' : 'Unix Makefiles';
const flags = sanitize && `-fsanitize=${sanitize} -fno-omit-frame-pointer`;
const options = [`-DCMAKE_CXX_COMPILER=${compiler}`, `-DCMAKE_CXX_FLAGS=${flags}`];
run('cmake', '-S', 'test/softcuda', '-B', out, '-G', generator, '--log-level=WARNING', ...options);
run('cmake', '--build', out, '--parallel', jobs, '--target', test ? 'all' : 'cuda');
if (test) run('ctest', '--test-dir', out, '--output-on-failure', '--parallel', jobs);
