// Tracing: f runs once on Values, and the ops it calls leave nodes in the innermost open graph. A graph inside another (the f of
// grad inside the f of jvp) may use the outer graph's Values: they become further inputs of the inner program.
import { native } from '../binding.ts';
import { describe, describeShape, PushforwardError } from '../errors.ts';
import { type DType, maxElements, sizeOf, Tensor, toTensor } from '../tensor.ts';
import { type Attributes, encodeProgram, type Program, type ProgramNode } from './encode.ts';
import { fromNative } from './native_errors.ts';
import { type Operand, Value } from './value.ts';

/** What a whole trace, inner graphs included, has in common. */
export interface TraceContext {
  /** How real values are stored: 'float64' on `reference`. */
  readonly real: 'float32' | 'float64';
  /** Whether dropout and normalisation are in training. */
  readonly training: boolean;
  /** Parameters declared so far, by name: `parameter()` adds to it. Absent where none may be declared. */
  readonly parameters?: ParameterTable;
}

/** Parameters of a model, in order of declaration. */
export interface ParameterTable {
  declare(name: string, shape: readonly number[], initializer: string, weight: boolean): Value;
  /** A slot that the model itself writes, once per training step: no parameter, and never perturbed. Once per name, as `declare`. */
  declareState(name: string, shape: readonly number[], initializer: 'zeros' | 'ones'): Value;
  /** A state as it stands after the commits of this trace so far. */
  stateNow(state: Value): Value;
  /** In training: `value` replaces `state` at the end of the step, if the step is finite. */
  commit(where: string, state: Value, value: Value): void;
  /** In training: a prediction of a part of the model, which the Trainer's loss applies to besides the model's output. */
  addPrediction(where: string, prediction: Value): void;
}

let open: Graph | undefined;

/** The innermost open graph; INVALID_ARGUMENT outside a trace. */
export function currentGraph(where: string): Graph {
  if (open === undefined) {
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      where,
      'to be called inside a traced function (give the function to evaluate, jvp, grad, minimize or a Trainer)',
      'a call outside of one',
    );
  }
  return open;
}

/** Whether a traced function is running. */
export function isTracing(): boolean {
  return open !== undefined;
}

/** A program under construction. */
export class Graph implements Program {
  readonly context: TraceContext;
  readonly parent: Graph | undefined;
  readonly nodes: ProgramNode[] = [];
  outputs: number[] = [];
  /** Values of enclosing graphs that this program reads, in the order of their inputs. */
  readonly captured: Value[] = [];
  readonly #captures = new Map<Value, Value>();
  #values = 0;
  #randomOps = 0;

  constructor(context: TraceContext, parent?: Graph) {
    this.context = context;
    this.parent = parent;
  }

  /** Runs f with this graph innermost. */
  within<T>(f: () => T): T {
    const before = open;
    open = this;
    try {
      return f();
    } finally {
      open = before;
    }
  }

  /** Counts the random ops of the whole trace, in the order in which they are called: each of them takes one number. */
  nextRandomOrdinal(): number {
    return this.parent === undefined ? this.#randomOps++ : this.parent.nextRandomOrdinal();
  }

