// Error bounds of float32 against the float64 truth, from the terms that each element sums.
import { evaluate, jvp, type Tensor, tensor, type Value, vjp } from '../src/index.ts';
import type { GoldenTensor, OpCase } from './golden.ts';

/** ε of float32: half the distance from 1 to the next number is 2⁻²⁴; ε here is 2⁻²³. */
export const epsilon = 2 ** -23;

/** Σ|terms| of every element of the output, the tangent and the cotangents, as the reference computes it on absolute values. */
export interface Terms {
  readonly output: ArrayLike<number>;
  readonly tangent: ArrayLike<number>;
  readonly cotangents: readonly ArrayLike<number>[];
  /** How many terms the longest sum has. */
  readonly count: number;
}

const absolute = ({ shape, data }: GoldenTensor): Tensor => tensor(Float64Array.from(data, Math.abs), shape);

/** Ops that are linear in each input: their own value on absolute inputs is Σ|terms|. */
const multilinear = new Set(['matmul', 'sum', 'mean', 'add', 'sub', 'mul', 'neg', 'reshape', 'transpose', 'concat', 'slice']);

function sumOfProducts(golden: OpCase): boolean {
  return multilinear.has(golden.op) || (golden.op === 'dense' && golden.attributes.activation === 'none');
}

/** Computes {@link Terms} on the reference device. */
export async function absoluteTerms(golden: OpCase, f: (...x: Value[]) => Value): Promise<Terms> {
  const count = Math.max(2, ...golden.inputs.flatMap(({ shape }) => shape), golden.output.data.length);
  if (sumOfProducts(golden) && golden.op !== 'sub' && golden.op !== 'neg') {
    const x = golden.inputs.map(absolute);
    const output = (await evaluate(f, { device: 'reference' })(...x)).data;
    const [, tangent] = await jvp(f, x, golden.tangents.map(absolute), { device: 'reference' });
    const [, pullback] = await vjp(f, x, { device: 'reference' });
    const cotangents = (await pullback(absolute(golden.outputCotangent))) as Tensor[];
    return { output, tangent: tangent.data, cotangents: cotangents.map(({ data }) => data), count };
  }
  // Nonlinear: first-order error of the inputs' rounding and of the sums inside, by the size of what is combined.
  const scale = (tensors: readonly GoldenTensor[]): number => Math.max(1, ...tensors.flatMap(({ data }) => data.map(Math.abs)));
  const size = scale([...golden.inputs, golden.output]);
  const inner = golden.op === 'dense' ? Math.max(...golden.inputs.map(({ shape }) => shape[0] ?? 1)) : 1;
  const spread = (expected: GoldenTensor, by: number): Float64Array =>
    Float64Array.from(expected.data, (value) => Math.abs(value) + by);
  const derivative = scale([golden.outputTangent, ...golden.tangents]);
  const back = scale([golden.outputCotangent, ...golden.inputCotangents]);
  return {
    output: spread(golden.output, size * inner),
    tangent: spread(golden.outputTangent, size * derivative * inner),
    cotangents: golden.inputCotangents.map((expected) => spread(expected, size * back * inner)),
    count,
  };
}

/** 8ε(1 + log₂ k) Σ|terms| per element. */
export function tolerance(_golden: OpCase, terms: Terms, part: 'output' | 'tangent' | number): Float64Array {
  const sums = part === 'output' ? terms.output : part === 'tangent' ? terms.tangent : (terms.cotangents[part] as ArrayLike<number>);
  return Float64Array.from(sums, (sum) => 8 * epsilon * (1 + Math.log2(terms.count)) * sum);
}
