// That the tests of kernels can fail: each mutant is a kernel with one mistake, compiled like the others, under which a suite must go red, and
// softcuda must name the mistake where it is one of access or order.
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

interface Mutant {
  readonly file: string;
  readonly right: string;
  readonly wrong: string;
  /** The file of test/ that must fail. */
  readonly suite: string;
  /** What softcuda says; undefined where only the result is wrong. */
  readonly fault?: RegExp;
}

const barrier = '    __syncthreads();\n';
const store = 'if (r < rows && c < columns) y[r * columns + c] = at[i][j];';
const product = 'cuda/tile_product.cuh';
const mutants: Readonly<Record<string, Mutant>> = {
  'no barrier between writing a tile and reading it': {
    file: product,
    right: `    b.place(right, tiles.b);\n${barrier}`,
    wrong: '    b.place(right, tiles.b);\n',
    suite: 'golden_ops',
    fault: /race|nothing has written/,
  },
  'no barrier between reading a tile and writing the next': {
    file: product,
    right: `depth += tileDepth) {\n${barrier}`,
    wrong: 'depth += tileDepth) {\n',
    suite: 'golden_ops',
    fault: /race/,
  },
  'no guard of a store': {
    file: product,
    right: store,
    wrong: 'y[r * columns + c] = at[i][j];',
    suite: 'golden_ops',
  },
  'no guard of a load': {
    file: product,
    right: 'held[i] = e < valid && d < end ? data',
    wrong: 'held[i] = d < end ? data',
    suite: 'golden_ops',
    fault: /past the end|nothing has written/,
  },
  'the tail of the last tile of rows is missing': {
    file: product,
    right: store,
    wrong: store.replace('r < rows', 'firstRow + tileRows <= rows'),
    suite: 'golden_ops',
  },
  'no barrier in a sum over a block': {
    file: 'cuda/device.cuh',
    right: 'partial[warp] = x;\n  __syncthreads();\n',
    wrong: 'partial[warp] = x;\n',
    suite: 'golden_ops',
    fault: /race|nothing has written/,
  },
  'a shuffle with lanes that are not there': {
    file: 'cuda/device.cuh',
    right: 'return warpSum(lane < warps ? partial[lane] : T(0));',
    wrong: 'return lane < 8 ? warpSum(lane < warps ? partial[lane] : T(0)) : T(0);',
    suite: 'golden_ops',
    fault: /shfl|lanes/,
  },
  'shared memory that was never written': {
    file: 'ops/update.cu',
    right: 'c.correctedRate = c.correction2 = 0.0f;',
    wrong: '',
    suite: 'identity',
    fault: /nothing has written/,
  },
  'a wrong counter in the update only': {
    file: 'ops/update.cu',
    right: 'drawOf(p.tangent, a.guards.state->run, k)',
    wrong: 'drawOf(p.tangent, a.guards.state->run, k + 1)',
    suite: 'identity',
  },
};

const root = fileURLToPath(new URL('../..', import.meta.url));

function run(env: Readonly<Record<string, string>>, ...args: string[]): Promise<{ status: number; text: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...env } });
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (part: Buffer) => {
        text += part;
      });
    child.on('close', (code) => resolve({ status: code ?? -1, text }));
  });
}

for (const [name, { file, right, wrong, suite, fault }] of Object.entries(mutants))
  test(name, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'pushforward-mutant-'));
    try {
      const native = join(folder, 'native');
      cpSync(join(root, 'native'), native, { recursive: true });
      const source = readFileSync(join(native, file), 'utf8');
      assert.is(source.split(right).length, 2, `${file} has "${right}" once`);
      writeFileSync(
        join(native, file),
        source.replace(right, () => wrong),
      );
      const image = join(folder, 'kernels.ptx');
      const compiled = await run({}, 'scripts/kernels.mjs', '--compile', native, image);
      assert.is(compiled.status, 0, compiled.text);
      const faults = join(folder, 'faults');
      const env = { PUSHFORWARD_CUDA_IMAGE: image, SOFTCUDA_FAULTS: faults };
      const { status, text } = await run(env, 'scripts/test.mjs', suite, '--jobs', '1', '--seconds', '120');
      assert.is(status, 1, text);
      assert.match(text, /\d+ passed, [1-9]\d* failed/);
      if (fault !== undefined) assert.match(existsSync(faults) ? readFileSync(faults, 'utf8') : '', fault);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

test.run();
