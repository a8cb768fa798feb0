// The table of registers, shared bytes and spills of every kernel on every architecture, from ptxas.json of the build.
//   node scripts/ptxas.mjs --write    writes it to docs/cuda_kernels.md
//   node scripts/ptxas.mjs --check    exits with 1 when a kernel spills, there are more than 250 kernels, the image exceeds 25 MB, or the table
//                                     is not the one in docs/cuda_kernels.md (which another version of nvcc cannot be held to)
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toolkit } from './kernels.mjs';

const mostKernels = 250;
const mostBytes = 25e6;
const page = fileURLToPath(new URL('../docs/cuda_kernels.md', import.meta.url));
const folder = fileURLToPath(new URL('../build/cmake/Release', import.meta.url));
const tables = JSON.parse(readFileSync(join(folder, 'ptxas.json'), 'utf8'));
const bytes = statSync(join(folder, 'pushforward.fatbin')).size;
const architectures = Object.keys(tables);
const kernels = Object.keys(tables[architectures[0]]).sort();

function compiler() {
  const { stdout } = spawnSync(join(toolkit(), 'nvcc'), ['--version'], { encoding: 'utf8' });
  return `nvcc ${stdout.match(/V([\d.]+)/)?.[1]}`;
}

function text() {
  const row = (kernel) => {
    const of = (what) => architectures.map((architecture) => tables[architecture][kernel][what]);
    const shared = [...new Set(of('sharedBytes'))].join(', ');
    const spilled = [...new Set(of('spilledBytes'))].join(', ');
    return `| ${kernel} | ${of('registers').join(' | ')} | ${shared} | ${spilled} |`;
  };
  return `# CUDA kernels

What ptxas says of each kernel (\`node scripts/ptxas.mjs --write\`): registers of a thread by architecture, static shared memory of a block and spilled
registers in bytes. Compiled by ${compiler()}.

| kernel | ${architectures.join(' | ')} | shared | spilled |
|---|${architectures.map(() => '---|').join('')}---|---|
${kernels.map(row).join('\n')}
`;
}

function faults() {
  const spills = architectures.flatMap((architecture) =>
    kernels
      .filter((kernel) => tables[architecture][kernel].spilledBytes > 0)
      .map((kernel) => `${kernel} spills ${tables[architecture][kernel].spilledBytes} bytes on ${architecture}`),
  );
  const written = readFileSync(page, 'utf8');
  const isComparable = written.includes(`Compiled by ${compiler()}.`);
  if (!isComparable) console.log(`[ptxas] docs/cuda_kernels.md is not of ${compiler()}: not compared`);
  return [
    ...spills,
    ...(kernels.length > mostKernels ? [`${kernels.length} kernels, at most ${mostKernels}`] : []),
    ...(bytes > mostBytes ? [`an image of ${bytes} bytes, at most ${mostBytes}`] : []),
    ...(isComparable && written !== text()
      ? ['docs/cuda_kernels.md is another table: node scripts/ptxas.mjs --write']
      : []),
  ];
}

if (process.argv.includes('--write')) writeFileSync(page, text());
const wrong = process.argv.includes('--check') ? faults() : [];
for (const line of wrong) console.error(`[ptxas] ${line}`);
process.exitCode = wrong.length > 0 ? 1 : 0;
console.log(`${kernels.length} kernels, image of ${(bytes / 1e6).toFixed(2)} MB`);
