// Biome for TypeScript and JSON, clang-format for C++ and CUDA, and the check that every native source is built.
// `--write` formats and mends what it can.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const write = process.argv.includes('--write');
const native = ['native', 'test/softcuda', 'test/native']
  .filter((folder) => existsSync(join(root, folder)))
  .flatMap((folder) => readdirSync(join(root, folder), { recursive: true }).map((name) => join(folder, name)))
  .filter((name) => /[.](cpp|h|cu|cuh)$/.test(name));

function run(title, command, ...args) {
  const { status, error } = spawnSync(join(root, 'node_modules/.bin', command), args, { cwd: root, stdio: 'inherit' });
  if (error) console.error(`${title}: ${error.message}`);
  if (status !== 0) process.exitCode = 1;
}

run('biome', 'biome', 'check', ...(write ? ['--write'] : ['--error-on-warnings']));
run('clang-format', 'clang-format', ...(write ? ['-i'] : ['--dry-run', '-Werror']), ...native);
const check = spawnSync(process.execPath, ['scripts/sources.mjs', 'check'], { cwd: root, stdio: 'inherit' });
if (check.status !== 0) process.exitCode = 1;
