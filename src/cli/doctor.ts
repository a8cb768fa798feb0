import { createRequire } from 'node:module';
import { arch, availableParallelism, cpus, platform, release } from 'node:os';
import { parseArgs } from 'node:util';

const usage = `Usage: pushforward doctor [--kernels]

Prints versions, the addon in use, the devices and the number of kernels for each instruction set; with --kernels, every kernel.
Exits with 1 where the addon does not load.`;

interface Manifest {
  version: string;
}

function row(name: string, value: unknown): void {
  console.log(`${name.padEnd(10)}${String(value)}`);
}

/** `pushforward doctor`. */
export async function doctor(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { kernels: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const manifest = createRequire(import.meta.url)('../../package.json') as Manifest;
  row('version', manifest.version);
  row('node', `${process.version}, Node-API ${process.versions.napi}`);
  row('system', `${platform()} ${arch()} ${release()}`);
  row('processor', `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} threads`);
  for (const [name, value] of Object.entries(process.env)) if (name.startsWith('PUSHFORWARD_')) row(name, ` ${value}`);

  let binding: typeof import('../binding.ts');
  try {
    binding = await import('../binding.ts');
  } catch (error) {
    row('addon', error instanceof Error ? error.message : error);
    return 1;
  }
  row('addon', binding.addonPath);
  for (const device of binding.native.devices()) {
    const facts = Object.entries(device).map(([key, value]) => `${key} ${value}`);
    row('device', facts.join(', '));
  }
  const listing = binding.native.listing();
  const sets = new Map<string, number>();
  for (const { set } of listing) sets.set(set, (sets.get(set) ?? 0) + 1);
  for (const [set, count] of [...sets].sort()) row('kernels', `${set} ${count}`);
  if (values.kernels) for (const { name, set } of listing) row('', `${name} ${set}`);
  return 0;
}
