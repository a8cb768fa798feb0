// The golden training runs in float32: on every instruction set of cpu, or on cuda, fused and unfused.
import { test } from 'uvu';
import { checkAll, float32 } from './support/golden_runs.ts';
import { float32Targets, testDevice } from './support/targets.ts';

for (const fuse of [true, false]) {
  // Unfused, the instruction sets differ in nothing that golden_ops does not test: the best stands for all.
  for (const { name, inside } of fuse ? float32Targets() : float32Targets().slice(-1)) {
    test(`${name}, ${fuse ? 'fused' : 'unfused'}`, () => inside(() => checkAll({ device: testDevice, fuse }, float32)));
  }
}

test.run();
