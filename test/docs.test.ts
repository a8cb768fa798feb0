// The code of README.md and docs/guide: the ```ts blocks of a page are one module, in order. It must type-check, run, and print what
// its `// →` comments say, line by line in that order (other lines may come between).
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const guide = readdirSync(join(root, 'docs/guide')).map((name) => `docs/guide/${name}`);
const pages = ['README.md', ...guide.filter((name) => name.endsWith('.md')).sort()];

/** The page's code at its own line numbers, so that an error's line is the page's. */
function codeOf(page: string): string {
  let inside = false;
  const lines = readFileSync(join(root, page), 'utf8').split('\n');
  return lines
    .map((line) => {
      if (line.startsWith('```')) inside = line === '```ts';
      return inside && !line.startsWith('```') ? line : '';
    })
    .join('\n');
}

const expectedOf = (code: string): string[] => [...code.matchAll(/\/\/ → (.*)$/gm)].map(([, text]) => text!.trim());

// In the tree, so that imports and types are found as from any file of it.
mkdirSync(join(root, 'build'), { recursive: true });
const folder = mkdtempSync(join(root, 'build/docs-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const fileOf = (page: string): string => join(folder, `${page.replace('.md', '').replaceAll('/', '_')}.ts`);
for (const page of pages) writeFileSync(fileOf(page), codeOf(page));

interface Failure {
  readonly stdout: string;
  readonly stderr: string;
}

test('there is code on every page', () => {
  for (const page of pages) assert.ok(codeOf(page).trim() !== '', page);
});

test('the example of README.md is examples/quickstart.ts', () => {
  const example = readFileSync(join(root, 'examples/quickstart.ts'), 'utf8').trim();
  assert.is(codeOf('README.md').trim(), example);
});

for (const page of pages) {
  test(`${page} runs and prints what it says`, async () => {
    const { stdout } = await run(process.execPath, ['--import', 'tsx', fileOf(page)], { cwd: root }).catch(
      (error: Failure): never => {
        throw new Error(`${page}\n${error.stdout}${error.stderr}`);
      },
    );
    const printed = stdout.split('\n').map((line) => line.trim());
    let at = 0;
    for (const line of expectedOf(codeOf(page))) {
      const found = printed.indexOf(line, at);
      assert.ok(found >= 0, `${page}: expected the line "${line}" in\n${printed.slice(at).join('\n')}`);
      at = found + 1;
    }
  });
}

test('every page type-checks', async () => {
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      extends: '../../tsconfig.json',
      compilerOptions: {
        isolatedDeclarations: false,
        declaration: false,
        paths: { pushforward: ['../../src/index.ts'] },
      },
      include: ['*.ts'],
    }),
  );
  const compiler = join(root, 'node_modules/typescript-7/bin/tsc');
  const { stdout } = await run(process.execPath, [compiler, '-p', folder], { cwd: root }).catch(
    (error: Failure) => error,
  );
  const ours = stdout.split('\n').filter((line) => line.startsWith('build/docs-')); // `npm run types` judges src
  assert.equal(ours, []);
});

test.run();
