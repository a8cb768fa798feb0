// Cases at random points, with the oracle's truth, and how a float32 device is held to it.
import * as assert from 'uvu/assert';
import { evaluate, jvp, type RunOptions, type Tensor, tensor, type Value, vjp } from '../../src/index.ts';
import { callOp, draw, drawDirection, drawIntegers, generator, nameOf, type OpCase, onDevice } from '../cases/index.ts';
import { type Truth, truthOf, Usage, withinBounds } from '../tolerance.ts';

/** float32 numbers and their shape. */
export type Data = { readonly shape: readonly number[]; readonly data: Float64Array };

/** A case at a random point with everything that its checks need; made once for all instruction sets. */
export interface Sample {
  readonly opCase: OpCase;
  readonly name: string;
  readonly f: (...x: Value[]) => Value;
  readonly x: readonly Data[];
  readonly v: readonly Data[];
  readonly yBar: Data;
  readonly truth: Truth;
}

export const numbers = (shape: readonly number[], data: Float64Array): Data => ({ shape, data });
export const onCpu = ({ shape, data }: Data): Tensor => onDevice(data, shape, 'cpu');

export function sampleOf(
  opCase: OpCase,
  seed: number,
  given?: readonly Float64Array[],
  precision: 'f32' | 'bf16' = 'f32',
): Sample {
  const random = generator(seed);
  const labels = opCase.integers.map((integers) => tensor(drawIntegers(integers, random), [...integers.shape]));
  const x = opCase.inputs.map((input, i) => numbers(input.shape, given?.[i] ?? draw(input, random)));
  const v = opCase.inputs.map(({ shape }) => numbers(shape, drawDirection(shape, random)));
  const { shape } = truthOf({ ...opCase, inputs: x, integers: labels });
  const yBar = numbers(shape, drawDirection(shape, random));
  const point = { ...opCase, inputs: x, tangents: v, integers: labels, outputCotangent: yBar };
  const truth = truthOf(point, false, precision);
  return {
    opCase,
    name: nameOf(opCase),
    f: (...at) => callOp(opCase.op, opCase.attributes, at, labels),
    x,
    v,
    yBar,
    truth,
  };
}

/** How much of their bounds the checks of this process used. */
export const usage: Map<string, Usage> = new Map<string, Usage>();

/** Within bounds, and noted. */
export function within(op: string, what: string, actual: Tensor, expected: readonly { v: number; e: number }[]): void {
  if (!usage.has(op)) usage.set(op, new Usage());
  withinBounds(what, actual, expected, usage.get(op));
}

/** Value, tangent and cotangents of several samples at once: one plan each for all of them. */
export async function checkSamples(samples: readonly Sample[], options: RunOptions): Promise<void> {
  const all = (...lists: Value[][]): Value[] => samples.map(({ f }, i) => f(...lists[i]!));
  const x = samples.map((sample) => sample.x.map(onCpu));
  const values = (await evaluate(all, options)(...x)) as unknown as Tensor[];
  for (const [i, { name, truth, opCase }] of samples.entries()) {
    assert.equal([...values[i]!.shape], [...truth.shape]);
    within(opCase.op, `${name} output`, values[i]!, truth.output);
  }
  if (samples[0]!.opCase.integer) return;
  const v = samples.map((sample) => sample.v.map(onCpu));
  const [again, dots] = (await jvp(all, x, v, options)) as unknown as [Tensor[], Tensor[]];
  const [, pullback] = await vjp(all, x, options);
  const bars = (await pullback(samples.map(({ yBar }) => onCpu(yBar)) as never)) as unknown as Tensor[][];
  for (const [i, { name, truth, opCase }] of samples.entries()) {
    within(opCase.op, `${name} output of jvp`, again[i]!, truth.output);
    within(opCase.op, `${name} tangent`, dots[i]!, truth.tangent);
    for (const [j, cotangent] of truth.cotangents.entries()) {
      within(opCase.op, `${name} cotangent ${j}`, bars[i]![j]!, cotangent);
    }
  }
}
