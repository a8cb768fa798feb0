// What ptxas says of kernels.ptx on every architecture that the image has machine code for: no kernel spills a register.
import { spawnSync } from 'node:child_process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const image = process.env.PUSHFORWARD_CUDA_IMAGE ?? '';

for (const architecture of ['sm_80', 'sm_90', 'sm_100', 'sm_120']) {
  test(`${architecture}: no spills`, () => {
    const { status, stderr } = spawnSync('ptxas', [`-arch=${architecture}`, '-v', image, '-o', '/dev/null'], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    assert.is(status, 0, stderr);
    const kernels = stderr.split("Compiling entry function '").slice(1);
    assert.ok(kernels.length > 40, `${kernels.length} kernels`);
    let most = 0;
    for (const said of kernels) {
      const name = said.slice(0, said.indexOf("'"));
      const spills = [...said.matchAll(/(\d+) bytes spill/g)].map(([, bytes]) => Number(bytes));
      assert.equal(spills, [0, 0], `${name}: ${spills} bytes of spill stores and loads`);
      most = Math.max(most, Number(said.match(/Used (\d+) registers/)?.[1]));
    }
    console.log(`\nNOTE ${architecture}: ${kernels.length} kernels, at most ${most} registers`);
  });
}

test.run();
