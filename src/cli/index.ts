#!/usr/bin/env node
// The command line: each command is a file beside this one, loaded only when asked for, since `build` must run where the addon
// does not load.
import { parseArgs } from 'node:util';

interface Command {
  summary: string;
  run: (args: string[]) => Promise<number>;
}

const commands: Readonly<Record<string, Command>> = {
  build: {
    summary: 'build the native addon (again)',
    run: async (args) => (await import('./build.ts')).build(args),
  },
  doctor: {
    summary: 'print versions, the addon in use, devices and kernels',
    run: async (args) => (await import('./doctor.ts')).doctor(args),
  },
};

const usage = `Usage: pushforward <command> [options]

${Object.entries(commands)
  .map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`)
  .join('\n')}

  -h, --help    this text, or that of a command`;

async function main(args: string[]): Promise<number> {
  const [name] = args;
  const command = name !== undefined && Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command !== undefined) return command.run(args.slice(1));
  const { values, positionals } = parseArgs({
    args,
    options: { help: { type: 'boolean', short: 'h' } },
    allowPositionals: true,
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const received = positionals[0] ?? 'none';
  console.error(
    `[pushforward] expected a command, one of ${Object.keys(commands).join(', ')}, but received ${received}\n\n${usage}`,
  );
  return 2;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}
