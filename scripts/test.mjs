// Runs test/*.test.ts under uvu, one process a file, because plain uvu exits 0 when a hook throws or a file forgets test.run(),
// knows no time limit, and one native crash would end all files after it.
//   node scripts/test.mjs [part of a file name]... [--folder test]... [--jobs 2] [--seconds 60]
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, stripVTControlCharacters } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const uvu = join(dirname(dirname(createRequire(import.meta.url).resolve('uvu'))), 'bin.js'); // not among its exports
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    folder: { type: 'string', multiple: true, default: ['test'] },
    jobs: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '60' },
  },
});

const present = values.folder.flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((file) => file.endsWith('.test.ts'))
    .sort()
    .map((file) => ({ folder, file, name: join(folder, file).replace(/^test[/]/, '') })),
);
// In the order of the parts that were asked for.
const parts = positionals.length === 0 ? [''] : positionals;
// A part that begins with / is the beginning of a name.
const files = [...new Set(parts.flatMap((part) => present.filter(({ name }) => `/${name}`.includes(part))))];

/** What a run of one file says of itself; `trouble` is why it failed beside (or without) failing tests. */
function judge(output, code, signal, timedOut) {
  const plain = stripVTControlCharacters(output);
  const count = (name) =>
    Number([...plain.matchAll(new RegExp(`^  ${name}: +(\\d+)$`, 'gm'))].at(-1)?.[1] ?? Number.NaN);
  const [total, passed, skipped] = [count('Total'), count('Passed'), count('Skipped')];
  const notes = plain.match(/^(SKIP|NOTE) .*$/gm) ?? [];
  if (timedOut) return { passed: 0, failed: 1, skipped: 0, notes, trouble: `no end after ${values.seconds} s` };
  if (signal) return { passed: 0, failed: 1, skipped: 0, notes, trouble: `crashed with ${signal}` };
  if (Number.isNaN(total + passed + skipped)) {
    return { passed: 0, failed: 1, skipped: 0, notes, trouble: `ended with code ${code} before its summary` };
  }
  if (total + skipped === 0)
    return { passed: 0, failed: 1, skipped: 0, notes, trouble: 'has no tests (test.run() forgotten?)' };
  // A before hook that throws leaves passed < total and exit code 0; a late error leaves passed = total and another code.
  const failed = Math.max(total - passed, code === 0 ? 0 : 1);
  let trouble = '';
  if (code === 0 && failed > 0) trouble = 'a before hook threw';
  if (code !== 0 && total === passed) trouble = `ended with code ${code} after its tests passed`;
  return { passed, failed, skipped, notes, trouble };
}

function runFile({ folder, file, name }) {
  const start = performance.now();
  const pattern = `^${file.replaceAll('.', '[.]')}$`;
  const colour = process.stdout.isTTY ? [] : ['--no-color'];
  const child = spawn(process.execPath, ['--import', 'tsx', uvu, ...colour, folder, pattern], {
    cwd: root,
    detached: true, // its own process group, so that a time-out ends its children too
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  let timedOut = false;
  const end = () => {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {} // gone already
  };
  const timer = setTimeout(() => {
    timedOut = true;
    end();
  }, 1000 * Number(values.seconds));
  return new Promise((resolve) => {
    child.on('exit', end); // what it left running would hold the pipes open
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const seconds = (performance.now() - start) / 1000;
      resolve({ name, output, seconds, ...judge(output, code, signal, timedOut) });
    });
  });
}

const results = [];
const queue = [...files];
async function worker() {
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    const result = await runFile(file);
    results.push(result);
    const { name, passed, failed, skipped, seconds, trouble, output } = result;
    if (failed > 0) console.log(`${output.trimEnd()}\n`);
    const counts = `${passed} passed${failed ? `, ${failed} failed` : ''}${skipped ? `, ${skipped} skipped` : ''}`;
    console.log(
      `${failed ? '✘' : '✔'} ${name.padEnd(32)} ${seconds.toFixed(1).padStart(5)} s  ${counts}${trouble && `: ${trouble}`}`,
    );
  }
}
await Promise.all(Array.from({ length: Number(values.jobs) }, worker));

const total = (key) => results.reduce((sum, result) => sum + result[key], 0);
console.log();
for (const { name, notes } of results) for (const note of notes) console.log(`${name}: ${note}`);
for (const { name, failed, trouble } of results) if (failed) console.log(`FAILED ${name}${trouble && `: ${trouble}`}`);
if (files.length === 0)
  console.log(`no *.test.ts of ${values.folder.join(', ')} matches ${positionals.join(' ') || 'at all'}`);
console.log(`${total('passed')} passed, ${total('failed')} failed, ${total('skipped')} skipped`);
process.exitCode = total('failed') === 0 && total('passed') > 0 ? 0 : 1;
