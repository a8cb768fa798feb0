// A case: one op with attributes and shapes. The same description feeds the tests and the benchmarks of a family.
import { ops, type Tensor, tensor, type Value } from '../../src/index.ts';
import type { Attributes } from '../oracle/ops.ts';

/** A real input: its shape, and where its values lie. */
export interface Input {
  readonly shape: readonly number[];
  readonly low: number;
  readonly high: number;
  /** Values lie within ±0.05 of (whole number + offset)·spacing: away from the kinks of relu, max and their like. */
  readonly lattice?: { readonly spacing: number; readonly offset: number };
  /** No two values are nearer than this. */
  readonly apart?: number;
}

/** An int32 input of whole numbers below `below`. */
export interface Integers {
  readonly shape: readonly number[];
  readonly below: number;
}

/** One op at one set of shapes and attributes. */
export interface OpCase {
  readonly op: keyof typeof ops;
  readonly attributes: Attributes;
  readonly inputs: readonly Input[];
  readonly integers: readonly Integers[];
  /** products: Σ|terms| is bounded by the tape of test/oracle; moves: every result is one of the inputs, bit for bit. */
  readonly kind: 'elementwise' | 'products' | 'moves' | 'random';
  /** The result is int32: no tangent, no cotangent. */
  readonly integer?: boolean;
}

/** What the case is, for messages. */
export function nameOf({ op, attributes, inputs }: OpCase): string {
  const given = Object.entries(attributes).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return `${op} ${inputs.map(({ shape }) => `[${shape}]`).join(' ')} ${given.join(' ')}`.trim();
}

/** The op at Values (or at what else it takes): the place of integers and attributes is the op's own. */
export function callOp(
  op: string,
  attributes: Attributes,
  x: readonly (Value | Tensor)[],
  integers: readonly (Value | Tensor)[] = [],
): Value {
  const f = (ops as unknown as Record<string, (...args: unknown[]) => Value>)[op]!;
  const { shape, permutation, start, size, ...rest } = attributes;
  const options = Object.keys(rest).length > 0 ? [rest] : [];
  switch (op) {
    case 'concat':
      return f(x, ...options);
    case 'where':
      return f(...integers, ...x);
    case 'reshape':
    case 'broadcast':
      return f(x[0], shape);
    case 'transpose':
      return permutation === undefined ? f(x[0]) : f(x[0], permutation);
    case 'slice':
      return f(x[0], start, size);
    case 'random':
      return f(shape, ...options);
    default:
      return f(...x, ...integers, ...options);
  }
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A whole number below n. */
export const below = (random: () => number, n: number): number => Math.floor(random() * n);
/** One of a list. */
export const pick = <T>(random: () => number, list: readonly T[]): T => list[below(random, list.length)]!;

const count = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);

/** Values of an input: float32 numbers, so that every device sees the same. */
export function draw(input: Input, random: () => number): Float64Array {
  const { shape, low, high, lattice, apart } = input;
  const n = count(shape);
  const between = (a: number, b: number): number => a + (b - a) * random();
  if (apart !== undefined) {
    const order = Array.from({ length: n }, (_, i) => i).sort(() => random() - 0.5);
    return Float64Array.from(order, (place) => Math.fround((place - n / 2) * 2 * apart + between(-0.4, 0.4) * apart));
  }
  return Float64Array.from({ length: n }, () => {
    if (lattice === undefined) return Math.fround(between(low, high));
    const { spacing, offset } = lattice;
    const place = Math.floor(between(Math.ceil(low / spacing), Math.floor(high / spacing) + 1));
    return Math.fround((place + offset) * spacing + between(-0.05, 0.05));
  });
}

/** Tangents, cotangents: float32 numbers in [−1, 1). */
export function drawDirection(shape: readonly number[], random: () => number): Float64Array {
  return Float64Array.from({ length: count(shape) }, () => Math.fround(2 * random() - 1));
}

export function drawIntegers({ shape, below: limit }: Integers, random: () => number): Int32Array {
  return Int32Array.from({ length: count(shape) }, () => below(random, limit));
}

/** Data as a Tensor of the device's type. */
export function onDevice(data: Float64Array, shape: readonly number[], device: 'cpu' | 'cuda' | 'reference'): Tensor {
  return tensor(device === 'reference' ? data.slice() : Float32Array.from(data), [...shape]);
}
