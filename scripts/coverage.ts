// docs/coverage.md from the ops themselves: what compiles, on which device, with which kernels. `--check` fails when it is stale.
//   node --import tsx scripts/coverage.ts [--check]
import { readFileSync, writeFileSync } from 'node:fs';
import { grad, jvp, ops, type Value } from '../src/index.ts';
import { openSession, type Target } from '../src/plan/engine.ts';
import { type Body, traceBody } from '../src/trace/body.ts';
import { encodeProgram } from '../src/trace/encode.ts';
import { callOp, type OpCase } from '../test/cases/case.ts';
import { opCases } from '../test/cases/index.ts';

type Mode = 'primal' | 'pushforward' | 'pullback' | 'second order';
const modes: readonly Mode[] = ['primal', 'pushforward', 'pullback', 'second order'];
const leaf = { kind: 'leaf' } as const;

/** A program of the op in a mode: the second order is the jvp of the gradient of Σ sin(op). */
function programOf({ op, attributes, inputs, integers }: OpCase, mode: Mode, real: 'float32' | 'float64'): Body {
  const like = [
    ...inputs.map(({ shape }) => ({ shape, dtype: real })),
    ...integers.map(({ shape }) => ({ shape, dtype: 'int32' as const })),
  ];
  const f = (...args: Value[]): Value =>
    callOp(op, attributes, args.slice(0, inputs.length), args.slice(inputs.length));
  const scalar = (...args: Value[]): Value =>
    f(...args)
      .sin()
      .sum();
  const dots = (args: readonly Value[]): (Value | null)[] => args.map((x) => (x.dtype === 'int32' ? null : x));
  const byMode: Record<Mode, (...args: Value[]) => unknown> = {
    primal: f,
    pushforward: (...args) => jvp(f, args, dots(args) as Value[]),
    pullback: (...args) => grad(scalar)(...args),
    'second order': (...args) => jvp((...x: Value[]) => grad(scalar)(...x), args, dots(args) as Value[]),
  };
  const structure = { kind: 'array', items: like.map(() => leaf) } as const;
  return traceBody('coverage', byMode[mode] as never, structure, like, { real, training: true });
}

/** The kernels of the compiled mode, or why there are none. */
function kernelsOf(opCase: OpCase, mode: Mode, device: 'cpu' | 'reference'): string[] {
  const target: Target = { device, isa: device === 'cpu' ? 'baseline' : '', threads: 1, fuse: true };
  const session = openSession(target);
  try {
    const body = programOf(opCase, mode, device === 'cpu' ? 'float32' : 'float64');
    const plan = session.compile(encodeProgram(body.graph), true);
    const rows = plan
      .describe()
      .split('\n')
      .filter((line) => /^\d/.test(line));
    return [...new Set(rows.map((line) => line.split(/\s+/)[1] as string))];
  } finally {
    session.dispose();
  }
}

const own: Readonly<Record<string, RegExp>> = {
  primal: /./,
  pushforward: /_pushforward$|^norm_project$/,
  pullback: /_pullback$|^norm_project$|^unpick$|^scatter_add$/,
  'second order': /^$/,
};

function cell(opCase: OpCase, mode: Mode): string {
  if (opCase.integer || opCase.kind === 'random') {
    if (mode !== 'primal') return '–';
  }
  for (const device of ['reference', 'cpu'] as const) {
    try {
      kernelsOf(opCase, mode, device);
    } catch (error) {
      return `no: ${(error as Error).message.slice(0, 60)}`;
    }
  }
  const kernels = kernelsOf(opCase, mode, 'cpu').filter((name) => own[mode]?.test(name));
  if (mode === 'primal') return kernels.map((name) => `\`${name}\``).join(' ') || 'alias';
  return kernels.length > 0 ? kernels.map((name) => `\`${name}\``).join(' ') : 'by rules';
}

const first = new Map<string, OpCase>();
for (const opCase of opCases) if (!first.has(opCase.op)) first.set(opCase.op, opCase);
const rows = Object.keys(ops)
  .sort()
  .map((op) => {
    const opCase = first.get(op);
    const cells = opCase === undefined ? modes.map(() => 'no case') : modes.map((mode) => cell(opCase, mode));
    return `| ${op} | ${cells.join(' | ')} | f64 | f32 | – |`;
  });

const text = `# Coverage

Which ops there are, and what each can do. Made by \`node --import tsx scripts/coverage.ts\` from the ops themselves: every cell was compiled
on both devices. A kernel's name stands where the mode has a kernel of its own; *by rules* means that the derivative is made of other ops
by the op's rules or its lowering; – means that there is none, because the result is an integer, or random, or the device is not there yet.
The second order is the jvp of the gradient.

| op | primal | pushforward | pullback | second order | reference | cpu | cuda |
|---|---|---|---|---|---|---|---|
${rows.join('\n')}
`;

const file = new URL('../docs/coverage.md', import.meta.url);
if (process.argv.includes('--check')) {
  if (readFileSync(file, 'utf8') !== text) {
    console.error('docs/coverage.md is stale: node --import tsx scripts/coverage.ts');
    process.exitCode = 1;
  }
} else {
  writeFileSync(file, text);
}
