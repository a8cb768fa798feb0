// Judges the package as a user meets it: publint and attw on the packed files, then the tarball installed into a scratch folder,
// where it must build its addon, run, and type-check without anything of this repository.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'pushforward-package-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
const bin = (name) => join(root, 'node_modules/.bin', name);

function run(cwd, command, ...args) {
  console.log(`$ ${[command, ...args].join(' ').replaceAll(root, '').replaceAll(scratch, '.')}`);
  const { status, error } = spawnSync(command, args, { cwd, stdio: 'inherit' });
  if (status !== 0) {
    console.error(`package check: ${command} ${args[0]} failed${error ? `: ${error.message}` : ''}`);
    process.exit(1);
  }
}

run(root, 'npm', 'pack', '--silent', '--pack-destination', scratch);
const tarball = join(
  scratch,
  readdirSync(scratch).find((name) => name.endsWith('.tgz')),
);
run(root, bin('publint'), 'run', '--strict', tarball);
run(root, bin('attw'), tarball, '--profile', 'esm-only');

const { version } = JSON.parse(
  spawnSync('npm', ['ls', '@types/node', '--depth=0', '--json'], { cwd: root, encoding: 'utf8' }).stdout,
).dependencies['@types/node'];
writeFileSync(join(scratch, 'package.json'), JSON.stringify({ name: 'scratch', private: true, type: 'module' }));
run(scratch, 'npm', 'install', '--no-audit', '--no-fund', tarball, `@types/node@${version}`);
const installed = join(scratch, 'node_modules/pushforward');
if (!existsSync(join(installed, 'build'))) run(scratch, 'npx', '--no-install', 'pushforward', 'build'); // npm 12 ran no script
run(scratch, 'npx', '--no-install', 'pushforward', 'doctor');

writeFileSync(
  join(scratch, 'use.ts'),
  `import { jvp, tensor, type Value } from 'pushforward';
const f = (x: Value): Value => x.mul(x).sum();
const [value, tangent] = await jvp(f, [tensor([1, 2, 3])], [tensor([0, 1, 0])]);
if (value.item() !== 14 || tangent.item() !== 4) throw new Error('expected 14 and 4 but received ' + value.item() + ' and ' + tangent.item());
`,
);
const compilerOptions = {
  target: 'ES2022',
  module: 'NodeNext',
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
  types: ['node'],
  outDir: 'out',
};
writeFileSync(join(scratch, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['use.ts'] }));
run(scratch, process.execPath, join(root, 'node_modules/typescript-7/bin/tsc'));
run(scratch, process.execPath, 'out/use.js');
console.log('package check: passed');
