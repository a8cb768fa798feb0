// Benchmarks are not run by the tests, but they start: at tiny sizes, writing nothing.
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));

/** What `npm run bench -- …` prints. */
async function bench(...args: string[]): Promise<string> {
  return (await run(process.execPath, ['--import', 'tsx', 'bench/index.ts', ...args], { cwd: root })).stdout;
}

test('step: ceilings, then a row that is measured or says why not', async () => {
  const text = await bench('step', '1');
  assert.match(text, /\| float32 multiply-add, registers only \| \d+ GFLOP\/s \|/);
  assert.match(text, /\| bf16 tiles \(AMX\), resident \| (\d+ GFLOP\/s|not measured: .+) \|/);
  assert.match(text, /\| in-place update of 7.45 MB \| [\d.]+ ms \|/);
  assert.match(text, /\| 1 \| f32 \| forward pass \| [\d.]+ \| [\d.]+ \| 1 \| [\d.]+ \| \d+ % \|/);
  assert.match(text, /\| (1|all) \| bf16 \| (forward pass|not measured: .+) \|/);
});

test('ops: a row an op', async () => {
  assert.match(await bench('ops', 'oneHot'), /\| oneHot \| \[4096\] \| [\d.]+ \(\d+ %\) \| – \| – \|/);
});

test('cnn: both precisions', async () => {
  const text = await bench('cnn', '--batch', '1');
  assert.match(text, /\| f32 \| forward pass \| [\d.]+ \| [\d.]+ \| 1.00 \| [\d.]+ \| [\d.]+ \| 1.00 \|/);
  assert.match(text, /\| bf16 \| rank one \| [\d.]+ \| [\d.]+ \| [\d.]+ \| [\d.]+ \| [\d.]+ \| [\d.]+ \|/);
});

test('deep: times and denormals', async () => {
  const text = await bench('deep', '64', 'denormals', '--layers', '3', '--width', '32');
  assert.match(text, /\| backprop, checkpointed \| [\d.]+ \| [\d.]+ \| [\d.]+ \| [\d.]+ \| \d+ % \|/);
  assert.match(text, /\| rank one \| [\d.]+ \| [\d.]+ \| [\d.]+ \|/);
});

test('estimators: what is on file is not run again, and is what the document says', async () => {
  const row = (await bench('estimators', '--study', 'mlp256', '--method', 'backprop')).trim();
  assert.match(row, /^backprop \| [\d.]+ \| ([\d.]+, ){2}[\d.]+ \([\d.]+\) \| .+ \| [\d.]+$/);
  assert.ok((await readFile(`${root}/docs/estimators.md`, 'utf8')).includes(`\n| ${row} |\n`), row);
});

test('another word is refused', async () => {
  const failure = await bench('stepp').catch((error: { stderr: string }) => error.stderr);
  assert.match(failure, /expected step, cnn, ops, deep, peers, estimators but received stepp/);
});

test.run();
