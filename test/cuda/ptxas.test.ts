// What ptxas said of the kernels when they were built: no spills, within the limits, and as docs/cuda_kernels.md has it.
import { spawnSync } from 'node:child_process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

test('no kernel spills, and the committed table is that of the build', () => {
  const { status, stderr, stdout } = spawnSync(process.execPath, ['scripts/ptxas.mjs', '--check'], {
    encoding: 'utf8',
  });
  console.log(`\nNOTE ${stdout.trim().split('\n').join('; ')}`);
  assert.is(status, 0, stderr);
});

test.run();
