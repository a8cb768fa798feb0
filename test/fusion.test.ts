// Random programs of elementwise ops, broadcasts, reductions and layers: fused, unfused and reference agree within what the oracle allows,
// in value, tangent and cotangents; and one thread gives the same bits as two.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/binding.ts';
import { evaluate, jvp, type RunOptions, type Tensor, type Value, vjp } from '../src/index.ts';
import { below, callOp, drawDirection, generator, onDevice, pick } from './cases/index.ts';
import { type Approx, exact } from './oracle/approx.ts';
import { type Attributes, type Grid, gridOf, oracleOp } from './oracle/ops.ts';
import { Tape } from './oracle/tape.ts';
import { withIsa } from './support/isa.ts';
import { reportUsage, seeds, Usage, withinBounds } from './tolerance.ts';

/** One op of a random program; arguments are numbers of earlier values, inputs first. */
interface Step {
  readonly op: string;
  readonly attributes: Attributes;
  readonly args: readonly number[];
}

interface Recipe {
  readonly name: string;
  readonly shapes: readonly (readonly number[])[];
  readonly data: readonly Float64Array[];
  readonly steps: readonly Step[];
  readonly outputs: readonly number[];
}

/** The recipe on Values. */
const functionOf =
  ({ steps, outputs }: Recipe) =>
  (...inputs: Value[]): Value[] => {
    const values = [...inputs];
    for (const { op, attributes, args } of steps) {
      const given = args.map((arg) => values[arg]!);
      values.push(
        op === 'where' ? callOp(op, attributes, given.slice(1), given.slice(0, 1)) : callOp(op, attributes, given),
      );
    }
    return outputs.map((output) => values[output]!);
  };

const smooth = [
  'neg',
  'sin',
  'cos',
  'tanh',
  'sigmoid',
  'silu',
  'softplus',
  'erf',
  'gelu',
  'square',
  'relu',
  'abs',
  'leakyRelu',
  'elu',
  'clip',
];
const positive = ['log', 'sqrt', 'rsqrt'];
const binary = ['add', 'sub', 'mul', 'maximum', 'minimum', 'add', 'mul'];
const activations = ['none', 'relu', 'tanh', 'sigmoid', 'gelu', 'silu', 'softplus', 'elu', 'sin'];
const reductions = ['sum', 'mean', 'max', 'logSumExp'];

/**
 * Grows a program op by op on the oracle's numbers, so that domains are kept and no bound grows beyond use. All shapes broadcast with one
 * another: [rows, columns], [columns], [rows, 1], [].
 */
function grow(seed: number): Recipe {
  const random = generator(seed);
  const tape = new Tape();
  const [rows, columns] = pick(random, [
    [4, 6],
    [3, 17],
    [1, 1],
    [5, 1],
    [2, 9],
    [2, 40],
  ] as const);
  const shapes: (readonly number[])[] = [
    [rows, columns],
    [columns],
    [rows, 1],
    [],
    [rows, columns],
    [columns, columns],
    [columns],
  ];
  const data = shapes.map((shape) => drawDirection(shape, random).map((v) => Math.fround(1.5 * v)));
  const grids: Grid[] = shapes.map((shape, i) => gridOf(tape, shape, data[i]!, 'input', exact));
  const weights = new Set([5, 6]);
  const masks = new Set<number>();
  const steps: Step[] = [];

  const usable = (): number[] => [...grids.keys()].filter((i) => !weights.has(i) && !masks.has(i));
  const recent = (): number => {
    const all = usable();
    return all[Math.max(0, all.length - 1 - below(random, random() < 0.6 ? 3 : all.length))]!;
  };
  const all = (i: number, holds: (v: number) => boolean): boolean => grids[i]!.data.every(({ v }) => holds(v));
  const append = (op: string, attributes: Attributes, args: readonly number[]): boolean => {
    const y = oracleOp(
      tape,
      op,
      args.map((arg) => grids[arg]!),
      attributes,
    );
    const mask = ['less', 'lessEqual', 'greater', 'equal'].includes(op);
    // No number out of hand, no bound that says nothing, no mask that rounding decides.
    if (!y.data.every(({ v, e }) => Math.abs(v) < 40 && e < 1e-4)) return false;
    grids.push(y);
    if (mask) masks.add(grids.length - 1);
    steps.push({ op, attributes, args });
    return true;
  };
  const layer = (): void => {
    const wide = usable().filter((i) => grids[i]!.shape.length > 0 && grids[i]!.shape.at(-1) === columns);
    const x = pick(random, wide);
    const activation = pick(random, activations);
    if (random() < 0.5 || grids[x]!.shape.length < 2) {
      append('dense', { activation }, random() < 0.7 ? [x, 5, 6] : [x, 5]);
    } else if (append('matmul', {}, [x, 5]) && append('add', {}, [grids.length - 1, 6]) && activation !== 'none') {
      append(activation, activation === 'gelu' ? { approximate: pick(random, ['none', 'tanh']) } : {}, [
        grids.length - 1,
      ]);
    }
  };
  const length = 4 + below(random, 14);
  for (let tries = 0; steps.length < length && tries < 80; tries++) {
    const kind = random();
    const x = recent();
    if (kind < 0.35) {
      const op = pick(random, smooth);
      const attributes =
        op === 'clip'
          ? { min: -0.75, max: 1.25 }
          : op === 'gelu'
            ? { approximate: pick(random, ['none', 'tanh']) }
            : {};
      append(op, attributes, [x]);
    } else if (kind < 0.45) {
      if (all(x, (v) => v > 0.2)) append(pick(random, positive), {}, [x]);
      else if (all(x, (v) => Math.abs(v) > 0.2)) append('reciprocal', {}, [x]);
      else if (all(x, (v) => v < 3)) append('exp', {}, [x]);
    } else if (kind < 0.72) {
      append(pick(random, binary), {}, [x, pick(random, usable())]);
    } else if (kind < 0.78) {
      const y = pick(random, usable());
      if (append(pick(random, ['less', 'greater']), {}, [x, y]))
        append('where', {}, [grids.length - 1, x, pick(random, usable())]);
    } else if (kind < 0.88) {
      if (grids[x]!.shape.length === 2)
        append(pick(random, reductions), pick(random, [{ axis: 0 }, { axis: 1, keepDims: true }, {}]), [x]);
    } else if (kind < 0.93) {
      if (grids[x]!.shape.at(-1) === columns) append(pick(random, ['softmax', 'logSoftmax']), {}, [x]);
    } else layer();
  }
  const last = usable().at(-1)!;
  const outputs = random() < 0.5 ? [last] : [last, recent()];
  return { name: `program ${seed} [${rows}, ${columns}]`, shapes, data, steps, outputs };
}

