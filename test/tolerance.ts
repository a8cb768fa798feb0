// Judges float32 results by the bounds of test/oracle, and float64 ones by its values.
import * as assert from 'uvu/assert';
import type { Tensor } from '../src/index.ts';
import { type Approx, exact, rounded, Sum, smallest } from './oracle/approx.ts';
import { type Attributes, type Grid, gridOf, oracleOp } from './oracle/ops.ts';
import { Tape } from './oracle/tape.ts';

/** Numbers and their shape. */
export interface Numbers {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/** An op at a point, with a direction for its tangent and a cotangent for its pullback. */
export interface Point {
  readonly op: string;
  readonly attributes: Attributes;
  /** Real inputs, in the op's order. */
  readonly inputs: readonly Numbers[];
  readonly tangents?: readonly Numbers[];
  readonly outputCotangent?: Numbers;
  /** int32 inputs, and real ones that carry no tangent. */
  readonly integers?: readonly Numbers[];
  /** The result is averaged to one scalar. */
  readonly mean?: boolean;
}

/** The truth with its float32 bounds. */
export interface Truth {
  readonly shape: readonly number[];
  readonly output: readonly Approx[];
  readonly tangent: readonly Approx[];
  /** Per real input. */
  readonly cotangents: readonly (readonly Approx[])[];
}

/** What a result may lose because something on the way to it, times at most 2¹⁶, was flushed to zero. */
const flushed = 2 ** 16 * smallest;

const nothing: Approx = exact(0);

/**
 * What the op's value, tangent and cotangents are and how far float32 may be off. `roundedInputs`: the device was given the
 * nearest float32 numbers, the truth is of the float64 ones. At `bf16` the truth has the roundings of the operands of products.
 */
export function truthOf(point: Point, roundedInputs = false, precision: 'f32' | 'bf16' = 'f32'): Truth {
  const tape = new Tape(precision);
  const round = roundedInputs ? rounded : exact;
  const x = point.inputs.map(({ shape, data }) => gridOf(tape, shape, data, 'input', round));
  const integers = (point.integers ?? []).map(({ shape, data }) => gridOf(tape, shape, data, 'constant', round));
  const ordered = point.op === 'where' ? [...integers, ...x] : [...x, ...integers];
  let y = oracleOp(tape, point.op, ordered, point.attributes);
  if (point.mean) y = oracleOp(tape, 'mean', [y]);

  const given = new Map<Grid['data'][number], Approx>();
  for (const [i, { data }] of (point.tangents ?? []).entries()) {
    for (const [j, scalar] of x[i]!.data.entries()) given.set(scalar, round(data[j]!));
  }
  const dots = given.size > 0 ? tape.tangents(given) : [];
  const bars = point.outputCotangent === undefined ? [] : tape.cotangents(seeds(y, point.outputCotangent.data, round));
  return {
    shape: y.shape,
    output: y.data,
    tangent: y.data.map(({ id }) => dots[id] ?? nothing),
    cotangents: x.map(({ data }) => data.map(({ id }) => bars[id] ?? nothing)),
  };
}

/** Cotangents of a result; an element that stands at several places of it (a broadcast) gets their sum. */
export function seeds(
  y: Grid,
  data: ArrayLike<number>,
  round: (v: number) => Approx,
): Map<Grid['data'][number], Approx> {
  const given = new Map<Grid['data'][number], Approx>();
  const places = new Map<Grid['data'][number], number[]>();
  for (const [i, scalar] of y.data.entries()) places.set(scalar, [...(places.get(scalar) ?? []), i]);
  for (const [scalar, at] of places) {
    const sum = new Sum();
    for (const i of at) sum.add(round(data[i]!));
    given.set(scalar, sum.product());
  }
  return given;
}

/** Within 1e-10 of max(1, |v|): float64. */
export function sameInDouble(what: string, actual: Tensor, expected: readonly Approx[] | ArrayLike<number>): void {
  for (let i = 0; i < expected.length; i++) {
    const value = expected[i]!;
    const v = typeof value === 'number' ? value : value.v;
    const error = Math.abs(actual.data[i]! - v);
    assert.ok(error <= 1e-10 * Math.max(1, Math.abs(v)), `${what}[${i}]: ${actual.data[i]} for ${v}, off by ${error}`);
  }
}

/** How much of its bound an error used, at most: 1 is all. */
export class Usage {
  most = 0;
  where = '';
}

/** Within its bound of the truth, element by element; what may be flushed to zero may be. */
export function withinBounds(what: string, actual: Tensor, expected: readonly Approx[], usage?: Usage): void {
  for (let i = 0; i < expected.length; i++) {
    const { v, e } = expected[i]!;
    const error = Math.abs(actual.data[i]! - v);
    const allowed = e + flushed;
    if (usage !== undefined && error > usage.most * allowed) {
      usage.most = error / allowed;
      usage.where = `${what}[${i}]`;
    }
    assert.ok(error <= allowed, `${what}[${i}]: ${actual.data[i]} for ${v}, off by ${error}, allowed ${allowed}`);
  }
}

/** With PUSHFORWARD_TEST_USAGE set, prints which part of its bound each op used: what shows whether bounds are tight. */
export function reportUsage(usage: ReadonlyMap<string, Usage>): void {
  if (process.env.PUSHFORWARD_TEST_USAGE === undefined) return;
  for (const [op, { most, where }] of usage) console.log(`${op.padEnd(20)} ${most.toFixed(3)}  ${where}`);
}
