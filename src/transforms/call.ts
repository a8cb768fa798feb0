// `call` nodes: a traced function, transformed, inside the trace in progress.
import { PushforwardError } from '../errors.ts';
import { type Body, operandLeaf, scalarOutput, traceBody } from '../trace/body.ts';
import { currentGraph, type Graph } from '../trace/graph.ts';
import type { Operand, Value } from '../trace/value.ts';
import { countLeaves, type Flat, flatten, type Structure, unflatten } from '../tree.ts';

/** A user's function as the transformations see it. */
export type Traceable = (...args: never[]) => unknown;

/** f traced on arguments, inside the graph in progress. */
export interface Called {
  readonly graph: Graph;
  readonly body: Body;
  readonly inputs: readonly Value[];
  /** Range of leaves of each argument. */
  readonly ranges: readonly (readonly [start: number, end: number])[];
  readonly structures: readonly Structure[];
}

/** Traces f as a body of the graph in progress; its inputs are the leaves of args, then what it captured. */
export function traceCall(where: string, f: Traceable, args: readonly unknown[]): Called {
  const graph = currentGraph(where);
  const flat: Flat<Operand> = flatten(where, args, operandLeaf, 'arguments');
  const leaves = flat.leaves.map((leaf) => graph.operand(where, leaf));
  const body = traceBody(where, f, flat.structure, leaves, graph.context, graph);
  const structures = flat.structure.kind === 'array' ? flat.structure.items : [];
  let start = 0;
  const ranges = structures.map((structure) => {
    const range = [start, start + countLeaves(structure)] as const;
    start = range[1];
    return range;
  });
  return { graph, body, inputs: [...leaves, ...body.graph.captured], ranges, structures };
}

/** f at args, through a node: evaluate inside a trace. */
export function inlineCall(where: string, f: Traceable, args: readonly unknown[]): unknown {
  const { graph, body, inputs } = traceCall(where, f, args);
  return unflatten(body.structure, graph.emit('call', inputs, { transform: 'none' }, [body.graph]));
}

/** [f(x), its tangent]: `tangents` are like the primals, null for no tangent; with directions, all have a leading axis. */
export function jvpCall(
  where: string,
  f: Traceable,
  primals: readonly unknown[],
  tangents: readonly (Value | null)[],
  directions = 0,
): [value: unknown, tangent: unknown] {
  const { graph, body, inputs } = traceCall(where, f, primals);
  const padding = inputs.slice(tangents.length).map(() => null);
  const outputs = graph.emit('call', [...inputs, ...tangents, ...padding], { transform: 'jvp', directions }, [
    body.graph,
  ]);
  const half = outputs.length / 2;
  return [unflatten(body.structure, outputs.slice(0, half)), unflatten(body.structure, outputs.slice(half))];
}

/** [f(x), the cotangents of the leaves of argument `argnum`], f scalar with cotangent 1. */
export function gradCall(
  where: string,
  f: Traceable,
  args: readonly unknown[],
  argnum: number,
): [value: Value, gradient: unknown] {
  const called = traceCall(where, f, args);
  scalarOutput(where, called.body);
  const { graph, body, inputs } = called;
  const range = rangeOf(where, called, argnum);
  const wrt = Array.from({ length: range[1] - range[0] }, (_, i) => range[0] + i);
  const one = graph.operand(where, 1);
  const outputs = graph.emit('call', [...inputs, one], { transform: 'vjp', wrt }, [body.graph]);
  return [outputs[0] as Value, unflatten(called.structures[argnum] as Structure, outputs.slice(1))];
}

/** The leaves of argument `argnum`, all of them real. */
export function rangeOf(where: string, called: Called, argnum: number): readonly [start: number, end: number] {
  const range = called.ranges[argnum];
  if (range === undefined) {
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      where,
      `argnums below the ${called.ranges.length} arguments`,
      String(argnum),
    );
  }
  for (const input of called.inputs.slice(...range)) {
    if (input.dtype === 'int32') {
      throw new PushforwardError('NOT_DIFFERENTIABLE', where, `argument ${argnum} to be real`, 'an int32 leaf');
    }
  }
  return range;
}
