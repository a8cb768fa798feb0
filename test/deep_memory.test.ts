// What 100 layers of 1024 need to be resident beyond one copy of their weights: everything counts, from the inputs to the plans.
import { existsSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { measureMemory } from '../bench/deep_memory.ts';

const MiB = 2 ** 20;
// A sanitizer keeps what is freed; the process that is measured loads dist/, as a user's does.
const measured =
  process.env.PUSHFORWARD_ADDON === undefined && existsSync(new URL('../dist/index.js', import.meta.url));
if (!measured) console.log('SKIP resident memory: another addon is chosen, or dist/ is not built (npm run build:ts)');

// Two steps: JavaScript's copies of further batches lie around until they are collected.
const rows = [
  { layers: 10, step: 'rank one', most: 12 },
  { layers: 100, step: 'rank one', most: 12 },
  { layers: 100, step: 'backprop', most: 45 },
];
for (const { layers, step, most } of rows) {
  (measured ? test : test.skip)(`${step}, ${layers} layers, batch 64: at most ${most} MiB beyond the weights`, () => {
    const { beyond, parameters } = measureMemory({ layers, width: 1024, batch: 64, step, steps: 2 });
    assert.is(parameters, 4 * layers * 1024 * 1024);
    assert.ok(beyond <= most * MiB, `${(beyond / MiB).toFixed(1)} MiB`);
  });
}

test.run();
