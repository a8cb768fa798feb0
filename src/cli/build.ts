import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const usage = `Usage: pushforward build [--tool cmake|gyp]

Builds the native addon with CMake, or with node-gyp where CMake is missing. What is up to date is not built again.`;

/** `pushforward build`. */
export function build(args: string[]): number {
  const { values } = parseArgs({
    args,
    options: { tool: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const script = fileURLToPath(new URL('../../scripts/install.mjs', import.meta.url));
  const env = values.tool === undefined ? process.env : { ...process.env, PUSHFORWARD_BUILD: values.tool };
  return spawnSync(process.execPath, [script], { stdio: 'inherit', env }).status ?? 1;
}
