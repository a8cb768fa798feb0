// Every op at a size that matters: milliseconds of its primal, pushforward and pullback on one thread, and the share of the floor that
// describe() gives each plan.  npm run bench -- ops [name…]
import { grad, jvp, ops, type Value } from '../src/index.ts';
import { openSession, toTarget } from '../src/plan/engine.ts';
import { traceBody } from '../src/trace/body.ts';
import { encodeProgram } from '../src/trace/encode.ts';
import { callOp, type OpCase } from '../test/cases/case.ts';
import { opCases } from '../test/cases/index.ts';
import { floorOf, median } from './ratios.ts';
import { ceilings, machine } from './report.ts';

type Shapes = readonly (readonly number[])[];

/** Real inputs, int32 inputs and attributes where the sizes of the op's first case are too small to time. */
interface Size {
  readonly inputs: Shapes;
  readonly integers?: Shapes;
  readonly attributes?: Record<string, unknown>;
}

const square = [1024, 1024] as const;
const image = [64, 28, 28, 64] as const;
const sizes: Readonly<Record<string, Size>> = {
  dense: { inputs: [[64, 1024], square, [1024]], attributes: { activation: 'relu' } },
  matmul: { inputs: [[256, 1024], square] },
  conv2d: { inputs: [image, [3, 3, 64, 64], [64]], attributes: { padding: [1, 1] } },
  maxPool2d: { inputs: [image], attributes: { window: [2, 2] } },
  avgPool2d: { inputs: [image], attributes: { window: [2, 2] } },
  softmaxCrossEntropy: { inputs: [[4096, 10]], integers: [[4096]] },
  meanSquaredError: { inputs: [square, square] },
  broadcast: { inputs: [[1024]], attributes: { shape: [...square] } },
  concat: { inputs: [square, square], attributes: { axis: 1 } },
  pad: { inputs: [square], attributes: { before: [1, 1], after: [1, 1] } },
  reshape: { inputs: [square], attributes: { shape: [512, 2048] } },
  slice: { inputs: [square], attributes: { start: [1, 1], size: [1000, 1000] } },
  transpose: { inputs: [square], attributes: {} },
  random: { inputs: [], attributes: { shape: [...square] } },
  layerNorm: { inputs: [square, [1024], [1024]] },
  rmsNorm: { inputs: [square, [1024]] },
  gather: { inputs: [[10_000, 64]], integers: [[4096]] },
  oneHot: { inputs: [], integers: [[4096]], attributes: { classes: 100 } },
  attention: {
    inputs: [
      [8, 1024, 64],
      [8, 1024, 64],
      [8, 1024, 64],
    ],
  },
  where: { inputs: [square, square], integers: [square] },
};

/** The op's first case at its size here; elementwise ops and reductions at [1024, 1024]. */
function sized(opCase: OpCase): OpCase {
  const {
    inputs,
    integers = [],
    attributes = opCase.attributes,
  } = sizes[opCase.op] ?? { inputs: opCase.inputs.map(() => square) };
  const range = opCase.inputs[0] ?? { low: 0, high: 1 };
  return {
    ...opCase,
    attributes: attributes as OpCase['attributes'],
    inputs: inputs.map((shape, i) => ({ ...range, ...opCase.inputs[i], shape })),
    integers: integers.map((shape, i) => ({ below: opCase.integers[i]?.below ?? 2, shape })),
  };
}

const leaf = { kind: 'leaf' } as const;
const modes = ['primal', 'pushforward', 'pullback'] as const;

async function time(opCase: OpCase, mode: (typeof modes)[number]): Promise<{ ms: number; share: number }> {
  const { op, attributes, inputs, integers } = opCase;
  const target = toTarget('bench', { device: 'cpu', threads: 1 });
  const session = openSession(target);
  const like = [
    ...inputs.map(({ shape }) => ({ shape, dtype: 'float32' as const })),
    ...integers.map(({ shape }) => ({ shape, dtype: 'int32' as const })),
  ];
  const f = (...x: Value[]): Value => callOp(op, attributes, x.slice(0, inputs.length), x.slice(inputs.length));
  const byMode = {
    primal: f,
    pushforward: (...x: Value[]) => jvp(f, x, x.map((v) => (v.dtype === 'int32' ? null : v)) as Value[]),
    pullback: (...x: Value[]) => grad((...y: Value[]) => f(...y).sum())(...x),
  };
  const structure = { kind: 'array', items: like.map(() => leaf) } as const;
  const body = traceBody('bench', byMode[mode] as never, structure, like, { real: 'float32', training: true });
  const plan = session.compile(encodeProgram(body.graph), true);
  const between = (low: number, high: number): number => low + (high - low) * Math.random();
  const count = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
  const data = [
    ...inputs.map(({ shape, low, high }) => Float32Array.from({ length: count(shape) }, () => between(low, high))),
    ...integers.map(({ shape, below }) =>
      Int32Array.from({ length: count(shape) }, () => Math.floor(between(0, below))),
    ),
  ];
  const run = async (): Promise<number> =>
    (await plan.run({ inputs: data, keyLow: 1, keyHigh: 0, firstStep: 0, steps: 1 })).milliseconds;
  await run();
  const times: number[] = [];
  for (let round = 0; round < 9; round++) times.push(await run());
  const floor = floorOf(plan);
  session.dispose();
  const ms = median(times);
  return { ms, share: floor / ms };
}

/** Prints a row an op. */
export async function opsBenchmark(names: readonly string[]): Promise<void> {
  const first = new Map<string, OpCase>();
  for (const opCase of opCases) if (!first.has(opCase.op)) first.set(opCase.op, opCase);
  console.log(`${machine()}\n\n${ceilings()}\n\nOne thread, medians of 9; behind a time its floor's share of it.\n`);
  console.log('| op | inputs | primal, ms | pushforward, ms | pullback, ms |\n|---|---|---|---|---|');
  for (const name of Object.keys(ops).sort()) {
    const found = first.get(name);
    if (found === undefined || (names.length > 0 && !names.includes(name))) continue;
    const opCase = sized(found);
    const cells: string[] = [];
    for (const mode of modes) {
      const none = mode !== 'primal' && (opCase.integer || opCase.kind === 'random');
      const result = none ? undefined : await time(opCase, mode);
      cells.push(result === undefined ? '–' : `${result.ms.toFixed(3)} (${Math.round(100 * result.share)} %)`);
    }
    const shapes = [...opCase.inputs, ...opCase.integers].map(({ shape }) => `[${shape.join(', ')}]`).join(' ');
    console.log(`| ${name} | ${shapes} | ${cells.join(' | ')} |`);
  }
}
