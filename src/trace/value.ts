// A Value is a name for a result inside a traced function. It holds no number: what looks like reading one is refused, with the remedy.
import { inspect } from 'node:util';
import { describeAs, describeShape, PushforwardError } from '../errors.ts';
import type { ValueMethods } from '../ops/index.ts';
import type { DType, Tensor } from '../tensor.ts';
import type { Graph } from './graph.ts';

/** What an op accepts: a Tensor or a number becomes a constant of the program. */
export type Operand = Value | Tensor | number;

// The methods are those of `ops` whose first input is an Operand; src/ops/index.ts puts them on the prototype.
/** The ops, as methods. */
export interface Value extends ValueMethods {}
/** Symbolic; lives only while its function is traced. It has every op as a method: `x.mul(y).sum()`. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the loop in src/ops/index.ts provides exactly these methods
export class Value {
  /** Sizes of the axes, outermost first; `[]` is a scalar. */
  readonly shape: readonly number[];
  /** float32 (float64 on `reference`), or int32. */
  readonly dtype: DType;
  readonly #graph: Graph;
  readonly #id: number;

  private constructor(graph: Graph, id: number, shape: readonly number[], dtype: DType) {
    this.#graph = graph;
    this.#id = id;
    this.shape = Object.freeze([...shape]);
    this.dtype = dtype;
  }

  /** @internal */
  static of(graph: Graph, id: number, shape: readonly number[], dtype: DType): Value {
    return new Value(graph, id, shape, dtype);
  }

  /** @internal */
  static graphOf(value: Value): Graph {
    return value.#graph;
  }

  /** @internal */
  static idOf(value: Value): number {
    return value.#id;
  }
}

function refuse(value: Value, what: string): never {
  throw new PushforwardError(
    'INVALID_ARGUMENT',
    'Value',
    'only ops on a traced value (a condition is ops.where(condition, a, b); a number is a result of evaluate or an argument)',
    `${what} of a ${value.dtype} Value of shape ${describeShape(value.shape)}`,
  );
}

// if (x > 0), +x, `${x}` and x == 1 all come here.
Object.defineProperty(Value.prototype, Symbol.toPrimitive, {
  value(this: Value, hint: string) {
    refuse(this, hint === 'string' ? 'the text' : 'the number');
  },
});
for (const name of ['data', 'item', 'toArray'] as const) {
  Object.defineProperty(Value.prototype, name, {
    get(this: Value) {
      refuse(this, `the property ${name}`);
    },
  });
}
Object.defineProperty(Value.prototype, Symbol.iterator, {
  value(this: Value) {
    refuse(this, 'the elements');
  },
});
Object.defineProperty(Value.prototype, 'toJSON', {
  value(this: Value) {
    refuse(this, 'the JSON');
  },
});
Object.defineProperty(Value.prototype, inspect.custom, {
  value(this: Value) {
    return `Value ${this.dtype} ${describeShape(this.shape)}`;
  },
});
describeAs(
  Value.prototype,
  (value) => `${value.dtype === 'int32' ? 'an' : 'a'} ${value.dtype} Value of shape ${describeShape(value.shape)}`,
);