interface Sample {
  readonly recipe: Recipe;
  readonly f: (...inputs: Value[]) => Value[];
  readonly tangents: readonly Float64Array[];
  readonly cotangents: readonly { shape: readonly number[]; data: Float64Array }[];
  readonly output: readonly (readonly Approx[])[];
  readonly tangent: readonly (readonly Approx[])[];
  readonly cotangent: readonly (readonly Approx[])[];
}

const nothing = exact(0);

function sampleOf(seed: number): Sample {
  const recipe = grow(seed);
  const random = generator(seed + 1e6);
  const tape = new Tape();
  const inputs = recipe.shapes.map((shape, i) => gridOf(tape, shape, recipe.data[i]!, 'input', exact));
  const grids = [...inputs];
  for (const { op, attributes, args } of recipe.steps)
    grids.push(
      oracleOp(
        tape,
        op,
        args.map((arg) => grids[arg]!),
        attributes,
      ),
    );
  const outputs = recipe.outputs.map((output) => grids[output]!);

  const tangents = recipe.shapes.map((shape) => drawDirection(shape, random));
  const given = new Map(
    inputs.flatMap(({ data }, i) => data.map((scalar, j) => [scalar, exact(tangents[i]![j]!)] as const)),
  );
  const dots = tape.tangents(given);
  const cotangents = outputs.map(({ shape }) => ({ shape, data: drawDirection(shape, random) }));
  const bars = new Map<Grid['data'][number], Approx>();
  for (const [i, output] of outputs.entries()) {
    for (const [scalar, bar] of seeds(output, cotangents[i]!.data, exact)) {
      const before = bars.get(scalar) ?? nothing;
      bars.set(scalar, {
        v: before.v + bar.v,
        e: before.e + bar.e + 2 ** -22 * (Math.abs(before.v) + Math.abs(bar.v)),
      });
    }
  }
  const back = tape.cotangents(bars);
  return {
    recipe,
    f: functionOf(recipe),
    tangents,
    cotangents,
    output: outputs.map(({ data }) => data),
    tangent: outputs.map(({ data }) => data.map(({ id }) => dots[id] ?? nothing)),
    cotangent: inputs.map(({ data }) => data.map(({ id }) => back[id] ?? nothing)),
  };
}

interface Results {
  readonly values: Tensor[];
  readonly tangents: Tensor[];
  readonly cotangents: Tensor[];
}

async function resultsOf(sample: Sample, options: RunOptions & { device: 'cpu' | 'reference' }): Promise<Results> {
  const { recipe, f } = sample;
  const on = (data: Float64Array, shape: readonly number[]): Tensor => onDevice(data, shape, options.device);
  const x = recipe.shapes.map((shape, i) => on(recipe.data[i]!, shape));
  const values = (await evaluate(f, options)(...x)) as unknown as Tensor[];
  const v = recipe.shapes.map((shape, i) => on(sample.tangents[i]!, shape));
  const [, tangents] = (await jvp(f, x, v, options)) as unknown as [Tensor[], Tensor[]];
  const [, pullback] = await vjp(f, x, options);
  const cotangents = (await pullback(
    sample.cotangents.map(({ data, shape }) => on(data, shape)) as never,
  )) as unknown as Tensor[];
  return { values, tangents, cotangents };
}