  input(shape: readonly number[], dtype: DType): Value {
    return this.#append(
      { op: 'input', inputs: [], attributes: { shape, dtype: dtype === 'int32' ? 'int32' : 'real' }, bodies: [] },
      [{ shape, dtype: dtype === 'int32' ? 'int32' : this.context.real }],
    )[0] as Value;
  }

  /** A slot of the store. `weight`: products read it, so the device may lay it out as they do. */
  parameter(name: string, shape: readonly number[], weight = false): Value {
    const attributes = weight ? { name, shape, weight: 1 } : { name, shape };
    return this.#append({ op: 'parameter', inputs: [], attributes, bodies: [] }, [
      { shape, dtype: this.context.real },
    ])[0] as Value;
  }

  /** Appends a node; its outputs have the types that the native shape rule gives. */
  emit(
    op: string,
    inputs: readonly (Value | null)[],
    attributes: Attributes = {},
    bodies: readonly Program[] = [],
  ): Value[] {
    const local = inputs.map((input) => (input === null ? null : this.#own(op, input)));
    const node = { op, inputs: local.map((input) => (input === null ? -1 : Value.idOf(input))), attributes, bodies };
    return this.#append(node, this.#infer(node, local));
  }

  /** The operand as a Value of this graph; a Tensor or a number becomes a constant. */
  operand(where: string, x: unknown): Value {
    if (x instanceof Value) return x;
    if (typeof x === 'number') {
      return this.emit('full', [], { shape: [], value: x })[0] as Value;
    }
    if (x instanceof Tensor) {
      toTensor(where, 'a Tensor', x); // refuses one whose buffer was transferred
      if (x.dtype === 'float64' && this.context.real !== 'float64') {
        throw new PushforwardError(
          'DTYPE_MISMATCH',
          where,
          "float32 or int32 (float64 needs device: 'reference')",
          describe(x),
        );
      }
      const dtype = x.dtype === 'int32' ? 'int32' : 'real';
      return this.#append(
        { op: 'constant', inputs: [], attributes: { shape: x.shape, dtype, data: x.data.slice() }, bodies: [] },
        [{ shape: x.shape, dtype: dtype === 'int32' ? 'int32' : this.context.real }],
      )[0] as Value;
    }
    throw new PushforwardError('INVALID_ARGUMENT', where, 'a Value, a Tensor or a number', describe(x));
  }

  /** A Value of this graph as it is; one of an enclosing graph through an input. */
  #own(where: string, value: Value): Value {
    const graph = Value.graphOf(value);
    if (graph === this) return value;
    const known = this.#captures.get(value);
    if (known !== undefined) return known;
    if (!this.#encloses(graph)) {
      throw new PushforwardError(
        'INVALID_ARGUMENT',
        where,
        'Values of the function that is being traced (return a Value to keep it; what changes goes in as an argument)',
        `${describe(value)} kept from a trace that has ended`,
      );
    }
    const captured = this.input(value.shape, value.dtype);
    this.#captures.set(value, captured);
    this.captured.push(value);
    return captured;
  }

  #encloses(graph: Graph): boolean {
    let ancestor = this.parent;
    while (ancestor !== undefined && ancestor !== graph) ancestor = ancestor.parent;
    return ancestor !== undefined;
  }

  #infer(node: ProgramNode, inputs: readonly (Value | null)[]): { shape: readonly number[]; dtype: DType }[] {
    const present = inputs.filter((input) => input !== null);
    const leaves: ProgramNode[] = present.map((input) => ({
      op: 'input',
      inputs: [],
      attributes: { shape: input.shape, dtype: input.dtype === 'int32' ? 'int32' : 'real' },
      bodies: [],
    }));
    let next = 0;
    const local = inputs.map((input) => (input === null ? -1 : next++));
    try {
      const types = native.infer(encodeProgram({ nodes: [...leaves, { ...node, inputs: local }], outputs: [] }));
      return types.map(({ shape, dtype }) => ({ shape, dtype: dtype === 'int32' ? 'int32' : this.context.real }));
    } catch (error) {
      throw fromNative(error);
    }
  }

  #append(node: ProgramNode, types: readonly { shape: readonly number[]; dtype: DType }[]): Value[] {
    for (const { shape } of types) {
      if (sizeOf(shape) > maxElements) {
        throw new PushforwardError(
          'SHAPE_MISMATCH',
          node.op,
          'a result of fewer than 2^31 elements',
          describeShape(shape),
        );
      }
    }
    this.nodes.push(node);
    return types.map(({ shape, dtype }) => Value.of(this, this.#values++, shape, dtype));
  }

  /** Ends the program with these outputs. */
  finish(where: string, outputs: readonly Value[]): this {
    this.outputs = outputs.map((output) => Value.idOf(this.#own(where, output)));
    return this;
  }
}

/** Emits an op into the innermost open graph. The public ops are thin names over this. */
export function emit(
  op: string,
  inputs: readonly (Operand | null | undefined)[],
  attributes: Attributes = {},
  where: string = op,
): Value {
  const graph = currentGraph(where);
  const values = inputs.map((input) => (input === null || input === undefined ? null : graph.operand(where, input)));
  return graph.emit(op, values, attributes)[0] as Value;
}

/** `[2, 3]` of a value, for sentences. */
export function shapeOf(value: Value): string {
  return describeShape(value.shape);
}
