// Builds the image of CUDA kernels beside the addon, where nvcc is. One translation unit, native/cuda/*.cu and native/ops/*.cu, becomes
//   kernels.ptx          for compute_80, relabelled to the oldest .version that ptxas accepts, so that older drivers can compile it
//   pushforward.fatbin   machine code of it for each architecture, and that PTX
//   ptxas.json           registers, shared bytes and spills of every kernel, as ptxas reports them
// It never fails an installation: without nvcc, or where nvcc fails, there are no kernels, one line says why, and cuda is NO_DEVICE.
//   node scripts/kernels.mjs <folder>                   what is up to date is not built again
//   node scripts/kernels.mjs --compile <native> <ptx>   the PTX alone, of a folder like native/
//   PUSHFORWARD_CUDA=AUTO|OFF              OFF builds none
//   JOBS=n                                 compilers at a time; the number of cores otherwise
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const native = join(root, 'native');
/** 8.0 runs on 8.6 and 8.9, 9.0 on itself, 10.0 on 10.3, 12.0 on 12.1; the PTX on all later ones. */
export const architectures = ['80', '90', '100', '120'];
const flags = ['-std=c++17', '-O3', '-fmad=false', '-lineinfo'];
const versions = ['7.0', '7.1', '7.2', '7.3', '7.4', '7.5', '7.6', '7.7', '7.8', '8.0', '8.3', '8.5', '8.8', '9.0'];
const outputs = ['kernels.ptx', 'pushforward.fatbin', 'ptxas.json'];

/** The folder of nvcc, or undefined. */
export function toolkit() {
  const homes = [process.env.CUDA_HOME, process.env.CUDA_PATH, '/usr/local/cuda'].filter(Boolean);
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...homes.map((home) => join(home, 'bin'))];
  return folders.find((folder) => existsSync(join(folder, 'nvcc')));
}

function run(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => {
        said += text;
      });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(said);
      else reject(new Error(`${command.split('/').at(-1)}: ${said.trim().split('\n').slice(0, 3).join(' | ')}`));
    });
  });
}

/** At most `most` of the tasks at a time. */
async function inParallel(tasks, most) {
  const results = [];
  let next = 0;
  const work = async () => {
    while (next < tasks.length) {
      const index = next++;
      results[index] = await tasks[index]();
    }
  };
  await Promise.all(Array.from({ length: Math.min(most, tasks.length) }, work));
  return results;
}

/** Compiles the kernels of a folder like native/ to PTX for compute_80, as one unit, which stands beside the PTX. */
async function compile(from, ptx) {
  const unit = `${ptx}.cu`;
  const files = ['cuda', 'ops'].flatMap((folder) =>
    readdirSync(join(from, folder))
      .filter((name) => name.endsWith('.cu'))
      .sort()
      .map((name) => `#include "${folder}/${name}"\n`),
  );
  writeFileSync(unit, files.join(''));
  await run(join(toolkit(), 'nvcc'), ['-ptx', '-arch=compute_80', ...flags, '-I', from, unit, '-o', ptx]);
}

/** Of everything that the image is made from. */
function fingerprint(nvcc) {
  const hash = createHash('sha256').update(JSON.stringify([nvcc, flags, architectures, versions]));
  for (const name of readdirSync(native, { recursive: true }).sort())
    if (/[.](cu|cuh|h)$/.test(name)) hash.update(name).update(readFileSync(join(native, name)));
  return hash.digest('hex');
}

/** What `ptxas -v` said, as a table: kernel → registers, shared bytes, spilled bytes. */
function parse(said) {
  const table = {};
  for (const part of said.split("Compiling entry function '").slice(1)) {
    const number = (pattern) => Number(part.match(pattern)?.[1] ?? 0);
    table[part.slice(0, part.indexOf("'"))] = {
      registers: number(/Used (\d+) registers/),
      sharedBytes: number(/(\d+) bytes smem/),
      spilledBytes: number(/(\d+) bytes spill stores/) + number(/(\d+) bytes spill loads/),
    };
  }
  return table;
}

async function build(folder, bin) {
  const tool = (name) => join(bin, name);
  const stamp = join(folder, 'kernels.stamp');
  const wanted = fingerprint(await run(tool('nvcc'), ['--version']));
  if (
    existsSync(stamp) &&
    readFileSync(stamp, 'utf8') === wanted &&
    outputs.every((name) => existsSync(join(folder, name)))
  )
    return;
  const work = join(folder, `kernels.${process.pid}`);
  mkdirSync(work, { recursive: true });
  try {
    const raw = join(work, 'raw.ptx');
    const ptx = join(work, 'kernels.ptx');
    await compile(native, raw);
    const assemble = async (architecture) => {
      const out = join(work, `sm_${architecture}.cubin`);
      const args = [`-arch=sm_${architecture}`, '-O3', '-lineinfo', '-v', ptx, '-o', out];
      return { architecture, out, table: parse(await run(tool('ptxas'), args)) };
    };
    // used_bytes_mask tells tools which bytes of a load are read, and needs PTX 8.3: no code depends on it.
    const text = readFileSync(raw, 'utf8').replace(/^.*[.]pragma "used_bytes_mask .*\n/gm, '');
    let first;
    for (const version of versions) {
      writeFileSync(ptx, text.replace(/^[.]version .*$/m, `.version ${version}`));
      try {
        first = await assemble(architectures[0]);
        break;
      } catch (error) {
        if (version === versions.at(-1)) throw error;
      }
    }
    const jobs = Number(process.env.JOBS) || availableParallelism();
    const rest = architectures.slice(1).map((architecture) => () => assemble(architecture));
    const codes = [first, ...(await inParallel(rest, jobs))];
    const images = codes.map(({ architecture, out }) => `--image3=kind=elf,sm=${architecture},file=${out}`);
    const fatbin = join(work, 'pushforward.fatbin');
    // zstd, the default, is more than drivers before CUDA 12.4 can read.
    const packing = ['-64', '--compress-all', '--compress-mode=speed', `--create=${fatbin}`];
    await run(tool('fatbinary'), [...packing, ...images, `--image3=kind=ptx,sm=80,file=${ptx}`]);
    const tables = Object.fromEntries(codes.map(({ architecture, table }) => [`sm_${architecture}`, table]));
    writeFileSync(join(work, 'ptxas.json'), `${JSON.stringify(tables, null, 1)}\n`);
    for (const name of outputs) renameSync(join(work, name), join(folder, name));
    writeFileSync(stamp, wanted);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Builds the image into the folder, or says in a line why there is none. */
export async function buildKernels(folder) {
  const option = process.env.PUSHFORWARD_CUDA || 'AUTO';
  if (option !== 'AUTO' && option !== 'OFF')
    throw new Error(`[PUSHFORWARD_CUDA] expected AUTO or OFF but received ${option}`);
  const bin = toolkit();
  if (option === 'AUTO' && bin !== undefined) {
    try {
      await build(folder, bin);
      console.log(`pushforward: built ${join(folder, 'pushforward.fatbin')}`);
      return;
    } catch (error) {
      console.log(`pushforward: no CUDA kernels, since nvcc failed: ${error.message}`);
    }
  }
  // Kernels that are older than the addon could misread its arguments.
  for (const name of [...outputs, 'kernels.stamp']) rmSync(join(folder, name), { force: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder, from, ptx] = process.argv.slice(2);
  if (folder === '--compile') await compile(from, ptx);
  else await buildKernels(folder);
}
