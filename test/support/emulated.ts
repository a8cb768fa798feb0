// Loops on AMX tiles, emulated, so that processors without AMX check them too: a program of test/native is compiled with the loops of the
// kernels and an emulation of the four instructions.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { native } from '../../src/binding.ts';

const root = new URL('../..', import.meta.url).pathname;

/** Builds test/native/<name>.cpp and expects so many cases of it, all of them right. */
export function expectEmulated(name: string, cases: number, optimise = '-O1'): void {
  if (!native.instructionSets().includes('avx512')) {
    console.log('SKIP: no AVX-512 to build for');
    return;
  }
  const table = JSON.parse(readFileSync(join(root, 'native/sources.json'), 'utf8'));
  const folder = mkdtempSync(join(tmpdir(), `pushforward-${name}-`));
  try {
    const program = join(folder, name);
    const sources = [
      `test/native/${name}.cpp`,
      'native/cpu/gemm/bf16_kernel.cpp',
      'native/cpu/gemm/product_kernel.cpp',
    ];
    const flags = ['-std=c++17', optimise, '-ffp-contract=off', '-DPUSHFORWARD_ISA=avx512', ...table.isas.avx512.flags];
    const built = spawnSync('g++', [...flags, '-Inative', '-o', program, ...sources], { cwd: root, encoding: 'utf8' });
    if (built.error) {
      console.log('SKIP: no g++');
      return;
    }
    assert.is(built.status, 0, built.stderr);
    const { status, stdout } = spawnSync(program, { encoding: 'utf8' });
    assert.is(status, 0, stdout);
    assert.match(stdout, new RegExp(`^${cases} cases, 0 wrong`, 'm'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
