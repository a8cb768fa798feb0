// For developers: `npm run build` builds the addon, then dist/, both incrementally. One of them: `build.mjs native`,
// `build.mjs ts`; `--clean` empties dist/ first. Options of the addon's build are in scripts/install.mjs.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const args = process.argv.slice(2);
const both = !args.includes('native') && !args.includes('ts');
let failed = false;

function node(env, ...command) {
  const options = { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } };
  if (spawnSync(process.execPath, command, options).status !== 0) failed = true;
}

// A compiler's error should be seen once, not again from the fallback.
if (both || args.includes('native'))
  node({ PUSHFORWARD_BUILD: process.env.PUSHFORWARD_BUILD ?? 'cmake' }, 'scripts/install.mjs');
if (both || args.includes('ts')) {
  if (args.includes('--clean')) rmSync(`${root}dist`, { recursive: true, force: true });
  node({}, 'node_modules/typescript-7/bin/tsc', '-p', 'tsconfig.build.json');
  const cli = `${root}dist/cli/index.js`;
  if (existsSync(cli)) chmodSync(cli, 0o755);
}
process.exitCode = failed ? 1 : 0;
