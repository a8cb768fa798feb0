// Updates of planes on AMX, emulated, so that processors without it check them too: test/native/amx_update.cpp is compiled with the loops of
// the kernel and an emulation of the four instructions.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/binding.ts';

const root = new URL('..', import.meta.url).pathname;

test('emulated: tiles give every update of planes by a product of whole numbers', () => {
  if (!native.instructionSets().includes('avx512')) return console.log('SKIP: no AVX-512 to build for');
  const table = JSON.parse(readFileSync(join(root, 'native/sources.json'), 'utf8'));
  const folder = mkdtempSync(join(tmpdir(), 'pushforward-amx-update-'));
  try {
    const program = join(folder, 'amx_update');
    const sources = [
      'test/native/amx_update.cpp',
      'native/cpu/gemm/bf16_kernel.cpp',
      'native/cpu/gemm/product_kernel.cpp',
    ];
    const flags = ['-std=c++17', '-O1', '-ffp-contract=off', '-DPUSHFORWARD_ISA=avx512', ...table.isas.avx512.flags];
    const built = spawnSync('g++', [...flags, '-Inative', '-o', program, ...sources], { cwd: root, encoding: 'utf8' });
    if (built.error) return console.log('SKIP: no g++');
    assert.is(built.status, 0, built.stderr);
    const { status, stdout } = spawnSync(program, { encoding: 'utf8' });
    assert.is(status, 0, stdout);
    assert.match(stdout, /^1261 cases, 0 wrong/m);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