const usage = new Map<string, Usage>([['programs', new Usage()]]);
const samples = Array.from({ length: 200 }, (_, i) => sampleOf(1 + i));

/** Tells what the program was. */
async function named(sample: Sample, check: () => Promise<void>): Promise<void> {
  try {
    await check();
  } catch (error) {
    const { steps, shapes, outputs } = sample.recipe;
    const lines = steps.map(
      ({ op, attributes, args }, i) => `  ${i + shapes.length} = ${op}(${args}) ${JSON.stringify(attributes)}`,
    );
    if (error instanceof Error)
      error.message = `${sample.recipe.name}: ${error.message}\n${lines.join('\n')}\n  outputs ${outputs}`;
    throw error;
  }
}

function checkBounds(sample: Sample, { values, tangents, cotangents }: Results): void {
  const used = usage.get('programs');
  for (const [i, output] of sample.output.entries()) withinBounds(`output ${i}`, values[i]!, output, used);
  for (const [i, tangent] of sample.tangent.entries()) withinBounds(`tangent ${i}`, tangents[i]!, tangent, used);
  for (const [i, cotangent] of sample.cotangent.entries())
    withinBounds(`cotangent ${i}`, cotangents[i]!, cotangent, used);
}

test('the programs are what they should be', () => {
  const used = new Set(samples.flatMap(({ recipe }) => recipe.steps.map(({ op }) => op)));
  for (const op of [
    ...smooth,
    ...positive,
    ...binary,
    ...reductions,
    'dense',
    'matmul',
    'where',
    'softmax',
    'exp',
    'reciprocal',
  ]) {
    assert.ok(used.has(op), `no program uses ${op}`);
  }
  const steps = samples.reduce((sum, { recipe }) => sum + recipe.steps.length, 0);
  assert.ok(steps > 8 * samples.length, `${steps} steps`);
});

test('reference: fused and unfused are the oracle’s', async () => {
  for (const sample of samples) {
    for (const fuse of [true, false]) {
      await named(sample, async () => {
        const { values, tangents, cotangents } = await resultsOf(sample, { device: 'reference', fuse });
        const check = (what: string, actual: Tensor[], expected: readonly (readonly Approx[])[]): void => {
          for (const [i, list] of expected.entries()) {
            const scale = Math.max(1, ...list.map(({ v }) => Math.abs(v)));
            for (const [j, { v }] of list.entries()) {
              const error = Math.abs(actual[i]!.data[j]! - v);
              assert.ok(
                error <= 1e-10 * scale,
                `${what} ${i}[${j}]: ${actual[i]!.data[j]} for ${v}, ${fuse ? 'fused' : 'unfused'}`,
              );
            }
          }
        };
        check('output', values, sample.output);
        check('tangent', tangents, sample.tangent);
        check('cotangent', cotangents, sample.cotangent);
      });
    }
  }
});

for (const isa of native.instructionSets()) {
  test(`cpu ${isa}: fused and unfused within the oracle’s bounds`, () =>
    withIsa(isa, async () => {
      for (const sample of samples) {
        for (const fuse of [true, false]) {
          await named(sample, async () => checkBounds(sample, await resultsOf(sample, { device: 'cpu', fuse })));
        }
      }
    }));

  test(`cpu ${isa}: one thread and two give the same bits`, () =>
    withIsa(isa, async () => {
      const [rows, columns] = [70, 513];
      const sized = (shape: readonly number[], { shapes }: Recipe): number[] =>
        shape.map((n, axis) =>
          n === 1 && shapes[0]![0] !== 1 ? 1 : axis === 0 && shape.length === 2 && n === shapes[0]![0] ? rows : columns,
        );
      // Programs of [4, 6] grown to [70, 513]: large enough for the kernels to share the work.
      const chosen = samples.filter(({ recipe }) => recipe.shapes[0]![0] === 4).slice(0, 12);
      assert.is(chosen.length, 12);
      for (const { recipe, f } of chosen) {
        const random = generator(9);
        const shapes = recipe.shapes.map((shape, i) => (i === 5 ? [columns, columns] : sized(shape, recipe)));
        const x = shapes.map((shape) => onDevice(drawDirection(shape, random), shape, 'cpu'));
        const v = shapes.map((shape) => onDevice(drawDirection(shape, random), shape, 'cpu'));
        const [one, two] = await Promise.all(
          [1, 2].map(async (threads) => {
            const options = { device: 'cpu', threads } as const;
            const values = (await evaluate(f, options)(...x)) as unknown as Tensor[];
            const [, tangents] = (await jvp(f, x, v, options)) as unknown as [Tensor[], Tensor[]];
            const [, pullback] = await vjp(f, x, options);
            const bars = (await pullback(values as never)) as unknown as Tensor[];
            return [...values, ...tangents, ...bars].map(({ data }) =>
              Buffer.from(data.buffer, data.byteOffset, data.byteLength),
            );
          }),
        );
        for (const [i, bytes] of one!.entries()) assert.ok(bytes.equals(two![i]!), `${recipe.name}: result ${i}`);
      }
    }));
}

test.after(() => reportUsage(usage));
test.run();
