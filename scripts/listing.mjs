// Prints the kernels of an addon, one `op_mode set` a line, sorted, so that two builds can be compared by diff.
//   node scripts/listing.mjs [path of pushforward.node]
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const usual = fileURLToPath(new URL('../build/cmake/Release/pushforward.node', import.meta.url));
const addon = createRequire(import.meta.url)(process.argv[2] ? resolve(process.argv[2]) : usual);
const lines = addon.listing().map((entry) => (typeof entry === 'string' ? entry : Object.values(entry).join(' ')));
console.log(lines.sort().join('\n'));
if (lines.length === 0) process.exitCode = 1;
