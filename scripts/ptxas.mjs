// The table of registers, shared bytes and spills of every kernel on every architecture, from ptxas.json of the build.
//   node scripts/ptxas.mjs            prints it as Markdown
//   node scripts/ptxas.mjs --check    exits with 1 when a kernel spills, there are more than 250 kernels, or the image exceeds 25 MB
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const mostKernels = 250;
const mostBytes = 25e6;
const folder = fileURLToPath(new URL('../build/cmake/Release', import.meta.url));
const tables = JSON.parse(readFileSync(join(folder, 'ptxas.json'), 'utf8'));
const bytes = statSync(join(folder, 'pushforward.fatbin')).size;
const architectures = Object.keys(tables);
const kernels = Object.keys(tables[architectures[0]]).sort();

if (process.argv.includes('--check')) {
  const wrong = architectures.flatMap((architecture) =>
    kernels
      .filter((kernel) => tables[architecture][kernel].spilledBytes > 0)
      .map((kernel) => `${kernel} spills ${tables[architecture][kernel].spilledBytes} bytes on ${architecture}`),
  );
  if (kernels.length > mostKernels) wrong.push(`${kernels.length} kernels, at most ${mostKernels}`);
  if (bytes > mostBytes) wrong.push(`an image of ${bytes} bytes, at most ${mostBytes}`);
  for (const line of wrong) console.error(`[ptxas] ${line}`);
  process.exitCode = wrong.length > 0 ? 1 : 0;
} else {
  console.log(`| kernel | shared bytes | registers on ${architectures.join(', ')} |\n|---|---|---|`);
  for (const kernel of kernels) {
    const of = (what) => [...new Set(architectures.map((architecture) => tables[architecture][kernel][what]))];
    const registers = architectures.map((architecture) => tables[architecture][kernel].registers);
    console.log(`| ${kernel} | ${of('sharedBytes').join(', ')} | ${registers.join(', ')} |`);
  }
}
console.log(`\n${kernels.length} kernels, image of ${(bytes / 1e6).toFixed(2)} MB`);
