// The table of ops: `ops.<name>`, and by the loop below every op whose first input is a Value as a method of Value.
import { Value } from '../trace/value.ts';
import * as attention from './attention.ts';
import * as conv from './conv.ts';
import * as cumsum from './cumsum.ts';
import * as dropout from './dropout.ts';
import * as elementwise from './elementwise.ts';
import * as gather from './gather.ts';
import * as loss from './loss.ts';
import * as norm from './norm.ts';
import * as product from './product.ts';
import * as random from './random.ts';
import * as reduce from './reduce.ts';
import * as shape from './shape.ts';

export type { AttentionOptions } from './attention.ts';
export type { Conv2dOptions, Pool2dOptions } from './conv.ts';
export type { CumsumOptions } from './cumsum.ts';
export type { NormOptions } from './norm.ts';
export type { Pair } from './pair.ts';
export type { Activation, DenseOptions, MatmulOptions } from './product.ts';
export type { RandomOptions } from './random.ts';
export type { ReduceOptions } from './reduce.ts';

/**
 * The type of {@link ops}.
 * @hidden
 */
export type Ops = typeof elementwise &
  typeof product &
  typeof conv &
  typeof reduce &
  typeof loss &
  typeof shape &
  typeof random &
  typeof norm &
  typeof gather &
  typeof cumsum &
  typeof dropout &
  typeof attention;

/**
 * Every op, for use inside traced functions. Inputs are Values, Tensors or numbers.
 * @namespace
 */
export const ops: Ops = Object.freeze({
  ...elementwise,
  ...product,
  ...conv,
  ...reduce,
  ...loss,
  ...shape,
  ...random,
  ...norm,
  ...gather,
  ...cumsum,
  ...dropout,
  ...attention,
});

const notMethods = ['concat', 'random'] as const;

/**
 * The ops that take an Operand first, as methods.
 * @hidden
 */
export type ValueMethods = {
  [K in Exclude<keyof Ops, (typeof notMethods)[number]>]: Ops[K] extends (x: never, ...rest: infer R) => unknown
    ? (...rest: R) => Value
    : never;
};

for (const [name, op] of Object.entries(ops)) {
  if ((notMethods as readonly string[]).includes(name)) continue;
  Object.defineProperty(Value.prototype, name, {
    value(this: Value, ...rest: never[]): Value {
      return (op as unknown as (x: Value, ...rest: never[]) => Value)(this, ...rest);
    },
  });
}
