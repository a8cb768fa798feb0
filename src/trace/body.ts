// Runs a user's function on Values and checks what it gives back.
import { describe, PushforwardError } from '../errors.ts';
import { Tensor } from '../tensor.ts';
import { flatten, type LeafKind, type Structure, unflatten } from '../tree.ts';
import { Graph, type TraceContext } from './graph.ts';
import { type Operand, Value } from './value.ts';

/** Leaves of trees inside a trace: a Value, or data that becomes a constant. */
export const operandLeaf: LeafKind<Operand> = {
  isLeaf: (value): value is Operand => value instanceof Value || value instanceof Tensor || typeof value === 'number',
  words: 'a Value, a Tensor or a number',
};

/** A traced function: its program, and the form of what it returned. */
export interface Body {
  readonly graph: Graph;
  readonly structure: Structure;
  readonly outputs: readonly Value[];
}

/** Traces f on fresh inputs like `like`, with `parent` as the enclosing graph. */
export function traceBody(
  where: string,
  f: (...args: never[]) => unknown,
  structure: Structure,
  like: readonly { shape: readonly number[]; dtype: Value['dtype'] }[],
  context: TraceContext,
  parent?: Graph,
): Body {
  const graph = new Graph(context, parent);
  const inputs = like.map(({ shape, dtype }) => graph.input(shape, dtype));
  return graph.within(() => {
    const args = unflatten(structure, inputs) as never[];
    const returned: unknown = f(...args);
    if (typeof (returned as PromiseLike<unknown> | undefined)?.then === 'function') {
      throw new PushforwardError('INVALID_ARGUMENT', where, 'a synchronous function', 'one that returned a promise');
    }
    if (returned === undefined) {
      throw new PushforwardError('INVALID_ARGUMENT', where, 'a function that returns Values', describe(returned));
    }
    const flat = flatten(where, returned, operandLeaf, 'the result');
    const outputs = flat.leaves.map((leaf) => graph.operand(where, leaf));
    graph.finish(where, outputs);
    return { graph, structure: flat.structure, outputs: outputs.map((output) => output) };
  });
}

/** The one output of a body that must be a real scalar: a loss. */
export function scalarOutput(where: string, body: Body): Value {
  const [output] = body.outputs;
  const scalar = body.structure.kind === 'leaf' && output !== undefined && output.shape.length === 0;
  if (!scalar || output.dtype === 'int32') {
    const received = body.structure.kind === 'leaf' ? describe(output) : `a tree of ${body.outputs.length} Values`;
    throw new PushforwardError(
      'SHAPE_MISMATCH',
      where,
      'a function that returns one real scalar (use .mean() or .sum())',
      received,
    );
  }
  return output;
}
