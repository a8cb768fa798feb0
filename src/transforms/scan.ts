// scan: a loop over time inside a traced function, one node whatever its length.
import { assertBoolean, assertFunction, assertInteger, describe, PushforwardError, readOptions } from '../errors.ts';
import { reshape } from '../ops/shape.ts';
import { operandLeaf, traceBody } from '../trace/body.ts';
import { currentGraph } from '../trace/graph.ts';
import type { Value } from '../trace/value.ts';
import { flatten, type Structure, signature, unflatten } from '../tree.ts';
import type { Traceable } from './call.ts';

/** Options of {@link scan}. */
export interface ScanOptions {
  /** Steps, at least 1: needed where there are no sequences, else it must be their first size. */
  length?: number;
  /** From the last step to the first; what is stacked keeps its place in time. Default: false */
  reverse?: boolean;
  /**
   * Reverse mode keeps the carry of every so many steps and runs through the steps between once more: less memory, √T at its least where
   * this is √T. It must divide the length. Default: 1, the carry of every step
   */
  checkpoint?: number;
}

const empty: Structure = { kind: 'array', items: [] };

/**
 * carry, ys = f over t: [carry, y_t] = f(carry, x_t), t = 0 … T − 1. Carry and xs are trees of Values; xs have a first axis of T, and so
 * have the ys that come back. f may return [carry] alone; it may close over Values, parameters among them.
 *
 * In forward mode only the carry and its tangents live, so memory does not grow with T; reverse mode keeps the carry of every step and
 * computes f again on the way back.
 *
 * @returns the last carry, and the ys stacked
 * @throws PushforwardError SHAPE_MISMATCH where the carry changes its shape or the xs differ in length, INVALID_ARGUMENT for random
 *   numbers inside f (pass them in as a sequence)
 */
export function scan<C, X, Y>(
  f: (carry: C, x: X) => readonly [C, Y] | readonly [C],
  carry: C,
  xs: X,
  options?: ScanOptions,
): [carry: C, ys: Y] {
  assertFunction('scan', 'f', f);
  const read = readOptions<ScanOptions>('scan', options, ['length', 'reverse', 'checkpoint']);
  const { length, reverse = false, checkpoint = 1 } = read;
  assertBoolean('scan', 'reverse', reverse);
  assertInteger('scan', 'checkpoint', checkpoint, 1, 2 ** 31 - 1);
  const graph = currentGraph('scan');
  const first = flatten('scan', carry, operandLeaf, 'carry');
  const over =
    xs === undefined || xs === null ? { leaves: [], structure: empty } : flatten('scan', xs, operandLeaf, 'xs');
  const carries = first.leaves.map((leaf) => graph.operand('scan', leaf));
  const sequences = over.leaves.map((leaf) => graph.operand('scan', leaf));
  const steps = stepsOf(sequences, length);
  if (checkpoint > 1) return blocked(f, carry, over.structure, sequences, steps, checkpoint, reverse);
  const elements = sequences.map(({ shape, dtype }) => ({ shape: shape.slice(1), dtype }));
  const structure: Structure = { kind: 'array', items: [first.structure, over.structure] };
  const body = traceBody('scan', f as unknown as Traceable, structure, [...carries, ...elements], graph.context, graph);
  const items = body.structure.kind === 'array' ? body.structure.items : [];
  const next = items[0];
  if (next === undefined || items.length > 2 || signature(next) !== signature(first.structure)) {
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      'scan',
      'f to return [carry, y], the carry as it was given',
      signature(body.structure),
    );
  }
  const attributes = { length: steps, carries: carries.length, sequences: sequences.length, reverse };
  const outputs = graph.emit('scan', [...carries, ...sequences, ...body.graph.captured], attributes, [body.graph]);
  const last = unflatten(first.structure, outputs.slice(0, carries.length)) as C;
  return [last, unflatten(items[1] ?? empty, outputs.slice(carries.length)) as Y];
}

function stepsOf(sequences: readonly Value[], length: unknown): number {
  if (length !== undefined) assertInteger('scan', 'length', length, 1, 2 ** 31 - 1);
  const [longest] = sequences;
  const steps = longest?.shape[0] ?? length;
  if (steps === undefined) {
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      'scan',
      'sequences with a first axis, or the option length',
      'neither',
    );
  }
  for (const sequence of sequences) {
    if (sequence.shape[0] !== steps) {
      throw new PushforwardError('SHAPE_MISMATCH', 'scan', `sequences of ${steps} steps`, describe(sequence));
    }
  }
  if (length !== undefined && length !== steps) {
    throw new PushforwardError('SHAPE_MISMATCH', 'scan', `length ${steps}, as the sequences have`, String(length));
  }
  return steps as number;
}

/** A scan over blocks of `size` steps, each of them a scan: reverse mode keeps the carry of a block and computes its steps again. */
function blocked<C, X, Y>(
  f: (carry: C, x: X) => readonly [C, Y] | readonly [C],
  carry: C,
  structure: Structure,
  sequences: readonly Value[],
  steps: number,
  size: number,
  reverse: boolean,
): [carry: C, ys: Y] {
  if (steps % size !== 0) {
    throw new PushforwardError('INVALID_ARGUMENT', 'scan', `checkpoint to divide the ${steps} steps`, String(size));
  }
  const blocks = steps / size;
  const cut = sequences.map((sequence) => reshape(sequence, [blocks, size, ...sequence.shape.slice(1)]));
  const block = (c: C, x: X): [C, Y] => scan(f, c, x, { length: size, reverse });
  const [last, stacked] = scan(block, carry, unflatten(structure, cut) as X, { length: blocks, reverse });
  const { leaves, structure: form } = flatten('scan', stacked, operandLeaf, 'ys');
  const joined = leaves.map((leaf) => {
    const y = leaf as Value;
    return reshape(y, [steps, ...y.shape.slice(2)]);
  });
  return [last, unflatten(form, joined) as Y];
}
