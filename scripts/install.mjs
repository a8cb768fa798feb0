// Builds the native addon: CMake (cmake-js), else node-gyp, else one sentence and exit 1. npm runs it at installation,
// `npx pushforward build` whenever a user likes. What is up to date is not built again.
//   PUSHFORWARD_BUILD=cmake|gyp           this build and no other
//   PUSHFORWARD_DEBUG=1                   unoptimised; CMake: in build/cmake-debug
//   PUSHFORWARD_SANITIZE=address,...      with sanitizers, in build/cmake-sanitize    (CMake only)
//   PUSHFORWARD_CUDA=AUTO|OFF             CUDA kernels where nvcc is, or none    (CMake only)
//   JOBS=n                                compilers at a time; the number of cores otherwise
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, realpathSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildKernels } from './kernels.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const jobs = process.env.JOBS || String(availableParallelism());

// node-gyp lets the environment win over its own command line, and these name what the stand-in folder replaces; binding.gyp
// calls node by name.
const replaced = /^npm_config_(nodedir|disturl|dist_url|target)$/i;
const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !replaced.test(key)));
env.PATH = [env.PATH, dirname(process.execPath)].filter(Boolean).join(delimiter);

function run(script, args) {
  return spawnSync(process.execPath, [script, ...args], { cwd: root, env, stdio: 'inherit' }).status === 0;
}

/** The addon's path, `null` where CMake cannot be used here, an error where the code does not compile. */
function buildWithCMake() {
  if (spawnSync('cmake', ['--version'], { env }).status !== 0) return null;
  const debug = Boolean(process.env.PUSHFORWARD_DEBUG);
  const sanitize = process.env.PUSHFORWARD_SANITIZE ?? '';
  const out = join(root, 'build', `cmake${debug ? '-debug' : ''}${sanitize ? '-sanitize' : ''}`);
  const config = debug ? 'Debug' : 'Release';
  const script = require.resolve('cmake-js/bin/cmake-js');
  const options = ['--out', out, '--config', config, `--CDPUSHFORWARD_SANITIZE=${sanitize}`];

  // cmake-js ignores new options once a cache exists, and a cache does not survive a move of the folder.
  const stamp = join(out, 'configured.json');
  const wanted = JSON.stringify({ root, options, headers: require('node-addon-api').include_dir, cmakeJs: script });
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
    rmSync(out, { recursive: true, force: true });
    if (!run(script, ['configure', ...options])) return null;
    writeFileSync(stamp, wanted);
  }
  if (!run(script, ['build', ...options, '--parallel', jobs, '--log-level', 'warn']))
    throw new Error('the compiler stopped, its first error stands above');
  return join(out, config, 'pushforward.node');
}

/** npm's own node-gyp, or the one installed beside this package. */
function nodeGyp() {
  const npm = join(
    dirname(realpathSync(process.execPath)),
    '../lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js',
  );
  return (
    [process.env.npm_config_node_gyp, npm].find((file) => file && existsSync(file)) ??
    resolveOrNull('node-gyp/bin/node-gyp.js')
  );
}

function resolveOrNull(name) {
  try {
    return require.resolve(name);
  } catch {
    return null;
  }
}

function buildWithGyp() {
  const script = nodeGyp();
  // `configure build`, since `rebuild` would delete CMake's output in build/ too.
  const args = [
    'configure',
    'build',
    `--nodedir=${join(root, 'native/gyp')}`,
    '--force-process-config',
    `--jobs=${jobs}`,
  ];
  if (!script || !run(script, [...args, '--loglevel=warn'])) return null;
  return join(root, 'build/Release/pushforward.node');
}

/** One build at a time in one tree: two would write the same object files. */
function lock() {
  const file = join(root, 'build/lock');
  mkdirSync(dirname(file), { recursive: true });
  for (let waits = 0; ; waits++) {
    try {
      writeSync(openSync(file, 'wx'), String(process.pid));
      process.on('exit', () => rmSync(file, { force: true }));
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    try {
      const owner = Number(readFileSync(file, 'utf8'));
      process.kill(owner || process.pid, 0);
      if (waits === 10) console.log(`pushforward: waiting for the build of process ${owner} (build/lock)`);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    } catch {
      rmSync(file, { force: true }); // its owner is dead
    }
  }
}

async function build() {
  const only = process.env.PUSHFORWARD_BUILD;
  if (only && only !== 'cmake' && only !== 'gyp') {
    throw new Error(`[PUSHFORWARD_BUILD] expected cmake or gyp but received ${only}`);
  }
  lock();
  const cmake = only !== 'gyp' && buildWithCMake();
  if (cmake) await buildKernels(dirname(cmake));
  const addon = cmake || (only !== 'cmake' && buildWithGyp());
  if (!addon) {
    throw new Error(
      'needed are a C++17 compiler and either CMake 3.22 or later with make or ninja, or python3 with make ' +
        '(on Debian: apt-get install g++ cmake make); then run `npx pushforward build`',
    );
  }
  return addon;
}

try {
  console.log(`pushforward: built ${await build()}`);
} catch (error) {
  console.error(`pushforward: the native addon could not be built: ${error.message}`);
  process.exit(1);
}
